"""Whatever a node, a relay or a gateway answers, a source gives bytes or one of our errors."""

import contextlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from device_verifier.errors import SourceUnreachable
from device_verifier.inquiry import consult
from device_verifier.sources import StateQuery
from device_verifier.sources.http import Answer
from device_verifier.sources.rpc import RpcLedger
from device_verifier.strict_json import parse_json
from tests.sim.scene import Scene
from tests.sim.servers import Node
from tests.sim.sources import MemoryBlocks

SCENE = Scene()
SCENE.repository.enrol()
SCENE.repository.assign(7, "stable")
SCENE.repository.seal()
LEDGER = SCENE.repository.root.ledger
QUERY = StateQuery(device=b"\x44" * 20, installed=b"\x05" * 32)

hex_text = st.binary(max_size=80).map(lambda data: "0x" + data.hex())
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=10)
    | hex_text
    | st.sampled_from(["0x", "0x-1", "0x1_0"])
)
keys = st.sampled_from(
    ["accountProof", "storageProof", "value", "proof", "topics", "data", "number", "extraData", "miner"]
)
answers = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=12,
)


class Scripted:
    """In place of the HTTP client: an honest node whose `at`-th answer is another."""

    name = "scripted"

    def __init__(self, at: int, answer: object, *, raw: bytes | None = None) -> None:
        self.node = Node(SCENE.repository)
        self.at, self.answer, self.raw = at, answer, raw
        self.count = 0

    def post(self, _path, body, **_):
        self.count += 1
        if self.count - 1 != self.at:
            return Answer(*self.node("POST", "", body))
        data = json.dumps({"result": self.answer}).encode() if self.raw is None else self.raw
        return Answer(200, data)

    def operation(self, _total_s):
        return contextlib.nullcontext()

    def may_go_on(self):
        return True

    def abandon(self):
        pass


def source(client: Scripted) -> RpcLedger:
    made = RpcLedger("http://127.0.0.1:1", blocks=[MemoryBlocks({})])
    made._http = client
    return made


@given(at=st.integers(0, 7), answer=answers)
@settings(max_examples=200, deadline=None)
def test_any_answer_of_a_node_gives_bytes_or_our_error(at, answer):
    for ask in (
        lambda node: node.proof(QUERY, ledger=LEDGER),
        lambda node: node.trust_roots(after_version=0, ledger=LEDGER),
    ):
        try:
            found = ask(source(Scripted(at, answer)))
        except SourceUnreachable:
            continue
        assert isinstance(found, bytes | list)


@given(at=st.integers(0, 7), raw=st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_bytes_of_a_node_give_bytes_or_our_error(at, raw):
    with contextlib.suppress(SourceUnreachable):
        assert source(Scripted(at, None, raw=raw)).proof(QUERY, ledger=LEDGER)


@given(at=st.integers(0, 12), answer=answers)
@settings(max_examples=100, deadline=None)
def test_a_device_with_one_honest_source_is_never_moved_by_a_lying_node(at, answer):
    scene = SCENE
    scene.memory.floor, scene.memory.roots = None, []
    device = scene.repository.device(channel=None)
    ledgers = [source(Scripted(at, answer)), scene.ledger]
    answer = consult(device, ledgers=ledgers, blocks=scene.mirrors, memory=scene.memory)
    assert answer.release.release_id == scene.release.id


@given(
    st.binary(max_size=200)
    | st.recursive(leaves, lambda i: st.lists(i, max_size=3), max_leaves=5).map(
        lambda v: json.dumps(v).encode()
    )
)
@settings(max_examples=200, deadline=None)
def test_json_of_strangers_is_parsed_or_refused_by_value_error(data):
    try:
        parse_json(data, max_bytes=150)
    except ValueError:
        return
    assert len(data) <= 150
