import io
import tracemalloc

import pytest

from ledger_protocol import limits
from ledger_protocol.bundle import open_bundle, part_name, write_bundle
from ledger_protocol.content import car, dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from ledger_protocol.errors import LimitError, MalformedError, MismatchError, MissingError
from tests.protocol_makers import ROOT_SIGNERS, manifest, root_chain, signed_release

PROOF = dag_cbor.encode({"schema": "fwledger/ledger-proof/1", "nodes": [b"node"]})
ROOTS = root_chain(3)
ENVELOPE, MANIFEST = signed_release(manifest(), *ROOT_SIGNERS)
BLOCKS = [bytes([n]) * (500 + n) for n in range(40)]
CIDS = [Cid.of(RAW, block) for block in BLOCKS]
PROOF_CID, ENVELOPE_CID = Cid.of(DAG_CBOR, PROOF), Cid.of(DAG_CBOR, ENVELOPE)


def write(**changes):
    """Write a bundle into memory; return the bytes of its parts."""
    parts: list[io.BytesIO] = []

    def open_part(index):
        assert index == len(parts)
        parts.append(io.BytesIO())
        return parts[-1]

    options = {
        "proof": PROOF,
        "trust_roots": ROOTS,
        "envelope": ENVELOPE,
        "manifest": MANIFEST,
        "blocks": zip(CIDS, BLOCKS, strict=True),
    }
    count = write_bundle(open_part, **(options | changes))
    assert count == len(parts)
    return [part.getvalue() for part in parts]


def read(parts):
    return open_bundle([io.BytesIO(part) for part in parts])


def section(block, codec=DAG_CBOR):
    return car.encode_section(Cid.of(codec, block), block)


def by_hand(*sections, roots=(PROOF_CID, ENVELOPE_CID)):
    return [car.encode_header(roots) + b"".join(sections)]


[WHOLE] = write()
PREFIX = len(by_hand(section(PROOF), *map(section, ROOTS), section(ENVELOPE), section(MANIFEST))[0])


# --- reading ---


def test_each_truncation_is_noticed_at_the_latest_when_the_cut_block_is_asked_for():
    for size in [*range(0, PREFIX, 13), *range(PREFIX, len(WHOLE), 977), len(WHOLE) - 1]:
        with pytest.raises((MalformedError, MissingError)):
            read([WHOLE[:size]]).block(CIDS[-1])


def test_a_cut_block_is_named_as_truncated():
    with pytest.raises(MalformedError, match="truncated part 0"):
        read([WHOLE[:-1]]).block(CIDS[0])


def test_a_changed_document_is_refused_on_opening():
    for document in (PROOF, ROOTS[1], ENVELOPE, MANIFEST):
        at = WHOLE.index(document) + len(document) - 1
        with pytest.raises(MismatchError):
            read([WHOLE[:at] + bytes((WHOLE[at] ^ 1,)) + WHOLE[at + 1 :]])


def test_a_changed_block_is_refused_when_read_and_others_stay_readable():
    at = WHOLE.index(BLOCKS[7])
    reader = read([WHOLE[:at] + b"\xff" + WHOLE[at + 1 :]])
    assert reader.block(CIDS[6]) == BLOCKS[6]
    with pytest.raises(MismatchError):
        reader.block(CIDS[7])
    with pytest.raises(MismatchError):
        list(reader.blocks())


def test_a_block_that_is_not_there_is_named():
    absent = Cid.of(RAW, b"absent")
    with pytest.raises(MissingError, match=str(absent)):
        read([WHOLE]).block(absent)


def test_a_block_under_another_codec_is_not_there():
    with pytest.raises(MissingError):
        read([WHOLE]).block(Cid(DAG_CBOR, CIDS[0].digest))


def test_a_block_over_the_callers_limit_is_refused():
    reader = read([WHOLE])
    assert reader.block(CIDS[0], max_bytes=500) == BLOCKS[0]
    with pytest.raises(LimitError, match="500 bytes"):
        reader.block(CIDS[0], max_bytes=499)


def test_two_blocks_whose_digests_begin_alike_are_told_apart():
    near = Cid(RAW, CIDS[3].digest[:8] + bytes(24))
    lie = car.section_head(near, 4) + b"fake"
    parts = by_hand(section(PROOF), section(ENVELOPE), section(MANIFEST), lie, section(BLOCKS[3], RAW), lie)
    reader = read(parts)
    assert reader.block(CIDS[3]) == BLOCKS[3]
    with pytest.raises(MismatchError):
        reader.block(near)


