"""Merkle-Patricia proofs: what is there, what is absent, and what is no trie at all (§5, V3 and V4)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ledger_client.conformance.case import ACCEPT, PROOF, Expected, refuse
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world.manufacturer import GROUP, LEDGER, OPERATOR
from ledger_client.conformance.world.tries import word_leaf
from ledger_client.conformance.world.words import channel_id
from ledger_protocol.content import dag_cbor
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import contract_state as keys_of
from ledger_protocol.report.reasons import Reason

SECTION: Final = "§5"
WITHHELD: Final = "withheld revocation"
ARBITRARY: Final = "arbitrary software"
NOT_PROVEN: Final = refuse(*PROOF)
STABLE: Final = channel_id("stable")


def with_nodes(
    name: str,
    expected: Expected,
    why: str,
    make: Callable[[Scenario], list[bytes]],
    *,
    attack: str = ARBITRARY,
    world: Mapping[str, Any] | None = None,
) -> None:
    """Register a case whose proof has these nodes."""

    @case(f"proof.{name}", attack, SECTION, expected, why, world=world)
    def _(s: Scenario) -> None:
        s.check(s.stick(nodes=make(s)))


def _without(
    name: str,
    key: Callable[[Scenario], bytes],
    why: str,
    *,
    attack: str = "dropped requests",
    before: Callable[[Scenario], None] = lambda _s: None,
) -> None:
    """Register a case whose proof shows every word but this one, after the ledger was changed by `before`."""

    def make(s: Scenario) -> list[bytes]:
        before(s)
        s.seal()
        path = s.block.state.storage_proof(LEDGER, key(s))
        return [node for node in s.world.nodes() if node != path[-1]]

    with_nodes(name, NOT_PROVEN, why, make, attack=attack)


with_nodes(
    "in-reverse",
    ACCEPT,
    "nodes are found by their hash: their order means nothing",
    lambda s: s.world.nodes()[::-1],
)
with_nodes(
    "with-foreign-nodes",
    ACCEPT,
    "nodes of other paths are never read",
    lambda s: [*(keccak256(bytes([place])) * 4 for place in range(50)), *s.world.nodes()],
)
with_nodes("with-empty-list", NOT_PROVEN, "without nodes nothing is shown", lambda _s: [])
with_nodes(
    "without-the-root-node", NOT_PROVEN, "the walk begins at the state root", lambda s: s.world.nodes()[1:]
)


def _older(s: Scenario) -> list[bytes]:
    old = s.world.nodes()
    s.world.revoke(bytes(32))
    s.publish(s.world.build(12), 12)
    return old


with_nodes(
    "of-another-block",
    NOT_PROVEN,
    "nodes of another state prove nothing under this root",
    _older,
    attack="mix-and-match",
)


def _head_revoked(s: Scenario) -> bytes:
    return keys_of.revoked_key(s.head.id)


def _revoked(release: Callable[[Scenario], bytes]) -> Callable[[Scenario], None]:
    return lambda s: s.world.revoke(release(s))


_without(
    "without-heads-revocation",
    _head_revoked,
    "silence is no proof of absence: this head is revoked, and the node that says so is left out",
    attack=WITHHELD,
    before=_revoked(lambda s: s.head.id),
)
_without(
    "without-installeds-revocation",
    lambda s: keys_of.revoked_key(s.installed.id),
    "a device whose own release is revoked must not be left in the dark",
    attack=WITHHELD,
    before=_revoked(lambda s: s.installed.id),
)


def _beside(s: Scenario) -> None:
    """Let the path of the head's revocation end at a leaf that no other path needs."""
    s.world.raw[_sibling(keccak256(_head_revoked(s)), 20)] = word_leaf(7)


_without(
    "without-proof-of-absence",
    _head_revoked,
    "that a release is not revoked has to be proven: the node where its word would be is left out",
    attack=WITHHELD,
    before=_beside,
)
_without(
    "without-channels-word",
    lambda _s: keys_of.word_key(STABLE),
    "a halt stands in the channel's word",
)
_without(
    "without-head",
    lambda _s: keys_of.head_key(STABLE),
    "the newest release is proven, not told",
)
_without(
    "without-trust-root",
    lambda _s: keys_of.trust_root_key(),
    "a missing root is found by its digest",
    attack="dropped requests",
)


