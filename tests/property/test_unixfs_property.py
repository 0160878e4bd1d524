import multiformats
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.content import unixfs
from ledger_protocol.content.cid import DAG_PB, RAW, Cid
from ledger_protocol.content.unixfs import FileNode, Link, build_from_leaves, decode_node, encode_node
from tests.fuzzing import decodes_strictly, mutated

sizes = st.integers(1, 2**39)
links = st.builds(
    Link,
    st.builds(Cid, st.sampled_from([RAW, DAG_PB]), st.binary(min_size=32, max_size=32)),
    st.integers(0, 2**41),
    st.integers(1, 2**36),
)
nodes = st.lists(links, min_size=1, max_size=12).map(encode_node)


def _uvarint(number):
    return multiformats.varint.encode(number)


def _field(number, data):
    return bytes((number << 3 | 2,)) + _uvarint(len(data)) + data


def _as_kubo_does(leaf_sizes, width):
    """The recursion of content.md §1, with its own protobuf: returns (cid bytes, file size, total size)."""
    pending = [
        (b"\x01\x55\x12\x20" + bytes([n % 256]) * 32, size, size) for n, size in enumerate(leaf_sizes)
    ][::-1]

    def node(children):
        out = b""
        data = b"\x08\x02\x18" + _uvarint(sum(child[1] for child in children))
        for cid, size, tsize in children:
            out += _field(2, _field(1, cid) + _field(2, b"") + b"\x18" + _uvarint(tsize))
            data += b"\x20" + _uvarint(size)
        out += _field(1, data)
        cid = b"\x01\x70\x12\x20" + multiformats.multihash.digest(out, "sha2-256")[2:]
        return cid, sum(child[1] for child in children), len(out) + sum(child[2] for child in children)

    def fill(depth, first):
        children = list(first)
        while len(children) < width and pending:
            children.append(pending.pop() if depth == 1 else fill(depth - 1, []))
        return node(children)

    root, depth = pending.pop(), 0
    while pending:
        depth += 1
        root = fill(depth, [root])
    return root


@settings(max_examples=150)
@given(st.lists(st.integers(1, 2**21), min_size=1, max_size=80), st.sampled_from([3, 4, 5, 7]))
def test_streaming_gives_the_root_of_the_recursion(leaf_sizes, width):
    leaves = [(Cid(RAW, bytes([n % 256]) * 32), size) for n, size in enumerate(leaf_sizes)]
    root, blocks = build_from_leaves(leaves, width)
    expected, total, _ = _as_kubo_does(leaf_sizes, width)
    assert root.to_bytes() == expected
    if blocks:
        assert blocks[-1][0] == root
        assert decode_node(blocks[-1][1]).file_size == total


@settings(max_examples=100)
@given(st.integers(1, 300), st.integers(4, 9))
def test_walking_the_tree_gives_the_leaves_in_order(count, width):
    leaves = [unixfs.leaf(n.to_bytes(2, "big")) for n in range(count)]
    root, blocks = build_from_leaves([(leaf.cid, leaf.file_size) for leaf in leaves], width)
    held = dict(blocks)

    def walk(cid):
        if cid.codec == RAW:
            return [cid]
        return [leaf for link in decode_node(held[cid]).links for leaf in walk(link.cid)]

    assert walk(root) == [leaf.cid for leaf in leaves]
    assert len(held) == len(blocks)


@settings(max_examples=300)
@given(nodes.flatmap(mutated) | st.binary(max_size=100))
def test_only_protocol_errors_leave_and_what_is_accepted_is_canonical(block):
    decodes_strictly(decode_node, lambda node: encode_node(node.links), block)


@settings(max_examples=100)
@given(st.lists(links, min_size=1, max_size=12))
def test_decoding_undoes_encoding(children):
    assert decode_node(encode_node(children)) == FileNode(tuple(children), sum(c.file_size for c in children))