@pytest.mark.parametrize(
    "roots",
    [
        (PROOF_CID,),
        (PROOF_CID, PROOF_CID),
        (ENVELOPE_CID, PROOF_CID),
        (PROOF_CID, ENVELOPE_CID, PROOF_CID),
        (PROOF_CID, Cid.of(DAG_CBOR, MANIFEST)),
        (Cid.of(DAG_CBOR, b"other"), ENVELOPE_CID),
    ],
)
def test_other_roots_are_refused(roots):
    with pytest.raises((MalformedError, MissingError)):
        read(by_hand(section(PROOF), section(ENVELOPE), section(MANIFEST), roots=roots))


@pytest.mark.parametrize(
    "sections",
    [
        [],
        [PROOF],
        [ENVELOPE, PROOF, MANIFEST],
        [PROOF, MANIFEST, ENVELOPE],
        [PROOF, ENVELOPE],
        [PROOF, ENVELOPE, PROOF, MANIFEST],
        [PROOF, *ROOTS],
        [*ROOTS, PROOF, ENVELOPE, MANIFEST],
    ],
)
def test_documents_in_another_order_or_missing_are_refused(sections):
    with pytest.raises((MalformedError, MissingError)):
        read(by_hand(*map(section, sections)))


def test_an_envelope_that_is_none_is_refused():
    bogus = dag_cbor.encode({"schema": "bogus"})
    with pytest.raises(MalformedError):
        read(by_hand(section(PROOF), section(bogus), roots=(PROOF_CID, Cid.of(DAG_CBOR, bogus))))


@pytest.mark.parametrize(
    ("position", "size"),
    [(0, limits.MAX_PROOF_BYTES), (1, limits.MAX_TRUST_ROOT_BYTES), (2, limits.MAX_ENVELOPE_BYTES)],
)
def test_an_oversize_document_is_refused(position, size):
    documents = [PROOF, ROOTS[0], ENVELOPE, MANIFEST]
    documents[position] = bytes(size + 1)
    roots = (Cid.of(DAG_CBOR, documents[0]), Cid.of(DAG_CBOR, documents[2]))
    with pytest.raises(LimitError, match=f"at most {size} bytes"):
        read(by_hand(*map(section, documents), roots=roots))


def test_too_many_trust_roots_are_refused():
    many = [section(b"%d" % n) for n in range(257)]
    with pytest.raises(LimitError, match="trust roots"):
        read(by_hand(section(PROOF), *many, section(ENVELOPE), section(MANIFEST)))
    reader = read(by_hand(section(PROOF), *many[:256], section(ENVELOPE), section(MANIFEST)))
    assert len(reader.trust_roots) == 256


def test_trust_roots_that_are_too_long_together_are_refused():
    many = [section(bytes([n]) * 65_536) for n in range(65)]
    with pytest.raises(LimitError, match="trust root"):
        read(by_hand(section(PROOF), *many, section(ENVELOPE), section(MANIFEST)))


def test_an_oversize_section_is_refused_by_its_length_alone():
    head = car.section_head(CIDS[0], limits.MAX_BLOCK_BYTES + 1)
    parts = by_hand(section(PROOF), section(ENVELOPE), section(MANIFEST), head)
    with pytest.raises(LimitError, match="block of CAR"):
        read(parts).block(CIDS[0])


def test_too_many_blocks_are_refused(monkeypatch):
    monkeypatch.setattr(limits, "MAX_BUNDLE_BLOCKS", 39)
    with pytest.raises(LimitError, match="blocks of bundle"):
        read([WHOLE]).block(CIDS[0])
    with pytest.raises(LimitError, match="blocks of bundle"):
        write()


def test_as_many_blocks_as_the_limit_are_written_and_read(monkeypatch):
    monkeypatch.setattr(limits, "MAX_BUNDLE_BLOCKS", 40)
    assert write() == [WHOLE]
    assert read([WHOLE]).block(CIDS[39]) == BLOCKS[39]


@pytest.mark.parametrize("parts", [[], [WHOLE] * 257])
def test_too_few_or_many_parts_are_refused(parts):
    with pytest.raises(LimitError, match="parts of bundle"):
        read(parts)


def test_a_part_over_the_fat32_limit_is_refused_unread():
    class Huge(io.BytesIO):
        def seek(self, offset, whence=0):
            return 2**32 if whence == 2 else super().seek(offset, whence)

    with pytest.raises(LimitError, match="part of bundle"):
        open_bundle([Huge(WHOLE)])


# --- parts ---


def test_a_part_of_another_bundle_is_refused():
    parts, other = write(max_part_bytes=12_000), write(max_part_bytes=12_000, proof=b"\xf6")
    with pytest.raises(MalformedError, match="roots of part 1"):
        read([parts[0], other[1], *parts[2:]])