@case(
    "proof.without-approval",
    "dropped requests",
    SECTION,
    NOT_PROVEN,
    "where an operator is pinned, its word has to be proven",
    world={"operator": OPERATOR},
)
def _(s: Scenario) -> None:
    s.world.words[keys_of.approval_key(OPERATOR, s.head.id)] = s.world.time
    s.seal()
    key = keys_of.approval_key(OPERATOR, s.head.id)
    path = s.block.state.storage_proof(LEDGER, key)
    s.check(s.stick(nodes=[node for node in s.world.nodes() if node != path[-1]]))


def _altered(s: Scenario, node: bytes) -> list[bytes]:
    """Give the nodes with one bit of one of them turned."""
    changed = node[:-1] + bytes([node[-1] ^ 1])
    return [changed if each == node else each for each in s.world.nodes()]


with_nodes(
    "state-root-node-altered",
    NOT_PROVEN,
    "an altered node has another hash, so it is not there",
    lambda s: _altered(s, s.block.state.account_proof(LEDGER)[0]),
)
with_nodes(
    "storage-root-node-altered",
    NOT_PROVEN,
    "an altered node has another hash, so it is not there",
    lambda s: _altered(s, s.block.state.storage_proof(LEDGER, keys_of.head_key(STABLE))[0]),
)
with_nodes(
    "leaf-altered",
    NOT_PROVEN,
    "an altered leaf has another hash, so it is not there",
    lambda s: _altered(s, s.block.state.storage_proof(LEDGER, keys_of.head_key(STABLE))[-1]),
)

# --- absence in each of its shapes


@case(
    "proof.nothing-on-the-ledger",
    "indefinite freeze",
    SECTION,
    refuse(Reason.NO_RELEASE),
    "an empty storage proves that nothing was published",
)
def _(s: Scenario) -> None:
    s.world.words.clear()
    s.seal()
    s.check(s.stick())


@case(
    "proof.head-with-leading-zeros",
    ARBITRARY,
    SECTION,
    ACCEPT,
    "a word is an RLP scalar: the leading zero bytes of a release id are gone, and must come back",
)
def _(s: Scenario) -> None:
    number, release = 0, s.head
    while release.id[0]:
        number += 1
        release = s.world.sign(dag_cbor.encode(s.world.fields(11, notes=f"try {number}")), s.head.images)
        s.world.releases.pop()
    s.world.releases.append(release)
    s.head = release
    s.publish(s.world.enclose(release.manifest, s.world.build(11).images, release.envelope), 11)
    s.check(s.stick())


@case(
    "proof.trust-root-word-is-zero",
    "mix-and-match",
    SECTION,
    ACCEPT,
    "a ledger that names no trust root yet contradicts none",
)
def _(s: Scenario) -> None:
    del s.world.words[keys_of.trust_root_key()]
    s.seal()
    s.check(s.stick())


def _sibling(path: bytes, nibbles: int) -> bytes:
    """Give another path that shares this many nibbles with `path`."""
    text = path.hex()
    other = f"{text[:nibbles]}{int(text[nibbles], 16) ^ 1:x}" + "0" * (63 - nibbles)
    return bytes.fromhex(other)


def _neighbour(
    name: str, expected: Expected, why: str, key: Callable[[Scenario], bytes], nibbles: int, **options: Any
) -> None:
    """Register a case in which another entry shares `nibbles` nibbles of the path to a word."""

    @case(
        f"proof.{name}",
        options.pop("attack", WITHHELD),
        SECTION,
        expected,
        why,
        world=options.pop("world", None),
    )
    def _(s: Scenario) -> None:
        before = options.get("before")
        if before is not None:
            before(s)
        s.world.raw[_sibling(keccak256(key(s)), nibbles)] = word_leaf(options.get("word", 7))
        s.seal()
        s.check(s.stick())


