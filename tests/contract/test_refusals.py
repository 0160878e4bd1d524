"""Every refusal that the sources can utter is uttered here, and changes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from contracts import compile as compiler
from tests.contract.actors import (
    ALL_AT_ONCE,
    BASELINE,
    REJECTED,
    Curve,
    Device,
    World,
    address,
    digest,
    fresh,
    queue_args,
    refused,
)
from tests.contract.evm import Receipt, private_key

if TYPE_CHECKING:
    from collections.abc import Callable

STABLE = digest("stable")
FIRST, SECOND = digest("release 1"), digest("release 2")
ZERO_WORD = b"\0" * 32

SPOKEN = {
    reason
    for path in (compiler.ROOT / "contracts").rglob("*.vy")
    for reason in re.findall(r'"fwledger: ([^"]*)"', path.read_text(encoding="utf-8"))
}


def ready() -> tuple[World, Device]:
    world = fresh(threshold=2)
    world.publish(STABLE, FIRST, sequence=10, security_version=2, curve=Curve(initial_bps=5_000))
    world.act("assign_group", world.group_args(1, STABLE))
    device = Device(1, world.journal.address)
    world.enrol(device)
    world.submit(device.event(FIRST, BASELINE), device)
    world.machine.advance(12)
    return world, device


def publish(
    world: World, release: bytes = SECOND, *, bend: Callable = lambda args: args, **options
) -> Receipt:
    options = {"sequence": 11, "security_version": 2} | options
    args = bend(world.publish_args(STABLE, release, **options))
    return world.send(world.anyone, world.ledger, "publish", *args)


def ledger(world: World, key, function: str, *args) -> Receipt:
    return world.send(key, world.ledger, function, *args)


def journal(world: World, key, function: str, *args) -> Receipt:
    return world.send(key, world.journal, function, *args)


def bent_deploy(place: int, value: object) -> Callable:
    def provoke(world: World, device: Device) -> Receipt:
        args = list(world.ledger_args(world.journal.address))
        args[place] = value
        return world.deploy("FirmwareLedger", *args)

    return provoke


def spent_epochs(world: World, device: Device) -> Receipt:
    from eth_hash.auto import keccak

    slot = int.from_bytes(keccak((2).to_bytes(32, "big") + STABLE), "big")
    world.machine.set_storage(world.ledger.address, slot, world.word(STABLE) | (2**24 - 2) << 56)
    return publish(world)


def expired(world: World, device: Device) -> Receipt:
    args = world.publish_args(
        STABLE, SECOND, sequence=11, security_version=2, deadline=world.machine.time - 1
    )
    return ledger(world, world.anyone, "publish", *args)


def revoked(world: World, device: Device) -> Receipt:
    world.act("revoke", (SECOND, 1), key=world.guardian)
    return publish(world)


def halted(world: World, device: Device) -> Receipt:
    world.act("halt", (STABLE,), key=world.guardian)
    args = world.rollout_args("SetRollout", STABLE, ALL_AT_ONCE)
    return ledger(world, world.anyone, "set_rollout", *args)


def same_block(world: World, device: Device) -> Receipt:
    assert publish(world).ok
    return publish(world, digest("release 3"), sequence=12)


def retired(world: World, device: Device) -> Receipt:
    world.act("place_devices", world.place_args([device.address], 1, retired=True))
    return submit(world, device)


def over(world: World, device: Device) -> Receipt:
    """The journal asks before it trips; a ledger whose journal is a key shows that it is not trusted to."""
    key = private_key(777)
    args = list(world.ledger_args(address(key)))
    receipt = world.deploy("FirmwareLedger", *args)
    assert receipt.ok
    return world.machine.send(key, receipt.created, world.ledger.data("trip", STABLE, 1))


def submit(world: World, device: Device, *, kind: int = REJECTED, **changes) -> Receipt:
    return journal(world, world.anyone, "submit_event", device.report(device.event(FIRST, kind, **changes)))


def replayed(world: World, device: Device) -> Receipt:
    report = device.report(device.event(FIRST, REJECTED))
    assert journal(world, world.anyone, "submit_event", report).ok
    return journal(world, world.anyone, "submit_event", report)


def gapped_queue(world: World, device: Device) -> Receipt:
    events = [device.event(FIRST, REJECTED) for _ in range(3)]
    return journal(world, world.anyone, "submit_queue", *queue_args(device, [events[0], events[2]]))


def with_approvals(change: Callable) -> Callable:
    def provoke(world: World, device: Device) -> Receipt:
        return publish(world, bend=lambda args: (*args[:-1], change(args[-1])))

    return provoke


def by(pick: Callable) -> Callable:
    return lambda world, device: publish(world, keys=pick(world))


def operator(world: World) -> object:
    key = private_key(0x50)
    world.decide("SetMember", address(key), 32)
    return key


def approved_twice(world: World, device: Device) -> Receipt:
    key = operator(world)
    assert ledger(world, key, "approve", FIRST).ok
    return ledger(world, key, "approve", FIRST)


def own_removal(world: World, device: Device) -> Receipt:
    id_, _ = world.propose("SetMember", address(world.guardian), 0)
    return ledger(world, world.guardian, "cancel", id_)


def too_early(world: World, device: Device) -> Receipt:
    _, executed = world.propose("SetMember", address(world.anyone), 1)
    world.machine.advance(48 * 3_600 - 1)
    return ledger(world, world.anyone, "execute_member", *executed)


def too_late(world: World, device: Device) -> Receipt:
    _, executed = world.propose("SetMember", address(world.anyone), 1)
    world.machine.advance(48 * 3_600 + 14 * 86_400 + 1)
    return ledger(world, world.anyone, "execute_member", *executed)


def second_root(world: World, device: Device) -> Receipt:
    world.act("set_trust_root", world.root_args(digest("root 1"), 1))
    return ledger(world, world.anyone, "set_trust_root", *world.root_args(digest("root 2"), 2))


def executed_twice(world: World, device: Device) -> Receipt:
    _, executed = world.propose("NameSuccessor", b"\1" * 20)
    world.machine.advance(48 * 3_600)
    assert ledger(world, world.anyone, "execute_successor", *executed).ok
    return ledger(world, world.anyone, "execute_successor", *executed)


def crowded(at: int, count: int, roles: int) -> Callable:
    """Set a count behind the contract's back: no test makes 256 members."""

    def provoke(world: World, device: Device) -> Receipt:
        rules = world.view(world.ledger, "rules")
        width = 8 if at < 48 else 16
        world.machine.set_storage(world.ledger.address, 9, rules & ~((1 << width) - 1 << at) | count << at)
        _, executed = world.propose("SetMember", address(world.anyone), roles)
        world.machine.advance(48 * 3_600)
        return ledger(world, world.anyone, "execute_member", *executed)

    return provoke


