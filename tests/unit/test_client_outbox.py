"""What is remembered of a transaction that is out, and who may choose the next nonce."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_client.outbox import FOLDER, KEPT_S, Outbox, Sent, default_outbox

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ACCOUNT = b"\x11" * 20


def sent(subject: str = "halt", **changes: object) -> Sent:
    values = {
        "chain_id": 31337, "account": ACCOUNT, "nonce": 4, "what": "halt", "subject": subject, "epoch": None,
        "fields": {"gas": 30_000, "data": "0x12"}, "max_fee": 10, "tip": 1, "fee_limit": 20,
        "signed": (b"first", b"second"),
    }  # fmt: skip
    return Sent(**{**values, **changes})  # type: ignore[arg-type]


def test_what_is_put_is_found_under_its_chain_account_and_subject_only(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "new" / "folder")
    outbox.put(sent())
    assert outbox.find(31337, ACCOUNT, "halt") == sent()
    for where in ((1, ACCOUNT, "halt"), (31337, b"\x12" * 20, "halt"), (31337, ACCOUNT, "resume")):
        assert outbox.find(*where) is None
    outbox.drop(sent())
    outbox.drop(sent())
    assert outbox.find(31337, ACCOUNT, "halt") is None


def test_a_record_is_the_owners_alone(tmp_path: Path) -> None:
    Outbox(tmp_path).put(sent())
    (path,) = tmp_path.glob("*.sent.json")
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_newest_version_is_looked_for_first() -> None:
    first, second = sent(signed=(b"first",)), sent(signed=(b"second",))
    assert sent().hashes == (*second.hashes, *first.hashes)


def test_a_folder_that_cannot_be_written_costs_only_the_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outbox = Outbox(tmp_path / "file")
    outbox.put(sent())
    with outbox.locked(31337, ACCOUNT):
        assert outbox.find(31337, ACCOUNT, "halt") is None
    outbox.drop(sent())


def test_records_that_nobody_asked_about_for_a_month_are_forgotten(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.put(sent("old"))
    (path,) = tmp_path.glob("*.sent.json")
    long_ago = path.stat().st_mtime - KEPT_S - 10
    os.utime(path, (long_ago, long_ago))
    outbox.put(sent("new"))
    assert outbox.find(31337, ACCOUNT, "old") is None
    assert outbox.find(31337, ACCOUNT, "new") is not None


@given(st.binary(max_size=300) | st.builds(lambda d: json.dumps(d).encode(), st.dictionaries(st.sampled_from(sorted(sent().document())), st.none() | st.integers() | st.text(max_size=5))))  # fmt: skip
@settings(max_examples=80)
def test_a_damaged_record_is_no_record(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    outbox = Outbox(tmp_path_factory.mktemp("outbox"))
    outbox.put(sent())
    (path,) = outbox.folder.glob("*.sent.json")
    path.write_bytes(raw)
    assert outbox.find(31337, ACCOUNT, "halt") is None


def test_one_holds_the_lock_of_an_account_at_a_time(tmp_path: Path) -> None:
    outbox, order = Outbox(tmp_path), []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with Outbox(tmp_path).locked(31337, ACCOUNT):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with outbox.locked(31337, ACCOUNT):
        inside.set()
        with outbox.locked(31337, b"\x12" * 20):  # another account's does not wait
            order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_folder_lies_beside_the_configuration_or_in_the_users_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_outbox(tmp_path / "fwledger.toml").folder == tmp_path / FOLDER
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert default_outbox(None).folder == tmp_path / "state" / "fwledger"