_neighbour(
    "absent-beside-a-leaf",
    ACCEPT,
    "absence is shown by the leaf that stands where the path ends",
    _head_revoked,
    20,
)
_neighbour(
    "absent-below-an-extension",
    ACCEPT,
    "absence is shown by an extension that leads elsewhere",
    _head_revoked,
    12,
)


def _approved(s: Scenario) -> None:
    s.world.words[keys_of.approval_key(OPERATOR, s.head.id)] = s.world.time


def _approval(s: Scenario) -> bytes:
    return keys_of.approval_key(OPERATOR, s.head.id)


_neighbour(
    "present-in-an-inlined-leaf",
    ACCEPT,
    "a node under 32 bytes stands inside its parent, with no hash of its own",
    _approval,
    62,
    before=_approved,
    world={"operator": OPERATOR},
    attack=ARBITRARY,
)
_neighbour(
    "absent-beside-an-inlined-leaf",
    refuse(Reason.NOT_APPROVED),
    "absence may have to be read inside a parent node",
    _approval,
    63,
    world={"operator": OPERATOR},
    attack=ARBITRARY,
)


@case(
    "proof.revoked-in-an-inlined-leaf",
    "re-signed revoked release",
    SECTION,
    refuse(Reason.REVOKED),
    "a revocation counts wherever its leaf stands",
)
def _(s: Scenario) -> None:
    s.world.revoke(s.head.id)
    s.world.raw[_sibling(keccak256(_head_revoked(s)), 63)] = word_leaf(7)
    s.seal()
    s.check(s.stick())


# --- other words


@case(
    "proof.word-of-another-contract",
    "staging chain",
    "V4",
    NOT_PROVEN,
    "bits outside the layout mean a contract that this client does not know",
)
def _(s: Scenario) -> None:
    s.publish(s.world.build(11), 11, spare_bits=1)
    s.check(s.stick())


@case(
    "proof.revocation-without-time",
    WITHHELD,
    "V4",
    NOT_PROVEN,
    "a revocation has a time: another word there means another contract",
)
def _(s: Scenario) -> None:
    s.world.words[keys_of.revoked_key(s.head.id)] = 1 << 40
    s.seal()
    s.check(s.stick())


@case(
    "proof.channel-by-group",
    "wrong channel",
    "V4",
    ACCEPT,
    "a device may follow its group, whose channel the ledger names",
)
def _(s: Scenario) -> None:
    s.change_device(channel=None, group=GROUP)
    s.world.words[keys_of.channel_of_key(GROUP)] = int.from_bytes(STABLE, "big")
    s.seal()
    s.check(s.stick())


@case(
    "proof.channel-by-journal",
    "wrong channel",
    "V4",
    ACCEPT,
    "a device may follow the group that the journal proves for it",
)
def _(s: Scenario) -> None:
    s.change_device(channel=None)
    s.world.words[keys_of.channel_of_key(GROUP)] = int.from_bytes(STABLE, "big")
    s.seal()
    s.check(s.stick())


@case(
    "proof.group-without-channel",
    "wrong channel",
    "V5",
    refuse(Reason.NO_GROUP),
    "a group that follows no channel has no release",
)
def _(s: Scenario) -> None:
    s.change_device(channel=None, group=GROUP)
    s.check(s.stick())


@case(
    "proof.not-enrolled",
    "wrong channel",
    "V5",
    refuse(Reason.NOT_ENROLLED, Reason.NO_GROUP),
    "a device that the journal does not know follows nothing",
)
def _(s: Scenario) -> None:
    s.change_device(channel=None)
    s.world.journal.clear()
    s.seal()
    s.check(s.stick())


@case(
    "proof.retired",
    "wrong channel",
    "V5",
    refuse(Reason.RETIRED),
    "a device that was retired installs nothing",
)
def _(s: Scenario) -> None:
    s.change_device(channel=None)
    s.world.words[keys_of.channel_of_key(GROUP)] = int.from_bytes(STABLE, "big")
    s.world.enrol(retired=True)
    s.seal()
    s.check(s.stick())
