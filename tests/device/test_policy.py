"""Policy (V5, V8, V9): what a device does for every state of the ledger and of itself."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_verifier import policy
from device_verifier.facts import InstallMode, Window
from device_verifier.policy import Action
from device_verifier.release import verify_release
from ledger_protocol.ledger import rollout
from ledger_protocol.ledger.contract_state import Revocation
from ledger_protocol.release.manifest import MinFrom
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import GENESIS_TIME, OPERATOR
from tests.sim.scene import Scene

ANOTHER_TIME = Window(frozenset({0}), 0, 1)  # one minute on Mondays
HOUR = 3_600


@pytest.fixture
def scene():
    """The device runs release 10; release 11 is the head."""
    scene = Scene()
    scene.head = scene.repository.build(11)
    scene.repository.publish(scene.head)
    scene.repository.seal()
    return scene


def decision(scene, **facts):
    facts.setdefault("installed", scene.release.installed)
    return scene.consult(**facts).decision


def outcome(scene, **facts):
    found = decision(scene, **facts)
    return found.action, found.reason


def change(scene, verb, *arguments, **named):
    getattr(scene.repository, verb)(*arguments, **named)
    scene.repository.seal()


def test_a_newer_head_is_installed(scene):
    assert outcome(scene) == (Action.INSTALL, Reason.UPDATE_AVAILABLE)
    assert decision(scene).target == scene.head.id


def test_the_head_itself_is_nothing_to_do(scene):
    assert outcome(scene, installed=scene.head.installed) == (Action.NONE, Reason.UP_TO_DATE)


def test_an_empty_channel_is_nothing_to_do(scene):
    assert outcome(scene, channel="beta") == (Action.NONE, Reason.NO_RELEASE)


def test_a_group_without_a_channel_is_nothing_to_do(scene):
    assert outcome(scene, channel=None, group=3) == (Action.NONE, Reason.NO_GROUP)


def test_a_device_that_the_journal_does_not_know_is_told_so(scene):
    assert outcome(scene, channel=None) == (Action.NONE, Reason.NOT_ENROLLED)


def test_a_retired_device_installs_nothing(scene):
    scene.repository.assign(7, "stable")
    change(scene, "enrol", retired=True)
    assert outcome(scene, channel=None) == (Action.NONE, Reason.RETIRED)


def test_a_halt_waits(scene):
    change(scene, "halt")
    assert outcome(scene) == (Action.WAIT, Reason.HALTED)


def test_a_revoked_head_is_refused(scene):
    change(scene, "revoke", scene.head.id)
    assert outcome(scene) == (Action.REFUSE, Reason.REVOKED)


@pytest.mark.parametrize("trouble", ["halted", "head revoked", "no head", "itself", "no channel"])
def test_a_revoked_device_with_nothing_to_move_to_keeps_running_and_says_so(scene, trouble):
    facts = {}
    change(scene, "revoke", scene.release.id, mandatory=True)
    if trouble == "halted":
        change(scene, "halt")
    if trouble == "head revoked":
        change(scene, "revoke", scene.head.id)
    if trouble == "no head":
        facts = {"channel": "beta"}
    if trouble == "no channel":
        facts = {"channel": None, "group": 3}
    if trouble == "itself":
        change(scene, "publish", scene.release)
    assert outcome(scene, **facts) == (Action.NONE, Reason.REVOKED_NO_SUCCESSOR)


def test_a_cohort_that_is_not_reached_waits_for_its_hour(scene):
    addresses = (n.to_bytes(20, "big") for n in range(1_000))
    address = next(a for a in addresses if 4_000 < rollout.cohort(scene.head.id, a) < 6_000)
    place = rollout.cohort(scene.head.id, address)
    change(scene, "publish", scene.head, immediate=False, initial_bps=100, hold_hours=1, ramp_hours=10)
    word = scene.consult(installed=None).learned.view.word
    assert outcome(scene, address=address) == (Action.WAIT, Reason.NOT_IN_COHORT)
    reached = next(
        s for s in range(0, 20 * HOUR, 60) if rollout.share_bps(word, word.rollout_from + s) > place
    )
    scene.repository.seal(time=word.rollout_from + reached - 60)
    assert outcome(scene, address=address)[1] is Reason.NOT_IN_COHORT
    scene.repository.seal(time=word.rollout_from + reached)
    assert outcome(scene, address=address)[1] is Reason.UPDATE_AVAILABLE


def test_nobody_is_in_a_rollout_of_zero(scene):
    change(scene, "publish", scene.head, immediate=False, initial_bps=0)
    assert outcome(scene) == (Action.WAIT, Reason.NOT_IN_COHORT)


def test_a_maintenance_window_waits(scene):
    assert outcome(scene, windows=(ANOTHER_TIME,)) == (Action.WAIT, Reason.OUTSIDE_WINDOW)
    always = Window(frozenset(range(7)), 0, 0)
    assert outcome(scene, windows=(ANOTHER_TIME, always)) == (Action.INSTALL, Reason.UPDATE_AVAILABLE)


def test_the_proven_headers_time_stands_in_for_a_clock_in_a_window(scene):
    minute = scene.repository.chain[-1].time // 60 % (24 * 60)
    inside = Window(frozenset(range(7)), minute, minute + 1)
    assert outcome(scene, windows=(inside,), now_s=None)[0] is Action.INSTALL
    assert outcome(scene, windows=(ANOTHER_TIME,), now_s=None)[1] is Reason.OUTSIDE_WINDOW
    assert outcome(scene, windows=(inside,), now_s=100)[0] is Action.INSTALL, "a clock that starts in 1970"
    assert outcome(scene, windows=(ANOTHER_TIME,), now_s=100)[1] is Reason.OUTSIDE_WINDOW


def test_consent_waits_for_this_very_release(scene):
    assert outcome(scene, mode=InstallMode.CONSENT) == (Action.WAIT, Reason.NEEDS_CONSENT)
    other = frozenset({scene.release.id})
    assert outcome(scene, mode=InstallMode.CONSENT, consented=other)[1] is Reason.NEEDS_CONSENT
    given = frozenset({scene.head.id})
    assert outcome(scene, mode=InstallMode.CONSENT, consented=given)[1] is Reason.UPDATE_AVAILABLE


def test_a_release_that_failed_here_is_not_tried_again(scene):
    failed = frozenset({scene.head.id})
    assert outcome(scene, failed=failed) == (Action.REFUSE, Reason.ALREADY_FAILED)
    assert outcome(scene, failed=failed, override=True)[0] is Action.INSTALL


def test_a_technician_overrides_cohort_window_and_consent(scene):
    change(scene, "publish", scene.head, immediate=False, initial_bps=0)
    held = {"windows": (ANOTHER_TIME,), "mode": InstallMode.CONSENT}
    assert outcome(scene, **held)[0] is Action.WAIT
    assert outcome(scene, **held, override=True) == (Action.INSTALL, Reason.UPDATE_AVAILABLE)


@pytest.mark.parametrize(
    ("verb", "reason"), [("halt", Reason.HALTED), ("revoke", Reason.REVOKED), ("floor", Reason.ROLLBACK)]
)
def test_a_technician_never_overrides_what_is_proven(scene, verb, reason):
    facts = {"security_floor": 9} if verb == "floor" else {}
    if verb == "halt":
        change(scene, "halt")
    if verb == "revoke":
        change(scene, "revoke", scene.head.id)
    assert outcome(scene, **facts, override=True)[1] is reason


def test_a_mandatory_revocation_overrides_cohort_and_window(scene):
    change(scene, "publish", scene.head, immediate=False, initial_bps=0)
    change(scene, "revoke", scene.release.id)
    assert outcome(scene, windows=(ANOTHER_TIME,)) == (Action.WAIT, Reason.NOT_IN_COHORT)
    change(scene, "revoke", scene.release.id, mandatory=True)
    assert outcome(scene, windows=(ANOTHER_TIME,)) == (Action.MANDATORY, Reason.MANDATORY)


def test_a_mandatory_revocation_overrides_neither_consent_nor_operator():
    scene = Scene(operator=OPERATOR)
    scene.head = scene.repository.build(11)
    scene.repository.publish(scene.head)
    change(scene, "revoke", scene.release.id, mandatory=True)
    assert outcome(scene)[1] is Reason.NOT_APPROVED
    change(scene, "approve", scene.head.id)
    assert outcome(scene)[1] is Reason.MANDATORY
    assert outcome(scene, mode=InstallMode.CONSENT)[1] is Reason.NEEDS_CONSENT


def test_a_slower_channels_older_head_is_kept_away_until_what_runs_is_revoked(scene):
    old = scene.repository.build(5, channels=("slow",))
    change(scene, "publish", old, channel="slow")
    assert outcome(scene, channel="slow") == (Action.NONE, Reason.NOT_NEWER)
    change(scene, "revoke", scene.release.id)
    assert outcome(scene, channel="slow") == (Action.INSTALL, Reason.UPDATE_AVAILABLE)


def test_every_step_is_shown_with_what_it_expected_and_found(scene):
    steps = decision(scene).steps
    assert sorted({step.check for step in steps}, key=lambda c: int(c[1:])) == [f"V{n}" for n in range(10)]
    assert all(step.expected and step.found and step.ok for step in steps)


def test_the_first_gate_that_is_shut_gives_the_reason_and_the_rest_is_still_shown(scene):
    change(scene, "halt")
    found = decision(scene, windows=(ANOTHER_TIME,), mode=InstallMode.CONSENT)
    assert found.reason is Reason.HALTED
    assert [step.what for step in found.steps if not step.ok] == ["channel", "maintenance window", "consent"]


def test_a_publisher_checks_a_release_against_facts_without_a_ledger():
    scene = Scene()
    release = scene.repository.build(11, min_from=MinFrom(2, None))
    verified = verify_release(release.envelope, release.block, head=release.id, root=scene.repository.root)
    device = scene.repository.device(installed=scene.release.installed)
    assert policy.judge_fit(verified, device).reason is Reason.UNREACHABLE_FROM
    newer = replace(scene.release.installed, security_version=2)
    fits = policy.judge_fit(verified, replace(device, installed=newer))
    assert (fits.action, fits.reason, fits.target) == (Action.INSTALL, Reason.UPDATE_AVAILABLE, release.id)


def test_a_stone_that_is_what_runs_already_is_no_way():
    scene = Scene()
    head = scene.repository.build(12, security_version=3, min_from=MinFrom(2, scene.release.id))
    change(scene, "publish", head)
    assert outcome(scene) == (Action.REFUSE, Reason.UNREACHABLE_FROM)


def test_a_stone_that_failed_here_is_not_tried_again():
    scene = Scene()
    stone = scene.repository.build(11, security_version=2)
    scene.repository.publish(stone)
    change(scene, "publish", scene.repository.build(12, security_version=3, min_from=MinFrom(2, stone.id)))
    assert outcome(scene, failed=frozenset({stone.id})) == (Action.REFUSE, Reason.ALREADY_FAILED)


def test_judging_another_release_than_the_proven_head_is_a_programming_error(scene):
    view = scene.consult().learned.view
    release = scene.release
    verified = verify_release(release.envelope, release.block, head=release.id, root=scene.repository.root)
    device = scene.repository.device()
    with pytest.raises(ValueError, match="head"):
        policy.judge_release(verified, view, device, so_far=policy.decide(view, device))
    with pytest.raises(ValueError, match="parent"):
        policy.judge_via(
            verified, verified, revoked=None, view=view, facts=device, so_far=policy.decide(view, device)
        )


SCENE = Scene(operator=OPERATOR)
HEAD = SCENE.repository.build(11)
SCENE.repository.publish(HEAD)
SCENE.repository.seal()
VIEW = SCENE.consult().learned.view


@given(
    halted=st.booleans(),
    head_revoked=st.booleans(),
    installed_revoked=st.sampled_from([None, False, True]),
    approved=st.booleans(),
    initial_bps=st.sampled_from([0, 5_000, 10_000]),
    security_version=st.integers(0, 3),
    floor=st.integers(0, 3),
    running=st.sampled_from([None, 9, 10, 11, 12]),
    window=st.booleans(),
    consent=st.booleans(),
    failed=st.booleans(),
    override=st.booleans(),
    address=st.binary(min_size=20, max_size=20),
)
@settings(max_examples=300, deadline=None)
def test_whatever_the_state_a_decision_to_install_breaks_no_rule(
    halted, head_revoked, installed_revoked, approved, initial_bps, security_version, floor, running, window,
    consent, failed, override, address,
):  # fmt: skip
    word = replace(
        VIEW.word,
        halted=halted,
        immediate=False,
        initial_bps=initial_bps,
        ramp_hours=1_000,
        security_version=security_version,
    )
    revocation = Revocation(time=GENESIS_TIME, reason=1, mandatory=bool(installed_revoked))
    view = replace(
        VIEW,
        word=word,
        head_revoked=revocation if head_revoked else None,
        installed_revoked=None if installed_revoked is None else revocation,
        approved_at=GENESIS_TIME if approved else None,
    )
    installed = None if running is None else replace(SCENE.release.installed, sequence=running)
    facts = SCENE.repository.device(
        address=address,
        installed=installed,
        security_floor=floor,
        windows=(ANOTHER_TIME,) if window else (),
        mode=InstallMode.CONSENT if consent else InstallMode.AUTOMATIC,
        failed=frozenset({HEAD.id}) if failed else frozenset(),
        override=override,
    )
    found = policy.decide(view, facts)
    assert (
        found.installs == (found.target is not None) == (found.action in {Action.INSTALL, Action.MANDATORY})
    )
    if found.installs:
        assert not halted
        assert not head_revoked
        assert approved
        assert security_version >= floor
        assert not failed or override
        assert not consent or override
        assert running is None or running < word.sequence or installed_revoked is not None
        if found.action is Action.INSTALL and not override:
            assert not window
            assert rollout.in_cohort(word, release=HEAD.id, address=address, at_s=view.header.time)
        if found.action is Action.MANDATORY:
            assert installed_revoked
    else:
        assert any(not step.ok for step in found.steps)
