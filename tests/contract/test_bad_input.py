"""Bad input, one case a line: each is refused by its name, and no word of storage changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.actors import (
    ALL_AT_ONCE,
    BASELINE,
    DELAY_S,
    NOT_ENROLLED,
    REJECTED,
    Curve,
    Device,
    World,
    address,
    digest,
    fresh,
    sign,
    typed_data,
)
from tests.contract.evm import CHAIN_ID, Receipt

if TYPE_CHECKING:
    from collections.abc import Callable

STABLE = digest("stable")
FIRST, SECOND = digest("release 1"), digest("release 2")
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
S_BITS = (1 << 255) - 1
NOBODY = b"\0" * 20
U32 = 2**32 - 1

Case = tuple[World, Device]


def ready() -> Case:
    """Two of three must approve; a channel with a head, a group that follows it and a device with one event."""
    world = fresh(threshold=2)
    world.publish(STABLE, FIRST, sequence=10, security_version=2, curve=Curve(initial_bps=5_000))
    world.act("assign_group", world.group_args(1, STABLE))
    device = Device(1, world.journal.address)
    world.enrol(device)
    world.submit(device.event(FIRST, BASELINE), device)
    world.machine.advance(12)
    return world, device


# ---------------------------------------------------------------- what is sent


def publish(world: World, *, bend: Callable[[Any], Any] = lambda made: made, **options: Any) -> Receipt:
    options = {"sequence": 11, "security_version": 2} | options
    args = world.publish_args(STABLE, SECOND, **options)
    return send(world, "publish", (*args[:-1], bend(args[-1])))


def send(world: World, function: str, args: tuple[Any, ...], key: Any = None) -> Receipt:
    contract = world.ledger if function in world.ledger.functions else world.journal
    return world.send(key or world.anyone, contract, function, *args)


def elsewhere(world: World, **domain: Any) -> Receipt:
    args = world.revoke_args(SECOND)
    message = dict(zip(("release", "reason", "mandatory", "deadline"), args, strict=False))
    data = typed_data("Revoke", message, **({"contract": world.ledger.address} | domain))
    return send(world, "revoke_approved", (*args[:-1], [sign(key, data)[0] for key in world.publishers[:2]]))


def with_s(change: Callable[[int], int]) -> Callable[[World, Device], Receipt]:
    """The first approval's vs, changed."""
    return lambda w, d: publish(w, bend=lambda made: [(made[0][0], change(made[0][1])), made[1]])


def replayed(world: World, device: Device) -> Receipt:
    args = world.rollout_args("SetRollout", STABLE, ALL_AT_ONCE)
    world.act("set_rollout", args)
    return send(world, "set_rollout", args)


def reused_after_a_halt(world: World, device: Device) -> Receipt:
    args = world.publish_args(STABLE, SECOND, sequence=11, security_version=2)
    world.act("halt", (STABLE,), key=world.guardian)
    return send(world, "publish", args)


def deployed(place: int, value: Any) -> Callable[[World, Device], Receipt]:
    def provoke(world: World, device: Device) -> Receipt:
        args = list(world.ledger_args(world.journal.address))
        args[place] = value
        return world.deploy("FirmwareLedger", *args)

    return provoke


def decided(act: str, function: str, *fields: Any) -> Callable[[World, Device], Receipt]:
    def provoke(world: World, device: Device) -> Receipt:
        _, executed = world.propose(act, *fields)
        world.machine.advance(DELAY_S)
        return send(world, function, executed)

    return provoke


def last_governors(world: World, device: Device) -> Receipt:
    """With a threshold of 2 of 3, the second removal would leave one governor, the last that could decide."""
    world.decide("SetMember", address(world.governors[2]), 0)
    _, executed = world.propose("SetMember", address(world.governors[1]), 0)
    world.machine.advance(DELAY_S)
    return send(world, "execute_member", executed)


def said(world: World, device: Device, **changes: Any) -> Receipt:
    return send(world, "submit_event", (device.report(device.event(FIRST, REJECTED, **changes)),))


