"""No act may change or remove what was recorded: that the games would notice if one did."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from tests.contract.modelled.history import history, lost
from tests.contract.modelled.state import (
    Change,
    Channel,
    DeviceState,
    Member,
    Revoked,
    State,
    Tally,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ONE = b"\x01" * 32


def state() -> State:
    return State(
        ledger=b"l" * 20,
        journal=b"j" * 20,
        era=3,
        root=(ONE, 2),
        members={ONE: Member(roles=1, seat=4)},
        queue={ONE: Change(ready_at=9, era=3, removed=None, executed=True)},
        channels={ONE: Channel(sequence=5, security_version=1, epoch=7, published_at=8)},
        revoked={ONE: Revoked(time=4, reason=6, mandatory=True)},
        operators={(ONE, ONE): 4},
        devices={ONE: DeviceState(group=1, sequence=3, counted=8, head=ONE)},
        tallies={(ONE, 8): Tally(channel=ONE, installed=2, confirmed=1)},
    )


def swap(name: str, field: str, value: object) -> Callable[[State], None]:
    return lambda s: [setattr(one, field, value) for one in getattr(s, name).values()] and None


@pytest.mark.parametrize(
    "name", ["revoked", "operators", "channels", "queue", "members", "devices", "tallies"]
)
def test_what_is_gone_is_noticed(name: str) -> None:
    after = state()
    getattr(after, name).clear()
    assert len(lost(history(state()), history(after), by_devices=True)) == 1


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("revoked", "mandatory", False),
        ("revoked", "reason", 7),
        ("revoked", "time", 5),
        ("queue", "executed", False),
        ("queue", "ready_at", 1),
        ("channels", "sequence", 4),
        ("channels", "security_version", 0),
        ("channels", "epoch", 6),
        ("devices", "sequence", 2),
        ("tallies", "installed", 1),
        ("tallies", "channel", b"\x02" * 32),
        ("members", "seat", 5),
    ],
)
def test_what_was_changed_or_fell_is_noticed(name: str, field: str, value: object) -> None:
    after = state()
    swap(name, field, value)(after)
    assert len(lost(history(state()), history(after), by_devices=True)) == 1


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [("devices", "sequence", 4), ("devices", "head", b"\x02" * 32), ("tallies", "failed", 1)],
)
def test_what_devices_say_changes_by_devices_alone(name: str, field: str, value: object) -> None:
    after = state()
    swap(name, field, value)(after)
    assert lost(history(state()), history(after), by_devices=True) == []
    assert len(lost(history(state()), history(after), by_devices=False)) == 1


def test_what_is_added_is_nothing_lost() -> None:
    after = copy.deepcopy(state())
    after.revoked[b"\x02" * 32] = Revoked(time=5, reason=0, mandatory=False)
    after.channels[ONE].sequence, after.channels[ONE].head = 6, b"\x02" * 32
    after.devices[ONE].group, after.devices[ONE].retired = 2, True
    assert lost(history(state()), history(after), by_devices=False) == []
