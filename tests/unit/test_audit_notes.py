"""Which headers an auditor believes: sealed ones, and noted ones where witnesses are pinned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger_client.audit.trust import NoNoteError, TrustHistory
from ledger_client.errors import NotTrustedError
from ledger_protocol.errors import QuorumError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.witness_note import noted_hash
from tests.sim.repository import Repository
from tests.sim.validators import header_fields
from tests.sim.witnesses import Witnesses


def noted(*, sealed, require="any"):
    repository = Repository(witnesses=Witnesses(5), sealed=sealed, require=require)
    block = repository.seal()
    return repository, TrustHistory.open(repository.factory_root, fingerprint=None), block


def note_of(repository, block, signers=range(3), **changes):
    return repository.witnesses.note(repository.checkpoint(block, **changes), signers)


def test_a_header_that_witnesses_noted_is_believed_without_seals():
    repository, trust, block = noted(sealed=False)
    header = trust.verify_header(block.raw_header, number=100, note=note_of(repository, block))
    assert (header.number, header.state_root) == (100, block.state.state_root)


def test_a_header_without_a_note_is_not_believed_where_only_witnesses_are_pinned():
    _, trust, block = noted(sealed=False)
    with pytest.raises(NoNoteError, match="a note of pinned witnesses"):
        trust.verify_header(block.raw_header, number=100)


def test_a_note_of_too_few_witnesses_is_not_believed():
    repository, trust, block = noted(sealed=False)
    with pytest.raises(QuorumError, match="at least 3 of 5"):
        trust.verify_header(block.raw_header, number=100, note=note_of(repository, block, [0, 1]))


@pytest.mark.parametrize("sealed", [False, True])
def test_a_note_of_another_header_is_not_believed(sealed):
    repository, trust, block = noted(sealed=sealed)
    other = repository.seal(time=repository.time + 5, number=100, append=False)
    with pytest.raises(NotTrustedError, match="note beside the header"):
        trust.verify_header(other.raw_header, number=100, note=note_of(repository, block))


def test_a_header_with_other_receipts_than_the_noted_one_is_not_believed():
    """The receipts root is in no line of the note: the block hash holds it."""
    repository, trust, block = noted(sealed=False)
    fields = rlp.decode_list(block.raw_header)
    fields[5] = b"\x66" * 32
    with pytest.raises(NotTrustedError, match="note beside the header"):
        trust.verify_header(rlp.encode(fields), number=100, note=note_of(repository, block))


def test_good_seals_without_a_note_are_not_believed_where_both_are_required():
    repository, trust, block = noted(sealed=True, require="all")
    with pytest.raises(NoNoteError):
        trust.verify_header(block.raw_header, number=100)
    note = note_of(repository, block)
    assert trust.verify_header(block.raw_header, number=100, note=note).number == 100


def test_good_seals_are_believed_without_a_note_where_either_is_enough():
    _, trust, block = noted(sealed=True)
    assert trust.verify_header(block.raw_header, number=100).number == 100


def test_a_header_that_is_not_of_qbft_is_hashed_as_it_stands():
    fields = header_fields()
    fields[13] = bytes(32)
    raw = rlp.encode(list(fields))
    assert noted_hash(parse_header(raw)) == keccak256(raw)
    no_data = replace(parse_header(rlp.encode(list(header_fields()))), extra_data=b"")
    assert noted_hash(no_data) == keccak256(no_data.encode())
