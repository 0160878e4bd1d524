"""Whatever bytes come in: only errors of ours leave, and what is read is what was written."""

from __future__ import annotations

import contextlib
import io
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_client.content import dag, hamt
from ledger_client.content.address import Address
from ledger_client.content.chunker import Fixed
from ledger_client.content.files import blocks_of_range, read_range, resolve
from ledger_client.content.importer import Profile, import_file
from ledger_client.content.node import negotiation
from ledger_client.content.node.body import UploadedFile, UploadError
from ledger_client.content.node.negotiation import BadRequestError, CarForm
from ledger_client.content.publish import PieceReader, in_pieces, release_car
from ledger_client.errors import ClientError
from ledger_protocol.content import car, dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, DAG_PB, RAW, Cid
from ledger_protocol.errors import ProtocolError
from tests.fuzzing import mutated

addresses = st.one_of(
    st.builds(
        Address, st.just(1), st.sampled_from([RAW, DAG_PB, DAG_CBOR]), st.binary(min_size=32, max_size=32)
    ),
    st.builds(Address, st.just(0), st.just(DAG_PB), st.binary(min_size=32, max_size=32)),
    st.builds(Address, st.just(1), st.just(RAW), st.binary(max_size=64), st.just(True)),
)


class Memory(dict):
    """A store in memory, which is also a sink."""

    def put_many(self, blocks):
        before = len(self)
        self.update(blocks)
        return len(self) - before

    def get(self, cid):
        return self[cid]


# addresses


@given(addresses)
def test_an_address_reads_back_from_bytes_and_text(address):
    assert Address.from_bytes(address.to_bytes()) == address
    assert Address.parse(str(address)) == address


@given(st.one_of(st.text(max_size=80), st.from_regex(r"[bBzfFQ][a-zA-Z0-9]{0,90}", fullmatch=True)))
def test_any_text_is_an_address_or_malformed(text):
    with contextlib.suppress(ProtocolError):
        assert Address.parse(text).to_bytes()


@given(st.one_of(st.binary(max_size=200), addresses.flatmap(lambda address: mutated(address.to_bytes()))))
def test_any_bytes_are_an_address_or_malformed(data):
    with contextlib.suppress(ProtocolError):
        assert Address.from_bytes(data).to_bytes() == data


# dag-pb, UnixFS and HAMT of any writer


def tree_of(data: bytes, size: int = 50, width: int = 4):
    memory = Memory()
    return import_file(io.BytesIO(data), profile=Profile(Fixed(size), width), sink=memory), memory


ROOT, BLOCKS = tree_of(bytes(range(200)))
NODE = BLOCKS[ROOT.root]


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=300), mutated(NODE)))
def test_any_bytes_are_a_node_or_malformed(block):
    with contextlib.suppress(ProtocolError):
        node = dag.decode_pb(block)
        dag.links_of(Address(1, DAG_PB, bytes(32)), block)
        dag.decode_unixfs(node)
        hamt.find(node, "name", lambda _: block)


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=300), mutated(NODE)), st.integers(0, 300), st.integers(0, 300))
def test_a_hostile_root_of_a_file_ends_in_bytes_or_in_an_error_of_ours(block, first, last):
    root = Cid.of(DAG_PB, block)
    blocks = {**BLOCKS, root: block}
    with contextlib.suppress(ProtocolError, KeyError):
        for _ in blocks_of_range(Address.of(root), blocks.__getitem__, first, last):
            pass
    with contextlib.suppress(ProtocolError, KeyError, ClientError):
        resolve(Address.of(root), ["a", "0"], blocks.__getitem__)


def test_a_file_that_contains_itself_by_size_cannot_be_made_to_loop():
    # A node cannot hold its own digest; the same child many times over is the worst that there is.
    child = Cid.of(RAW, b"x" * 50)
    from ledger_protocol.content.unixfs import Link, encode_node

    block = encode_node([Link(child, 50, 50)] * 1000)
    blocks = {Cid.of(DAG_PB, block): block, child: b"x" * 50}
    assert len(list(dag.walk(Address.of(Cid.of(DAG_PB, block)), blocks.__getitem__))) == 2


@settings(max_examples=150)
@given(st.binary(max_size=700), st.integers(0, 750), st.one_of(st.none(), st.integers(-1, 750)))
def test_a_range_of_a_file_is_that_slice(data, first, last):
    done, memory = tree_of(data)
    end = len(data) if last is None else last + 1
    assert b"".join(read_range(Address.of(done.root), memory.get, first, last)) == data[first : max(end, 0)]