def proposed(act: str, function: str, *fields: object) -> Callable:
    return lambda w, d: ledger(w, w.anyone, function, *w.proposal(act, *fields)[0])


PROVOKED: dict[str, Callable[[World, Device], Receipt]] = {
    "an anchor has 1 to 4096 leaves": lambda w, d: journal(w, w.anyone, "anchor", FIRST, FIRST, 0),
    "approvals expired": expired,
    "caller is no enroller": lambda w, d: journal(w, w.anyone, "enrol", b"\1" * 20, 1, ZERO_WORD),
    "caller is no gateway": lambda w, d: journal(w, w.anyone, "anchor", FIRST, FIRST, 1),
    "caller is no guardian": lambda w, d: ledger(w, w.anyone, "halt", STABLE),
    "caller is not the journal": lambda w, d: ledger(w, w.anyone, "trip", STABLE, 0),
    "caller is not the ledger": lambda w, d: journal(w, w.anyone, "place", [d.address], 1, True),
    "caller is no operator": lambda w, d: ledger(w, w.anyone, "approve", FIRST),
    "change has lapsed": too_late,
    "change is not proposed": lambda w, d: ledger(w, w.anyone, "execute_member", b"\1" * 20, 1, 0, 0),
    "change is over": executed_twice,
    "change must wait": too_early,
    "channel has no release": lambda w, d: ledger(w, w.guardian, "halt", digest("nowhere")),
    "channel is halted": halted,
    "channel is not halted": lambda w, d: ledger(
        w, w.anyone, "resume", *w.rollout_args("Resume", STABLE, ALL_AT_ONCE)
    ),
    "device is enrolled already": lambda w, d: journal(w, w.enroller, "enrol", d.address, 1, ZERO_WORD),
    "device is not enrolled": lambda w, d: submit(w, Device(9, w.journal.address)),
    "device is retired": retired,
    "empty list": lambda w, d: journal(w, w.enroller, "enrol_many", []),
    "epochs used up": spent_epochs,
    "event is recorded already": replayed,
    "group follows no channel": lambda w, d: ledger(
        w, w.anyone, "place_devices", *w.place_args([d.address], 7, retired=False)
    ),
    "high s in a signature": with_approvals(lambda a: [(a[0][0], 2**255 - 1), a[1]]),
    "ledger names another journal": lambda w, d: w.deploy("UpdateJournal", w.ledger.address),
    "member named twice": bent_deploy(1, [b"\1" * 20] * 2),
    "own removal is not cancelled": own_removal,
    "previous event differs": lambda w, d: submit(w, d, previous=ZERO_WORD),
    "publication is over": over,
    "published in this block already": same_block,
    "queue has a gap": gapped_queue,
    "release is approved already": approved_twice,
    "release is revoked": revoked,
    "seats used up": crowded(112, 256, 1),
    "security version falls": lambda w, d: publish(w, security_version=1),
    "sequence jumps too far": lambda w, d: publish(w, sequence=10 + 65_537),
    "sequence not above the channel's": lambda w, d: publish(w, sequence=10),
    "share below the one reached": lambda w, d: ledger(
        w, w.anyone, "set_rollout", *w.rollout_args("SetRollout", STABLE, Curve(initial_bps=4_999))
    ),
    "signature recovers to nobody": with_approvals(lambda a: [(0, a[0][1]), a[1]]),
    "signer lacks the role": by(lambda w: w.governors[:2]),
    "signers not ascending": with_approvals(lambda a: a[::-1]),
    "stamp out of range": lambda w, d: submit(w, d, kind=0),
    "terms out of range": lambda w, d: publish(w, curve=Curve(initial_bps=10_001)),
    "threshold above the members": bent_deploy(5, 4),
    "threshold below one": bent_deploy(5, 0),
    "too few approvals": by(lambda w: w.publishers[:1]),
    "too many members": crowded(40, 255, 8),
    "trust root version is not the next": lambda w, d: ledger(
        w, w.anyone, "set_trust_root", *w.root_args(digest("root"), 0)
    ),
    "trust root must be proposed": second_root,
    "unknown role": proposed("SetMember", "propose_member", b"\1" * 20, 64),
    "zero address": bent_deploy(0, b"\0" * 20),
    "zero channel or release": lambda w, d: publish(w, ZERO_WORD),
    "zero digest": lambda w, d: ledger(w, w.anyone, "set_trust_root", *w.root_args(ZERO_WORD, 1)),
}


def test_every_refusal_in_the_sources_is_provoked_here():
    assert set(PROVOKED) == SPOKEN


def test_every_refusal_fits_the_longest_reason():
    assert max(len("fwledger: " + reason) for reason in SPOKEN) <= 64


def test_no_source_reverts_in_another_way():
    for path in (compiler.ROOT / "contracts").rglob("*.vy"):
        code = re.sub(r'""".*?"""|#[^\n]*', "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        found = re.findall(r"\b(?:assert|raise)\b", code)
        assert len(found) == (1 if path.stem == "refuse" else 0), path


@pytest.mark.parametrize("reason", sorted(PROVOKED))
def test_the_refusal_is_named_and_nothing_changes(reason):
    world, device = ready()
    held: list[tuple[bytes, ...]] = []
    send = world.machine.send

    def watched(*args, **options) -> Receipt:
        held.append(world.machine.storage_roots(world.ledger.address, world.journal.address))
        return send(*args, **options)

    world.machine.send = watched
    refused(PROVOKED[reason](world, device), reason)
    assert world.machine.storage_roots(world.ledger.address, world.journal.address) == held[-1]