def after_the_last_publication(world: World, device: Device) -> Receipt:
    """A channel's numbers are used up: the next one would not fit its 32 bits, and begin again at 0."""
    beta = digest("beta")
    world.publish(beta, FIRST, sequence=U32)
    world.machine.advance(12)
    return send(world, "publish", world.publish_args(beta, SECOND, sequence=0))


def after_the_last_sequence(world: World, device: Device) -> Receipt:
    world.submit(device.event(FIRST, REJECTED, sequence=U32, previous=b"\0" * 32), device)
    device.sequence = 0
    return said(world, device, sequence=0, previous=device.head)


def retired(world: World, device: Device) -> Receipt:
    world.act("place_devices", world.place_args([device.address], 1, retired=True))
    return said(world, device)


def foreign(world: World, device: Device) -> Receipt:
    """The same key, enrolled here, signs for another journal."""
    event = device.event(FIRST, REJECTED)
    compact, _ = device.sign(event, contract=b"\x11" * 20)
    report = (event.release, event.stamp, event.detail, event.previous, *compact)
    return send(world, "submit_event", (report,))


def batched(count: int) -> Callable[[World, Device], Receipt]:
    def provoke(world: World, device: Device) -> Receipt:
        item = device.item(device.event(FIRST, REJECTED))
        return send(world, "submit_batch_512", (FIRST, [item] * count))

    return provoke


def cut(function: str, count: int) -> Callable[[World, Device], Receipt]:
    """A good call without its last bytes."""

    def provoke(world: World, device: Device) -> Receipt:
        good = {
            "publish": lambda: world.publish_args(STABLE, SECOND, sequence=11, security_version=2),
            "submit_event": lambda: (device.report(device.event(FIRST, REJECTED)),),
        }[function]()
        contract = world.ledger if function == "publish" else world.journal
        return world.machine.send(world.anyone, contract.address, contract.data(function, *good)[:-count])

    return provoke


def enrolled(device_of: Callable[[Device], bytes]) -> Callable[[World, Device], Receipt]:
    return lambda w, d: send(w, "enrol", (device_of(d), 2, digest("serial")), key=w.enroller)


