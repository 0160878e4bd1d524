import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from ledger_protocol.content import unixfs, varint
from ledger_protocol.content.cid import DAG_CBOR, DAG_PB, RAW, Cid
from ledger_protocol.content.unixfs import (
    EMPTY,
    Link,
    TreeBuilder,
    build_from_leaves,
    decode_node,
    encode_node,
)
from ledger_protocol.errors import LimitError, MalformedError, ProtocolError

CHILD = Cid.of(RAW, b"child")
LINKS = (Link(CHILD, 300, 300), Link(Cid.of(DAG_PB, b"node"), 70_000, 65_536))
NODE = encode_node(LINKS)


def keystream(seed: bytes, size: int) -> bytes:
    cipher = Cipher(algorithms.ChaCha20(hashlib.sha256(seed).digest(), bytes(16)), None)
    return cipher.encryptor().update(bytes(size))


def leaves(data: bytes, size: int = 2**20):
    for at in range(0, len(data), size):
        yield unixfs.leaf(data[at : at + size])


def build(data: bytes, **options):
    return build_from_leaves(((one.cid, one.file_size) for one in leaves(data)), **options)


def raw_node(*, links: bytes, data: bytes) -> bytes:
    return links + b"\x0a" + varint.encode(len(data)) + data


def raw_link(*parts: bytes) -> bytes:
    entry = b"".join(parts)
    return b"\x12" + varint.encode(len(entry)) + entry


HASH = b"\x0a\x24" + CHILD.to_bytes()
ONE = raw_link(HASH, b"\x12\x00", b"\x18\x05")
DATA = b"\x08\x02\x18\x05\x20\x05"

