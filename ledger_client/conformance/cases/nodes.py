"""JSON-RPC nodes: what they say beside their proofs is never believed (§5)."""

from collections.abc import Callable
from typing import Any

from ledger_client.conformance.case import (
    ACCEPT,
    GONE,
    HEADER,
    PROOF,
    Expected,
    SiteMaker,
    refuse,
)
from ledger_client.conformance.cases.relays import BY_NODE, DROPPED, ENDLESS, MAX_SENT_BYTES, MIRROR, STABLE
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.sites import Node, Response, lying_value
from ledger_client.conformance.world.manufacturer import OPERATOR
from ledger_client.conformance.world.words import channel_word
from ledger_protocol.ledger import contract_state as keys_of
from ledger_protocol.report.reasons import Reason


def _node(
    name: str, attack: str, expected: Expected, why: str, make: Callable[[Scenario], SiteMaker], **step: Any
) -> None:
    world = step.pop("world", None)

    @case(f"node.{name}", attack, "§5", expected, why, needs=BY_NODE, world=world)
    def _(s: Scenario) -> None:
        node = make(s)
        s.check(nodes=[node], gateways=[s.gateway()], **step)


_node("honest", DROPPED, ACCEPT, "any node that gives proofs is a source", lambda s: s.node())


@case(
    "node.new-roots-by-the-log",
    "old validators' keys",
    "§3",
    ACCEPT,
    "the ledger's log names trust roots, and gateways hold them",
    needs=BY_NODE,
)
def _(s: Scenario) -> None:
    s.world.rotate_validators("second")
    s.seal()
    s.check(nodes=[s.node()], gateways=[s.gateway()], root_version=2)


def _lie(
    key: Callable[[Scenario], bytes], value: Callable[[Scenario], int], before: Callable[[Scenario], object]
) -> Callable[[Scenario], SiteMaker]:
    """Let the node write another value beside an honest proof of this word."""

    def make(s: Scenario) -> SiteMaker:
        before(s)
        s.seal()
        return s.node(mangle=lying_value(key(s), value(s)))

    return make


def halt(s: Scenario) -> None:
    """Halt the channel."""
    s.world.publish(s.head, sequence=10, halted=True)


_node(
    "value-hides-a-revocation",
    "withheld revocation",
    refuse(Reason.REVOKED),
    "the value that a node writes beside a proof is not proven: only the nodes are",
    _lie(lambda s: keys_of.revoked_key(s.head.id), lambda _s: 0, lambda s: s.world.revoke(s.head.id)),
)
_node(
    "value-hides-a-halt",
    "arbitrary software",
    refuse(Reason.HALTED),
    "the value that a node writes beside a proof is not proven: only the nodes are",
    _lie(
        lambda _s: keys_of.word_key(STABLE),
        lambda s: channel_word(sequence=10, published_at=s.world.time, rollout_from=s.world.time),
        halt,
    ),
)
_node(
    "value-claims-an-approval",
    "arbitrary software",
    refuse(Reason.NOT_APPROVED),
    "the value that a node writes beside a proof is not proven: only the nodes are",
    _lie(lambda s: keys_of.approval_key(OPERATOR, s.head.id), lambda s: s.world.time, lambda _s: None),
    world={"operator": OPERATOR},
)
_node(
    "value-hides-a-new-root",
    "dropped requests",
    refuse(Reason.TRUST_ROOT_MISSING),
    "the value that a node writes beside a proof is not proven: only the nodes are",
    _lie(
        lambda _s: keys_of.trust_root_key(),
        lambda _s: 0,
        lambda s: s.world.announce({**s.world.root, "issued_at": 5}),
    ),
)


def _other_head(s: Scenario) -> SiteMaker:
    """Name another rightly signed release as the head, in JSON values alone."""
    other = s.world.build(12)
    word = channel_word(sequence=12, published_at=s.world.time, rollout_from=s.world.time)
    s.world.published.append((s.block.number, STABLE, other))
    head = lying_value(keys_of.head_key(STABLE), int.from_bytes(other.id, "big"))
    said = lying_value(keys_of.word_key(STABLE), word)
    return s.node(mangle=lambda method, result: said(method, head(method, result)))


_node(
    "values-name-another-head",
    "arbitrary software",
    refuse(*PROOF, *GONE),
    "a node that names another head makes a proof in which the true head's words are missing",
    _other_head,
)


def _without_nodes(part: str) -> Callable[[Scenario], SiteMaker]:
    def mangle(method: str, result: Any) -> Any:
        if method == "eth_getProof":
            if part == "account":
                result["accountProof"] = []
            else:
                for entry in result["storageProof"]:
                    entry["proof"] = []
        return result

    return lambda s: s.node(mangle=mangle)


_node(
    "values-without-proofs",
    DROPPED,
    refuse(*PROOF, *GONE),
    "values without nodes are words without proof",
    _without_nodes("storage"),
)
_node(
    "without-account-proof",
    DROPPED,
    refuse(*PROOF, *GONE),
    "the storage root itself has to be proven",
    _without_nodes("account"),
)


def _replaced(wanted: str, change: Callable[[Any], Any]) -> Callable[[Scenario], SiteMaker]:
    return lambda s: s.node(mangle=lambda method, result: change(result) if method == wanted else result)


_node(
    "false-storage-hash",
    MIRROR,
    ACCEPT,
    "what a node says beside its nodes is not read",
    _replaced("eth_getProof", lambda result: {**result, "storageHash": "0x" + "00" * 32}),
)


def _forged_node(s: Scenario) -> SiteMaker:
    s.seal(s.undersealed())
    return s.node()


_node(
    "header-unsealed",
    "forged header",
    refuse(*HEADER, *GONE),
    "a node's header is sealed, or nothing",
    _forged_node,
)
_node(
    "header-is-no-hex",
    MIRROR,
    refuse(*HEADER, *GONE),
    "an answer of another shape is no answer",
    _replaced("debug_getRawHeader", lambda _result: "0xzz"),
)
_node(
    "nodes-are-numbers",
    MIRROR,
    refuse(*PROOF, *GONE),
    "an answer of another shape is no answer",
    _replaced("eth_getProof", lambda result: {**result, "accountProof": [1, 2, 3]}),
)
_node(
    "logs-are-garbage",
    MIRROR,
    refuse(*GONE),
    "a log that names no envelope names none",
    _replaced("eth_getLogs", lambda _result: [{"topics": 7, "data": None}, "x"]),
)


class _DeepJson(Node):
    def answer(self, method: str, path: str, body: bytes) -> Response:
        del method, path, body
        return Response.of(b"[" * 100_000)


class _EndlessJson(Node):
    def answer(self, method: str, path: str, body: bytes) -> Response:
        del method, path, body
        return self.endless(chunked=True, start=b'{"jsonrpc":"2.0","id":1,"result":"')


for name, node_kind, attack in (("deep-json", _DeepJson, MIRROR), ("endless-json", _EndlessJson, ENDLESS)):

    def _hostile(s: Scenario, kind: type[Node] = node_kind) -> SiteMaker:
        block, known, published = s.block, tuple(s.world.roots), tuple(s.world.published)
        return lambda: kind(block, known, published, mangle=lambda _method, result: result)

    _node(
        name,
        attack,
        refuse(*GONE, *PROOF, Reason.TRUST_ROOT_MISSING),
        "an answer is bounded in bytes and in depth",
        _hostile,
        max_sent_bytes=MAX_SENT_BYTES,
    )