# What is bad, how it is provoked, and the reason; "" where calldata is malformed, which Vyper refuses without one.
BAD: dict[str, tuple[Callable[[World, Device], Receipt], str]] = {
    "signers in the wrong order": (
        lambda w, d: publish(w, keys=w.publishers[:2][::-1]),
        "signers not ascending",
    ),
    "a signer twice": (lambda w, d: publish(w, keys=[w.publishers[0]] * 2), "signers not ascending"),
    "a signer of another chain": (
        lambda w, d: elsewhere(w, chain_id=CHAIN_ID + 1),
        "signer lacks the role",
    ),
    "a signer of another contract": (
        lambda w, d: elsewhere(w, contract=w.journal.address),
        "signer lacks the role",
    ),
    # A signature's twin is (r, N - s) with the other v; in compact form its s fills the bit of v.
    "a malleable twin, cut to its form": (
        with_s(lambda vs: (ORDER - (vs & S_BITS)) & S_BITS | (vs >> 255 ^ 1) << 255),
        "signer lacks the role",
    ),
    "a malleable twin, whole": (with_s(lambda vs: ORDER - (vs & S_BITS)), "signer lacks the role"),
    "a high s": (with_s(lambda vs: vs >> 255 << 255 | ORDER // 2 + 1), "high s in a signature"),
    # v of 27 and 28 is the top bit; a v of 0 or 1 in its place, or the other one, makes another signer.
    "the other v": (with_s(lambda vs: vs ^ 1 << 255), "signer lacks the role"),
    "an s of zero": (with_s(lambda vs: 0), "signature recovers to nobody"),
    "expired approvals": (
        lambda w, d: publish(w, deadline=w.machine.time - 1),
        "approvals expired",
    ),
    "approvals replayed": (replayed, "signer lacks the role"),
    "an approval reused after a halt": (reused_after_a_halt, "signer lacks the role"),
    "a journal of zero": (deployed(0, NOBODY), "zero address"),
    "a governor of zero": (deployed(1, [NOBODY]), "zero address"),
    "a publisher of zero": (deployed(2, [NOBODY]), "zero address"),
    "a guardian of zero": (deployed(3, [NOBODY]), "zero address"),
    "an enroller of zero": (deployed(4, [NOBODY]), "zero address"),
    "a ledger of zero": (lambda w, d: w.deploy("UpdateJournal", NOBODY), "zero address"),
    "a member of zero": (
        lambda w, d: send(w, "propose_member", w.proposal("SetMember", NOBODY, 1)[0]),
        "zero address",
    ),
    "a device of zero": (enrolled(lambda d: NOBODY), "zero address"),
    "a publishers' threshold above the members": (deployed(5, 4), "threshold above the members"),
    "a governors' threshold above the members": (deployed(6, 4), "threshold above the members"),
    "a threshold raised above the members": (
        decided("SetThresholds", "execute_thresholds", 2, 4),
        "threshold above the members",
    ),
    "a publishers' threshold below 1": (deployed(5, 0), "threshold below one"),
    "a threshold lowered below 1": (
        decided("SetThresholds", "execute_thresholds", 2, 0),
        "threshold below one",
    ),
    "the last governors removed": (last_governors, "threshold above the members"),
    "a sequence that jumps": (lambda w, d: publish(w, sequence=10 + 65_537), "sequence jumps too far"),
    "a sequence that stays": (lambda w, d: publish(w, sequence=10), "sequence not above the channel's"),
    "a channel's sequence that overflows": (after_the_last_publication, "sequence not above the channel's"),
    "a device's sequence that overflows": (after_the_last_sequence, "event is recorded already"),
    "a batch of none": (batched(0), "empty list"),
    "a batch of 513": (batched(513), ""),
    # What is missing of a list reads as zero, which no signature survives.
    "a publication without its last byte": (cut("publish", 1), "signer lacks the role"),
    "a publication without its approvals": (cut("publish", 6 * 32), ""),
    "an event without its last byte": (cut("submit_event", 1), ""),
    "a device enrolled again": (enrolled(lambda d: d.address), "device is enrolled already"),
    "an event of a retired device": (retired, "device is retired"),
    "an event of a foreign device": (foreign, "device is not enrolled"),
    "an event of an unknown device": (
        lambda w, d: said(w, Device(9, w.journal.address)),
        "device is not enrolled",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_named_and_changes_nothing(what):
    provoke, reason = BAD[what]
    world, device = ready()
    pair = world.ledger.address, world.journal.address
    held: list[tuple[bytes, ...]] = []
    sends = world.machine.send

    def watched(*args: Any, **options: Any) -> Receipt:
        held.append(world.machine.storage_roots(*pair))
        return sends(*args, **options)

    world.machine.send = watched
    receipt = provoke(world, device)
    assert not receipt.ok
    assert receipt.reason == (f"fwledger: {reason}" if reason else "")
    assert receipt.logs == ()
    assert world.machine.storage_roots(*pair) == held[-1]


def test_a_batch_without_its_last_byte_skips_the_item():
    world, device = ready()
    pair = world.ledger.address, world.journal.address
    held = world.machine.storage_roots(*pair)
    item = device.item(device.event(FIRST, REJECTED))
    data = world.journal.data("submit_batch_16", FIRST, [item])
    receipt = world.machine.send(world.anyone, world.journal.address, data[:-1])
    (log,) = world.logs(receipt)
    assert (log.name, log.args["reason"]) == ("Skipped", NOT_ENROLLED)
    assert world.machine.storage_roots(*pair) == held


def test_the_last_governor_of_one_is_not_removed():
    world = fresh()
    for key in world.governors[1:]:
        world.decide("SetMember", address(key), 0)
    before = world.machine.storage_roots(world.ledger.address)
    _, executed = world.propose("SetMember", address(world.governors[0]), 0)
    proposed = world.machine.storage_roots(world.ledger.address)
    assert proposed != before
    world.machine.advance(DELAY_S)
    receipt = send(world, "execute_member", executed)
    assert receipt.reason == "fwledger: threshold above the members"
    assert world.machine.storage_roots(world.ledger.address) == proposed
