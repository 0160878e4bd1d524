"""A chain in one file: refusals first."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from local_chain.errors import StateError
from local_chain.opening import Settings, dump, open_node
from tests.support.chain import chain_process

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("content", [None, b"", b"nonsense" * 100])
def test_what_is_no_dump_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "dump").write_bytes(content)
    with pytest.raises(StateError, match=r"cannot read a chain|not a chain of version"):
        open_node(Settings(), state=None, unlocked=True, load=tmp_path / "dump")


def test_a_state_that_has_a_chain_is_not_replaced(make_node, tmp_path: Path) -> None:
    node = make_node(state=tmp_path / "state")
    dump(node.node, tmp_path / "dump")
    head = node.chain.head.hash
    node.chain.store.close()
    with pytest.raises(StateError, match="has a chain already"):
        open_node(Settings(), state=tmp_path / "state", unlocked=True, load=tmp_path / "dump")
    assert make_node(state=tmp_path / "state").chain.head.hash == head


def test_a_process_goes_on_where_the_dump_of_another_ended(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    with chain_process("--dump-state", str(path)) as first:
        sender, receiver = first.rpc("eth_accounts")[:2]
        first.rpc("eth_sendTransaction", {"from": sender, "to": receiver, "value": "0x5"})
        head = first.rpc("eth_getBlockByNumber", "latest", True)
        assert first.stop() == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    state = tmp_path / "state"
    with chain_process("--load-state", str(path), "--state", str(state)) as second:
        assert second.rpc("eth_getBlockByNumber", "latest", True) == head
        assert second.validators == first.validators
        second.rpc("evm_mine")
        assert second.rpc("eth_getBlockByNumber", "latest")["parentHash"] == head["hash"]