REFUSED = {
    "empty block": b"",
    "empty file as a node": b"\x0a\x02\x08\x02",
    "empty file as a node with its size": b"\x0a\x04\x08\x02\x18\x00",
    "inline data": b"\x0a\x09\x08\x02\x12\x03abc\x18\x03",
    "a directory": raw_node(links=ONE, data=b"\x08\x01"),
    "no data": ONE,
    "data first": b"\x0a\x06" + DATA + ONE,
    "data twice": raw_node(links=ONE, data=DATA) + b"\x0a\x06" + DATA,
    "trailing byte": raw_node(links=ONE, data=DATA) + b"\x00",
    "unknown field": raw_node(links=ONE, data=DATA) + b"\x1a\x00",
    "truncated link": ONE[:-1],
    "truncated data": raw_node(links=ONE, data=DATA)[:-1],
    "no file size": raw_node(links=ONE, data=b"\x08\x02\x20\x05"),
    "another file size": raw_node(links=ONE, data=b"\x08\x02\x18\x06\x20\x05"),
    "no block sizes": raw_node(links=ONE, data=b"\x08\x02\x18\x05"),
    "a block size too many": raw_node(links=ONE, data=b"\x08\x02\x18\x0a\x20\x05\x20\x05"),
    "a block size too few": raw_node(links=ONE + ONE, data=DATA),
    "packed block sizes": raw_node(links=ONE, data=b"\x08\x02\x18\x05\x22\x01\x05"),
    "empty child": raw_node(links=ONE, data=b"\x08\x02\x18\x00\x20\x00"),
    "a mode after the sizes": raw_node(links=ONE, data=DATA + b"\x38\xa4\x03"),
    "long varint in data": raw_node(links=ONE, data=b"\x08\x02\x18\x85\x00\x20\x05"),
    "long varint in link": raw_node(links=raw_link(HASH, b"\x12\x00", b"\x18\x85\x00"), data=DATA),
    "long length of link": b"\x12" + bytes((len(ONE) - 2 | 0x80, 0)) + ONE[2:] + b"\x0a\x06" + DATA,
    "a named link": raw_node(links=raw_link(HASH, b"\x12\x01a", b"\x18\x05"), data=DATA),
    "a link without name": raw_node(links=raw_link(HASH, b"\x18\x05"), data=DATA),
    "a link without size": raw_node(links=raw_link(HASH, b"\x12\x00"), data=DATA),
    "a link without hash": raw_node(links=raw_link(b"\x12\x00", b"\x18\x05"), data=DATA),
    "a link with more": raw_node(links=raw_link(HASH, b"\x12\x00", b"\x18\x05", b"\x18\x05"), data=DATA),
    "a link of version 0": raw_node(
        links=raw_link(b"\x0a\x22" + CHILD.to_bytes()[2:], b"\x12\x00", b"\x18\x05"), data=DATA
    ),
    "a link to dag-cbor": raw_node(
        links=raw_link(b"\x0a\x24" + Cid(DAG_CBOR, CHILD.digest).to_bytes(), b"\x12\x00", b"\x18\x05"),
        data=DATA,
    ),
    "a child over the limit": raw_node(
        links=ONE, data=b"\x08\x02\x18" + varint.encode(2**41) + b"\x20" + varint.encode(2**41)
    ),
    "children over the limit": raw_node(
        links=ONE * 2, data=b"\x08\x02\x18" + varint.encode(2**41) + (b"\x20" + varint.encode(2**40)) * 2
    ),
    "a link to more than can be": raw_node(
        links=raw_link(HASH, b"\x12\x00", b"\x18" + varint.encode(2**42)), data=DATA
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_dialects_of_a_file_node_are_refused(name):
    with pytest.raises(MalformedError):
        decode_node(REFUSED[name])


def test_the_node_that_the_refused_ones_differ_from_is_accepted():
    assert decode_node(raw_node(links=ONE, data=DATA)).links == (Link(CHILD, 5, 5),)


def test_a_node_of_too_many_links_is_refused():
    link = raw_link(HASH, b"\x12\x00", b"\x18\x01")
    wide = raw_node(links=link * 1024, data=b"\x08\x02\x18\x80\x08" + b"\x20\x01" * 1024)
    assert len(decode_node(wide).links) == 1024
    with pytest.raises(LimitError, match="links"):
        decode_node(raw_node(links=link * 1025, data=b"\x08\x02\x18\x81\x08" + b"\x20\x01" * 1025))


def test_an_oversize_node_is_refused_unread():
    with pytest.raises(LimitError, match="length"):
        decode_node(bytes(128 * 1024 + 1))


@pytest.mark.parametrize("count", [0, 1025])
def test_a_node_is_not_made_with_too_few_or_many_links(count):
    with pytest.raises(LimitError):
        encode_node([LINKS[0]] * count)


@pytest.mark.parametrize("width", [0, 1, 1025])
def test_a_tree_of_another_width_is_not_begun(width):
    with pytest.raises(LimitError):
        TreeBuilder(width)


@pytest.mark.parametrize(
    ("cid", "size"), [(CHILD, 0), (CHILD, 2**21 + 1), (Cid.of(DAG_PB, b""), 5), (CHILD, -1)]
)
def test_a_leaf_that_cannot_be_is_refused(cid, size):
    with pytest.raises(MalformedError):
        TreeBuilder().add_leaf(cid, size)


def test_a_finished_tree_takes_no_more():
    builder = TreeBuilder()
    builder.finish()
    with pytest.raises(RuntimeError):
        builder.add_leaf(CHILD, 5)
    with pytest.raises(RuntimeError):
        builder.finish()


def test_a_tree_deeper_than_the_limit_is_refused():
    with pytest.raises(LimitError, match="depth"):
        build_from_leaves([(CHILD, 5)] * 64, width=2)
    build_from_leaves([(CHILD, 5)] * 32, width=2)


def test_decoding_undoes_encoding():
    node = decode_node(NODE)
    assert node.links == LINKS
    assert node.file_size == 300 + 65_536


def test_one_leaf_is_the_file_itself():
    root, nodes = build(b"hello world")
    assert str(root) == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    assert nodes == []


def test_the_empty_file_is_one_empty_leaf():
    root, nodes = build(b"")
    assert root == EMPTY == Cid.of(RAW, b"")
    assert nodes == [(EMPTY, b"")]
    assert str(root) == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


def test_two_leaves_give_the_published_root():
    root, nodes = build(keystream(b"chunk-v1-seed", 2**20 + 1))
    assert str(root) == "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64"
    assert [cid for cid, _ in nodes] == [root]


def test_the_root_link_sums_sizes():
    builder = TreeBuilder(2)
    for one in leaves(bytes(range(5)), 1):
        builder.add_leaf(one.cid, one.file_size)
    root, _ = builder.finish()
    assert root.file_size == 5
    assert root.tsize > 5


def test_blocks_come_as_soon_as_they_are_final_and_children_first():
    builder = TreeBuilder(2)
    seen: set[Cid] = set()
    counts = []
    for one in leaves(bytes(range(9)), 1):
        blocks = builder.add_leaf(one.cid, one.file_size)
        counts.append(len(blocks))
        seen.add(one.cid)
        for cid, block in blocks:
            cid.verify(block)
            assert all(link.cid in seen for link in decode_node(block).links)
            seen.add(cid)
    assert counts == [0, 1, 0, 2, 0, 1, 0, 3, 0]


@pytest.mark.parametrize("data", ["", "80", "8000", "ffffffffffffffff80", "80" * 9 + "01", "ff" * 12])
def test_varints_that_are_truncated_long_or_not_minimal_are_refused(data):
    with pytest.raises(ProtocolError):
        varint.decode(bytes.fromhex(data), 0)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16383, 16384, 2**63 - 1])
def test_varints_read_what_they_write(number):
    data = b"\xff" + varint.encode(number) + b"\x05"
    assert varint.decode(data, 1) == (number, len(data) - 1)


@pytest.mark.parametrize("number", [-1, 2**63])
def test_varints_outside_63_bits_are_not_written(number):
    with pytest.raises(LimitError):
        varint.encode(number)
