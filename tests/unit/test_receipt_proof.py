import random
from dataclasses import replace

import pytest
import rlp as reference
from trie import HexaryTrie

from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import LimitError, MalformedError, ProofError, ProtocolError
from ledger_protocol.ledger import rlp
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.receipt_proof import (
    Log,
    Receipt,
    ReceiptProof,
    build_receipt_proof,
    decode_receipt,
    receipts_root,
    verify_receipt,
)
from tests.sim.validators import header_fields


def receipt(index: int, *, logs: int = 1, type_: int = 2) -> Receipt:
    return Receipt(
        type=type_,
        succeeded=index % 3 != 0,
        cumulative_gas_used=21_000 * (index + 1),
        bloom=bytes(256),
        logs=tuple(
            Log(bytes([index % 256]) * 20, (bytes(32), b"\7" * 32), b"data%d" % n) for n in range(logs)
        ),
    )


def block(encoded) -> bytes:
    return rlp.encode(list(header_fields(receipts_root=receipts_root(encoded))))


def proof(encoded, index: int) -> ReceiptProof:
    return ReceiptProof(header=block(encoded), index=index, nodes=build_receipt_proof(encoded, index))


TWENTY = [receipt(index, type_=index % 5).encode() for index in range(20)]


@pytest.mark.parametrize("count", [1, 2, 3, 127, 128, 129, 300])
def test_every_receipt_of_a_block_is_proved(count):
    encoded = [receipt(index, type_=index % 5).encode() for index in range(count)]
    header = parse_header(block(encoded))
    for index in {0, 1, count // 2, count - 1, min(127, count - 1), min(128, count - 1)} & set(range(count)):
        shown = verify_receipt(proof(encoded, index), header=header)
        assert shown == receipt(index, type_=index % 5)


@pytest.mark.parametrize("count", [0, 1, 2, 17, 200])
def test_the_root_is_the_references(count):
    trie = HexaryTrie({})
    encoded = [receipt(index).encode() for index in range(count)]
    for index, entry in enumerate(encoded):
        trie.set(reference.encode(index), entry)
    assert receipts_root(encoded) == trie.root_hash


@pytest.mark.parametrize("type_", range(5))
def test_receipts_encode_as_the_reference_does(type_):
    made = receipt(4, logs=2, type_=type_)
    logs = [[log.address, list(log.topics), log.data] for log in made.logs]
    body = reference.encode([b"\1", made.cumulative_gas_used, made.bloom, logs])
    assert made.encode() == (bytes([type_]) if type_ else b"") + body
    assert decode_receipt(made.encode()) == made


def test_the_receipt_of_another_transaction_is_not_shown():
    given = proof(TWENTY, 3)
    header = parse_header(given.header)
    with pytest.raises(ProofError):
        verify_receipt(replace(given, index=17), header=header)


def test_a_transaction_that_the_block_does_not_have_is_refused():
    given = ReceiptProof(header=block(TWENTY), index=20, nodes=build_receipt_proof(TWENTY, 20))
    with pytest.raises(ProofError, match="absent"):
        verify_receipt(given, header=parse_header(given.header))


def test_a_proof_for_another_header_is_refused():
    given = proof(TWENTY, 3)
    other = parse_header(rlp.encode(list(header_fields(number=7, receipts_root=receipts_root(TWENTY)))))
    with pytest.raises(ProofError, match="header"):
        verify_receipt(given, header=other)


def test_a_proof_of_another_block_is_refused():
    given = proof(TWENTY, 3)
    with pytest.raises(ProofError):
        verify_receipt(replace(given, header=block(TWENTY[:5])), header=parse_header(block(TWENTY[:5])))


def logs_of(*logs) -> list:
    return [b"\1", b"\1", bytes(256), list(logs)]


GOOD_LOG = [bytes(20), [bytes(32)], b"data"]


@pytest.mark.parametrize(
    "body",
    [
        [b"\1", b"\1", bytes(256)],
        [b"\1", b"\1", bytes(256), [], b""],
        [b"\2", b"\1", bytes(256), []],
        [bytes(32), b"\1", bytes(256), []],
        [[], b"\1", bytes(256), []],
        [b"\1", b"\0\1", bytes(256), []],
        [b"\1", bytes([1]) * 9, bytes(256), []],
        [b"\1", b"\1", bytes(255), []],
        [b"\1", b"\1", [], []],
        [b"\1", b"\1", bytes(256), b""],
        logs_of(b"log"),
        logs_of(GOOD_LOG[:2]),
        logs_of([*GOOD_LOG, b""]),
        logs_of([bytes(19), [], b""]),
        logs_of([bytes(20), b"", b""]),
        logs_of([bytes(20), [bytes(31)], b""]),
        logs_of([bytes(20), [bytes(32)] * 5, b""]),
        logs_of([bytes(20), [[bytes(32)]], b""]),
        logs_of([bytes(20), [], [b""]]),
        logs_of(*[[bytes(20), [], b""]] * 4_097),
    ],
)
@pytest.mark.parametrize("prefix", [b"", b"\2"])
def test_a_receipt_of_another_shape_is_refused(body, prefix):
    with pytest.raises(MalformedError):
        decode_receipt(prefix + rlp.encode(body))


@pytest.mark.parametrize("prefix", [b"\0", b"\5", b"\x7f", b"\x80", b"\xbf"])
def test_a_receipt_of_an_unknown_type_is_refused(prefix):
    with pytest.raises(MalformedError):
        decode_receipt(prefix + rlp.encode(logs_of(GOOD_LOG)))


@pytest.mark.parametrize("data", [b"", b"\2", b"\xc0", b"\2\xc0"])
def test_a_receipt_of_nothing_is_refused(data):
    with pytest.raises(MalformedError):
        decode_receipt(data)


def test_what_is_no_receipt_is_a_bad_proof():
    encoded = [b"not a receipt, though the trie holds it"]
    with pytest.raises(ProofError, match="not a receipt"):
        verify_receipt(proof(encoded, 0), header=parse_header(block(encoded)))


def test_a_receipt_of_a_full_batch_fits():
    logs = tuple(Log(bytes(20), (bytes(32),) * 3, bytes(192)) for _ in range(512))
    encoded = [replace(receipt(1), logs=logs).encode()]
    given = ReceiptProof.decode(proof(encoded, 0).encode())
    assert len(verify_receipt(given, header=parse_header(given.header)).logs) == 512


def test_a_proof_round_trips_with_and_without_a_note():
    given = proof(TWENTY, 3)
    assert ReceiptProof.decode(given.encode()) == given
    noted = replace(given, note=b"note")
    assert ReceiptProof.decode(noted.encode()) == noted


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "fwledger/ledger-proof/1"},
        {"header": None},
        {"header": None, "note": b"note"},
        {"index": -1},
        {"index": 65_536},
        {"index": b""},
        {"nodes": [b"n"] * 17},
        {"nodes": [b""]},
        {"more": 1},
    ],
)
def test_another_document_is_refused(changes):
    fields = {"schema": "fwledger/receipt-proof/1", "header": b"h", "note": None, "index": 0, "nodes": []}
    with pytest.raises(MalformedError):
        ReceiptProof.decode(dag_cbor.encode({**fields, **changes}))


