"""m-of-n: which approvals count, over every act that needs them, and which do not."""

from __future__ import annotations

import pytest

from tests.contract.actors import (
    ALL_AT_ONCE,
    Curve,
    Device,
    World,
    address,
    ascending,
    digest,
    fresh,
    refused,
    sign,
    typed_data,
)
from tests.contract.evm import CHAIN_ID, private_key

STABLE = digest("stable")
FIRST, SECOND = digest("release 1"), digest("release 2")
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
S_BITS = (1 << 255) - 1


def _ready() -> World:
    """Two of three must approve; a channel with a head, a group that follows it and a device in it."""
    world = fresh(threshold=2)
    world.publish(STABLE, FIRST, sequence=1)
    world.act("assign_group", world.group_args(1, STABLE))
    world.enrol(Device(1, world.journal.address))
    world.machine.advance(12)
    return world


def _device(world: World) -> bytes:
    return Device(1, world.journal.address).address


ACTS = {
    "publish": lambda w, **o: w.publish_args(STABLE, SECOND, sequence=2, **o),
    "set_rollout": lambda w, **o: w.rollout_args("SetRollout", STABLE, ALL_AT_ONCE, **o),
    "resume": lambda w, **o: w.rollout_args("Resume", STABLE, ALL_AT_ONCE, **o),
    "revoke_approved": lambda w, **o: w.revoke_args(SECOND, **o),
    "assign_group": lambda w, **o: w.group_args(2, STABLE, **o),
    "place_devices": lambda w, **o: w.place_args([_device(w)], 1, retired=True, **o),
    "set_trust_root": lambda w, **o: w.root_args(digest("root"), 1, **o),
}


@pytest.fixture(params=ACTS)
def act(request) -> str:
    return request.param


@pytest.fixture
def ready(act) -> World:
    world = _ready()
    if act == "resume":
        world.act("halt", (STABLE,), key=world.guardian)
        world.machine.advance(12)
    return world


def signers(world: World, act: str) -> list:
    return world.governors if act == "set_trust_root" else world.publishers


def send(world: World, act: str, args: tuple):
    return world.send(world.anyone, world.ledger, act, *args)


def test_two_of_three_are_enough_and_anyone_may_submit(ready, act):
    assert send(ready, act, ACTS[act](ready)).ok


def test_any_two_of_three_are_enough(ready, act):
    assert send(ready, act, ACTS[act](ready, keys=signers(ready, act)[1:])).ok


def test_more_than_the_threshold_may_approve(ready, act):
    assert send(ready, act, ACTS[act](ready, keys=signers(ready, act))).ok


def test_the_log_names_the_approvers_by_seat(ready, act):
    keys = signers(ready, act)[1:]
    receipt = send(ready, act, ACTS[act](ready, keys=keys))
    (logged,) = [log.args["approvers"] for log in ready.logs(receipt) if "approvers" in log.args]
    named = {ready.view(ready.ledger, "seats", seat) for seat in range(256) if logged >> seat & 1}
    assert named == {"0x" + address(key).hex() for key in keys}


def test_one_below_the_threshold_is_refused(ready, act):
    refused(send(ready, act, ACTS[act](ready, keys=signers(ready, act)[:1])), "too few approvals")


def test_no_approval_at_all_is_refused(ready, act):
    refused(send(ready, act, ACTS[act](ready, keys=[])), "too few approvals")


def test_one_signer_twice_is_refused(ready, act):
    one = signers(ready, act)[0]
    refused(send(ready, act, ACTS[act](ready, keys=[one, one])), "signers not ascending")


def test_signers_out_of_order_are_refused(ready, act):
    keys = signers(ready, act)[:2][::-1]
    refused(send(ready, act, ACTS[act](ready, keys=keys)), "signers not ascending")


def test_a_signer_without_the_role_is_refused(ready, act):
    keys = ascending([signers(ready, act)[0], private_key(666)])
    refused(send(ready, act, ACTS[act](ready, keys=keys)), "signer lacks the role")


def test_a_signer_of_another_role_is_refused(ready, act):
    other = ready.publishers if act == "set_trust_root" else ready.governors
    refused(send(ready, act, ACTS[act](ready, keys=other[:2])), "signer lacks the role")


def test_a_missing_role_is_named_before_the_order(ready, act):
    keys = ascending([signers(ready, act)[0], private_key(666)])[::-1]
    refused(send(ready, act, ACTS[act](ready, keys=keys)), "signer lacks the role")


