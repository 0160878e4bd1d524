"""Which block is proved where witnesses are pinned, asked, silent or not named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ledger_client.errors import UnreachableError, UsageError
from ledger_client.witness.notes import Notes, Vouched, needs_note
from ledger_protocol.errors import QuorumError
from tests.sim.repository import Repository
from tests.sim.witnesses import Witnesses

NODE: Any = SimpleNamespace(block_number=lambda: 7)
DEAD = "http://127.0.0.1:9"


def world(*, sealed: bool = True, require: str = "any", witnesses: int = 3) -> Repository:
    return Repository(witnesses=Witnesses(witnesses) if witnesses else None, sealed=sealed, require=require)


def noted(repository: Repository, folder, signers) -> list[str]:
    """Write each witness's note of a new block to a folder of its own."""
    block = repository.seal()
    found = []
    for place in signers:
        (folder / str(place)).mkdir()
        note = repository.witnesses.note(repository.checkpoint(block), [place])
        for name in ("newest", str(block.number)):
            (folder / str(place) / f"{name}.note").write_bytes(note)
        found.append(str(folder / str(place)))
    return found


@pytest.mark.parametrize(
    ("sealed", "require", "witnesses", "needed"),
    [(True, "any", 0, False), (True, "any", 3, False), (True, "all", 3, True), (False, "any", 3, True)],
)
def test_a_note_is_needed_where_seals_alone_are_not_enough(sealed, require, witnesses, needed):
    assert needs_note(world(sealed=sealed, require=require, witnesses=witnesses).root) is needed


@pytest.mark.parametrize(("sealed", "require"), [(True, "all"), (False, "any")])
def test_nobody_to_ask_is_an_error_only_where_a_note_is_needed(sealed, require):
    with pytest.raises(UsageError, match="nobody is named"):
        Notes((), timeout_s=1).newest(NODE, world(sealed=sealed, require=require).root)
    assert Notes((), timeout_s=1).newest(NODE, world(require="any").root) == Vouched(7, None)
    assert Notes((DEAD,), timeout_s=1).newest(NODE, world(witnesses=0).root) == Vouched(7, None)


def test_silent_witnesses_are_an_error_only_where_a_note_is_needed():
    with pytest.raises(UnreachableError):
        Notes((DEAD,), timeout_s=1).newest(NODE, world(require="all").root)
    assert Notes((DEAD,), timeout_s=1).newest(NODE, world(require="any").root) == Vouched(7, None)


def test_the_block_that_enough_witnesses_signed_is_proved_and_not_the_nodes_newest(tmp_path):
    repository = world(sealed=False, witnesses=5)
    sources = noted(repository, tmp_path, range(3))
    found = Notes(sources, timeout_s=1).newest(NODE, repository.root)
    assert (found.number, found.note is not None) == (100, True)


def test_one_witness_too_few_is_a_refusal_and_no_note(tmp_path):
    repository = world(sealed=False, witnesses=5)
    sources = noted(repository, tmp_path, range(2))
    with pytest.raises(QuorumError, match="pinned witnesses on one block"):
        Notes(sources, timeout_s=1).newest(NODE, repository.root)
    assert Notes(sources, timeout_s=1).at(100, repository.root) is None


def test_a_note_of_another_height_than_asked_is_none(tmp_path):
    repository = world(sealed=False, witnesses=5)
    notes = Notes(noted(repository, tmp_path, range(3)), timeout_s=1)
    assert notes.at(100, repository.root) is not None
    assert notes.at(101, repository.root) is None