def test_a_document_over_512_kib_is_refused():
    with pytest.raises(LimitError):
        ReceiptProof.decode(bytes(512 * 1024 + 1))


def test_two_thousand_mutated_proofs_show_no_false_receipt():
    rng = random.Random(9)
    good = proof(TWENTY, 11)
    header, shown = parse_header(good.header), receipt(11, type_=1)
    data = good.encode()
    for _ in range(2_000):
        mutated = bytearray(data)
        mutated[rng.randrange(len(mutated))] ^= 1 << rng.randrange(8)
        try:
            found = verify_receipt(ReceiptProof.decode(bytes(mutated)), header=header)
        except ProtocolError:
            continue
        assert found == shown


# --- a receipt, field by field


def _encoded(**changes) -> bytes:
    fields = {"status": b"\1", "gas": b"\5", "bloom": bytes(256), "logs": []} | changes
    return reference.encode(list(fields.values()))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"gas": b"\1" * 9}, "receipt: gas used: number too long"),
        ({"bloom": bytes(255)}, "receipt: bloom"),
        ({"logs": [[bytes(19), [], b""]]}, "receipt: address of a log"),
        ({"logs": [[bytes(20), [bytes(31)], b""]]}, "receipt: topic"),
        ({"logs": [[bytes(20), [bytes(32)] * 5, b""]]}, "receipt: topics"),
        ({"logs": [[bytes(20), [[[]]], b""]]}, "rlp: lists nested too deep"),
    ],
)
def test_a_receipt_is_refused_by_its_field(changes, what):
    with pytest.raises(MalformedError) as refused:
        decode_receipt(_encoded(**changes))
    assert refused.value.what == what


def test_a_receipt_of_exactly_the_limits_is_read():
    log = [bytes(20), [bytes(32)] * 4, b""]
    assert len(decode_receipt(_encoded(logs=[log])).logs[0].topics) == 4
    many = [[bytes(20), [], b""]] * 4_096
    assert len(decode_receipt(_encoded(logs=many)).logs) == 4_096
    with pytest.raises(LimitError):
        decode_receipt(_encoded(logs=[*many, many[0]]))


def test_an_empty_list_is_a_receipt_without_fields():
    with pytest.raises(MalformedError) as refused:
        decode_receipt(b"\xc0")
    assert refused.value.what == "receipt: items"


def test_more_nodes_than_a_path_has_are_refused():
    encoded = [receipt(0).encode()]
    given = proof(encoded, 0)
    header = parse_header(given.header)
    many = tuple(bytes([n + 1]) for n in range(16))
    with pytest.raises(LimitError):
        verify_receipt(replace(given, nodes=(*given.nodes, *many)), header=header)
    assert verify_receipt(replace(given, nodes=(*given.nodes, *many[1:])), header=header) == receipt(0)


def test_the_root_of_no_receipts_is_the_empty_one():
    assert receipts_root([]) == HexaryTrie({}).root_hash