def test_a_high_s_is_refused(ready, act):
    args = ACTS[act](ready)
    (r, vs), second = args[-1]
    high = (vs >> 255) << 255 | (ORDER // 2 + 1)
    refused(send(ready, act, (*args[:-1], [(r, high), second])), "high s in a signature")


def test_a_malleated_signature_is_not_the_signers(ready, act):
    """The twin (r, N - s) has no compact form: its s fills the bit that says v."""
    args = ACTS[act](ready)
    (r, vs), second = args[-1]
    twin = ORDER - (vs & S_BITS)
    assert twin > S_BITS
    refused(send(ready, act, (*args[:-1], [(r, twin), second])), "signer lacks the role")


def test_the_other_recovery_bit_is_another_signer(ready, act):
    args = ACTS[act](ready)
    (r, vs), second = args[-1]
    refused(send(ready, act, (*args[:-1], [(r, vs ^ 1 << 255), second])), "signer lacks the role")


@pytest.mark.parametrize("r", [0, ORDER, ORDER + 1])
def test_an_r_outside_the_group_is_nobodys(ready, act, r):
    args = ACTS[act](ready)
    (_, vs), second = args[-1]
    refused(send(ready, act, (*args[:-1], [(r, vs), second])), "signature recovers to nobody")


def test_an_s_of_zero_is_nobodys(ready, act):
    args = ACTS[act](ready)
    (r, _), second = args[-1]
    refused(send(ready, act, (*args[:-1], [(r, 0), second])), "signature recovers to nobody")


def test_a_deadline_in_the_past_is_refused_and_its_last_second_is_not(ready, act):
    args = ACTS[act](ready)
    ready.machine.advance(86_400)
    late = ready.twin()
    late.machine.advance(1)
    refused(send(late, act, args), "approvals expired")
    assert send(ready, act, args).ok


def test_approvals_serve_once(ready, act):
    args = ACTS[act](ready)
    assert send(ready, act, args).ok
    ready.machine.advance(12)
    again = send(ready, act, args)
    assert not again.ok
    assert again.reason.startswith("fwledger: ")
    assert again.logs == ()


@pytest.mark.parametrize("act", ["publish", "set_rollout", "assign_group", "place_devices"])
def test_approvals_die_with_any_other_act_on_the_channel(act):
    ready = _ready()
    held = ACTS[act](ready)
    ready.act("set_rollout", ready.rollout_args("SetRollout", STABLE, ALL_AT_ONCE))
    ready.machine.advance(12)
    if act == "assign_group":
        # a new group binds the channel that it joins
        assert ready.view(ready.ledger, "channel_of", 2) == b"\0" * 32
    refused(send(ready, act, held), "signer lacks the role")


def test_a_publication_approved_before_a_halt_does_not_lift_it():
    ready = _ready()
    held = ready.publish_args(STABLE, SECOND, sequence=2)
    ready.act("halt", (STABLE,), key=ready.guardian)
    ready.machine.advance(12)
    refused(send(ready, "publish", held), "signer lacks the role")


def test_a_resume_approved_for_one_halt_does_not_lift_the_next():
    ready = _ready()
    ready.act("halt", (STABLE,), key=ready.guardian)
    held = ready.rollout_args("Resume", STABLE, ALL_AT_ONCE)
    ready.act("resume", held)
    ready.act("halt", (STABLE,), key=ready.guardian)
    refused(send(ready, "resume", held), "signer lacks the role")


def test_a_rollout_approval_is_not_a_resume_approval():
    ready = _ready()
    ready.act("halt", (STABLE,), key=ready.guardian)
    held = ready.rollout_args("SetRollout", STABLE, ALL_AT_ONCE)
    refused(send(ready, "resume", held), "signer lacks the role")


@pytest.mark.parametrize(
    "domain",
    [{"chain_id": CHAIN_ID + 1}, {"contract": b"\x11" * 20}],
    ids=["another chain", "another contract"],
)
def test_signatures_made_for_elsewhere_are_nobodys_here(domain):
    ready = _ready()
    args = ready.revoke_args(SECOND)
    message = dict(zip(("release", "reason", "mandatory", "deadline"), args, strict=False))
    data = typed_data("Revoke", message, **({"contract": ready.ledger.address} | domain))
    foreign = [sign(key, data)[0] for key in ready.publishers[:2]]
    refused(send(ready, "revoke_approved", (*args[:-1], foreign)), "signer lacks the role")


BENT_FIELDS = {
    "channel": (0, digest("beta")),
    "release": (1, digest("another release")),
    "envelope": (2, digest("another envelope")),
}


@pytest.mark.parametrize(("place", "value"), BENT_FIELDS.values(), ids=BENT_FIELDS)
def test_the_approval_of_a_publication_binds_what_it_names(place, value):
    ready = _ready()
    args = list(ready.publish_args(STABLE, SECOND, sequence=2, epoch=0))
    args[place] = value
    refused(send(ready, "publish", tuple(args)), "signer lacks the role")


TERM_BITS = {
    "sequence": 1,
    "security version": 1 << 32,
    "immediate": 1 << 81,
    "deadline": 1 << 88,
    "initial_bps": 1 << 152,
    "hold_hours": 1 << 168,
    "ramp_hours": 1 << 184,
    "halt_bps": 1 << 200,
    "min_reports": 1 << 216,
}


@pytest.mark.parametrize("bit", TERM_BITS.values(), ids=TERM_BITS)
def test_the_approval_of_a_publication_binds_every_term(bit):
    ready = _ready()
    args = list(ready.publish_args(STABLE, SECOND, sequence=2, security_version=2, curve=Curve()))
    args[3] ^= bit
    refused(send(ready, "publish", tuple(args)), "signer lacks the role")


@pytest.mark.parametrize("bit", list(TERM_BITS.values())[2:], ids=list(TERM_BITS)[2:])
@pytest.mark.parametrize("act", ["set_rollout", "resume"])
def test_the_approval_of_a_rollout_binds_every_term(act, bit):
    ready = _ready()
    ready.publish(STABLE, SECOND, sequence=2, curve=Curve(initial_bps=10))
    if act == "resume":
        ready.act("halt", (STABLE,), key=ready.guardian)
    args = list(ACTS[act](ready))
    args = list(ready.rollout_args("SetRollout" if act == "set_rollout" else "Resume", STABLE, Curve()))
    args[1] ^= bit
    refused(send(ready, act, tuple(args)), "signer lacks the role")


def test_the_approval_of_a_rollout_binds_the_release_by_its_sequence():
    ready = _ready()
    args = ready.rollout_args("SetRollout", STABLE, ALL_AT_ONCE, sequence=2)
    refused(send(ready, "set_rollout", args), "signer lacks the role")