@given(st.binary(max_size=900))
def test_a_release_car_holds_each_block_once_and_reads_back(data):
    done, memory = tree_of(data)
    document = dag_cbor.encode({"image": done.root, "again": done.root})
    root = Cid.of(DAG_CBOR, document)
    memory[root] = document
    stream = PieceReader(release_car(memory, root))
    assert car.read_header(stream) == (root,)
    sections = list(car.iter_blocks(stream))
    assert dict(sections) == memory
    assert len(sections) == len(memory)


# streams


@given(st.lists(st.binary(max_size=30)), st.integers(1, 50), st.integers(1, 40))
def test_pieces_and_readers_keep_the_bytes(parts, piece_bytes, step):
    pieces = list(in_pieces(parts, piece_bytes))
    assert b"".join(pieces) == b"".join(parts)
    assert all(len(piece) >= piece_bytes for piece in pieces[:-1])
    reader = PieceReader(parts)
    assert b"".join(iter(lambda: reader.read(step), b"")) == b"".join(parts)


class Pieces:
    def __init__(self, body: bytes, cuts: list[int]) -> None:
        edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
        self.pieces = [body[low:high] for low, high in itertools.pairwise(edges)]

    def next_piece(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


TYPE = "multipart/form-data; boundary=bb"
# Dashes, line ends and the boundary's own letters: content that looks like a delimiter as often as can be.
LOOKALIKE = st.lists(st.sampled_from([b"\r\n", b"--", b"b", b"bb", b"\r", b"\n", b"-", b"data"])).map(
    b"".join
)
FILES = st.one_of(st.binary(max_size=200), LOOKALIKE).filter(lambda data: b"\r\n--bb" not in b"\r\n" + data)


@settings(max_examples=200)
@given(FILES, st.lists(st.integers(0, 10_000), max_size=12), st.integers(1, 50))
def test_an_uploaded_file_arrives_however_it_is_cut(content, cuts, step):
    body = b'--bb\r\nContent-Disposition: form-data; filename="n"\r\n\r\n' + content + b"\r\n--bb--\r\n"
    file = UploadedFile(Pieces(body, cuts), TYPE)
    assert file.name == "n"
    assert b"".join(iter(lambda: file.read(step), b"")) == content


@settings(max_examples=200)
@given(
    mutated(b'--bb\r\nContent-Disposition: form-data; filename="n"\r\n\r\ncontent\r\n--bb--\r\n'),
    st.text(max_size=60),
)
def test_any_body_is_one_file_or_a_bad_upload(body, content_type):
    for kind in (TYPE, content_type, "multipart/form-data; boundary=" + content_type):
        with contextlib.suppress(UploadError):
            file = UploadedFile(Pieces(body, []), kind)
            while file.read(7):
                pass


# negotiation

HEADERS = st.one_of(
    st.none(),
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            ["*/*", "application/vnd.ipld.car", "application/vnd.ipld.raw", ";", "q=0.5", "dups=y", ",", "="]
        )
    ).map("".join),
)


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(["format", "car-version", "car-order", "car-dups", "dag-scope", "entity-bytes"]),
        st.one_of(
            st.text(max_size=12),
            st.sampled_from(["car", "raw", "1", "dfs", "y", "all", "entity", "0:*", "-5:-1", "3:9"]),
        ),
    ),
    HEADERS,
    st.integers(0, 1000),
)
def test_any_request_is_understood_or_a_bad_request(query, accept, size):
    try:
        form = negotiation.read_form(query, accept)
    except BadRequestError as error:
        assert error.status in (400, 406)  # noqa: PT017 (or it is understood)
        return
    if isinstance(form, CarForm):
        first, last = negotiation.clamp_span(form, size)
        assert first >= 0
        assert last < size
        assert form.tag("roots").isascii()


@given(HEADERS, st.text(max_size=60), st.integers(0, 5000))
def test_any_header_is_read_without_an_error(accept, text, size):
    negotiation.accepts_zstd(accept)
    negotiation.is_fresh(text, ('"a"',))
    shown = negotiation.disposition(text, "default")
    assert shown.isascii()
    assert shown.isprintable()
    with contextlib.suppress(BadRequestError):
        negotiation.read_range(text, size)


@given(
    st.one_of(st.none(), st.integers(0, 999)), st.one_of(st.none(), st.integers(0, 999)), st.integers(1, 500)
)
def test_a_range_lies_within_the_block(first, last, size):
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    try:
        span = negotiation.read_range(header, size)
    except BadRequestError as error:
        assert error.status == 416  # noqa: PT017 (or it is within)
        return
    if span is not None:
        assert 0 <= span[0] <= span[1] < size


@pytest.mark.parametrize(
    ("name", "value"), [(b"", 0), (b"hello", 0xCBD8A7B341BD9B02), (b"hello, world", 0x342FAC623A5EBC8E)]
)
def test_the_hash_of_sharded_directories_is_murmur3(name, value):
    assert hamt.murmur3_64(name) == value