def test_a_missing_part_is_noticed_when_its_blocks_are_asked_for():
    parts = write(max_part_bytes=12_000)
    reader = read(parts[:-1])
    assert reader.block(CIDS[0]) == BLOCKS[0]
    with pytest.raises(MissingError):
        reader.block(CIDS[-1])


def test_parts_keep_their_limit_and_begin_with_the_same_header():
    parts = write(max_part_bytes=12_000)
    assert len(parts) == 3
    for part in parts:
        assert len(part) <= 12_000
        assert car.read_header(io.BytesIO(part)) == (PROOF_CID, ENVELOPE_CID)
    assert len(write(max_part_bytes=len(WHOLE))) == 1
    assert len(write(max_part_bytes=len(WHOLE) - 1)) == 2


@pytest.mark.parametrize("max_part_bytes", [2100, 4000, 12_000, limits.MAX_BUNDLE_PART_BYTES])
def test_what_is_written_is_read_whatever_the_parts(max_part_bytes):
    reader = read(write(max_part_bytes=max_part_bytes))
    assert reader.proof == PROOF
    assert reader.trust_roots == tuple(ROOTS)
    assert (reader.envelope_cid, reader.envelope) == (ENVELOPE_CID, ENVELOPE)
    assert reader.manifest == MANIFEST
    assert list(reader.blocks()) == list(zip(CIDS, BLOCKS, strict=True))
    for cid, block in reversed(list(zip(CIDS, BLOCKS, strict=True))):
        assert reader.block(cid) == block


def test_looking_up_while_streaming_disturbs_nothing():
    reader = read(write(max_part_bytes=12_000))
    for n, (cid, _) in enumerate(reader.blocks()):
        assert cid == CIDS[n]
        assert reader.block(CIDS[-1 - n]) == BLOCKS[-1 - n]


def test_parts_have_names():
    assert [part_name("update", n) for n in range(3)] == ["update.car", "update.1.car", "update.2.car"]


# --- writing ---


def test_a_manifest_that_the_envelope_does_not_link_is_not_written():
    with pytest.raises(MismatchError, match="manifest of bundle"):
        write(manifest=manifest(sequence=8).encode())


def test_a_block_that_is_not_its_cid_is_not_written():
    with pytest.raises(MismatchError):
        write(blocks=[(CIDS[0], BLOCKS[1])])


@pytest.mark.parametrize(
    "trust_roots", [[ROOTS[1], ROOTS[0]], [ROOTS[0], ROOTS[2]], [ROOTS[0], ROOTS[0]], [b"\xf6"]]
)
def test_trust_roots_out_of_order_are_not_written(trust_roots):
    with pytest.raises(MalformedError):
        write(trust_roots=trust_roots)


def test_oversize_documents_are_not_written():
    with pytest.raises(LimitError, match="ledger proof"):
        write(proof=bytes(65_537))
    with pytest.raises(LimitError, match="trust roots"):
        write(trust_roots=[ROOTS[0]] * 257)


def test_documents_of_exactly_their_limit_are_written_and_read():
    assert read(write(proof=bytes(65_536))).proof == bytes(65_536)


def test_a_proof_that_is_also_another_document_is_not_written():
    with pytest.raises(MalformedError, match="twice"):
        write(proof=MANIFEST)


@pytest.mark.parametrize("max_part_bytes", [limits.MAX_BUNDLE_PART_BYTES + 1, 1000])
def test_a_part_size_that_cannot_be_is_refused(max_part_bytes):
    with pytest.raises(LimitError, match="part of bundle"):
        write(max_part_bytes=max_part_bytes)


def test_more_parts_than_a_reader_takes_are_not_written():
    blocks = [n.to_bytes(2, "big") * 900 for n in range(300)]
    with pytest.raises(LimitError, match="parts of bundle"):
        write(max_part_bytes=2100, blocks=((Cid.of(RAW, block), block) for block in blocks))


def test_a_block_that_comes_again_is_written_once():
    pairs = list(zip(CIDS, BLOCKS, strict=True))
    assert write(blocks=[*pairs, *pairs]) == [WHOLE]


def test_trust_roots_may_be_left_out():
    assert read(write(trust_roots=[])).trust_roots == ()


def test_the_index_of_many_blocks_is_small():
    count = 20_000
    head = by_hand(section(PROOF), section(ENVELOPE), section(MANIFEST))[0]
    body = b"".join(section(n.to_bytes(4, "big"), RAW) for n in range(count))
    reader = read([head + body])
    wanted = Cid.of(RAW, (count - 1).to_bytes(4, "big"))
    tracemalloc.start()
    reader.block(wanted)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 20 * count
