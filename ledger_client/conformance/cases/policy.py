"""What the ledger says to one device (V5), and whether the release fits it (V9)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ledger_client.conformance.case import ACCEPT, PROOF, Expected, accept, refuse
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world.manufacturer import DEVICE, OPERATOR
from ledger_client.conformance.world.words import cohort
from ledger_protocol.ledger import contract_state as keys_of
from ledger_protocol.report.reasons import Reason

HOUR_S: Final = 3_600
REVOKED: Final = "withheld revocation"
Change = Callable[[Scenario], object]


def _then(*changes: Change) -> Change:
    return lambda s: [change(s) for change in changes]


def _word(
    name: str,
    attack: str,
    expected: Expected,
    why: str,
    change: Change,
    world: Mapping[str, Any] | None = None,
) -> None:
    """Register a case whose ledger says this."""

    @case(f"word.{name}", attack, "V5", expected, why, world=world)
    def _(s: Scenario) -> None:
        change(s)
        s.seal()
        s.check(s.stick())


def _republish(**word: Any) -> Change:
    return lambda s: s.world.publish(s.head, **{"sequence": 10, **word})


_word(
    "halted",
    "arbitrary software",
    refuse(Reason.HALTED),
    "nobody installs a halted channel's head",
    _republish(halted=True),
)
_word(
    "halted-before-the-rollout",
    "arbitrary software",
    refuse(Reason.HALTED, Reason.NOT_IN_COHORT),
    "a halt holds whatever else the word says",
    _republish(halted=True, immediate=False, initial_bps=10_000),
)
_word(
    "head-revoked",
    REVOKED,
    refuse(Reason.REVOKED),
    "a revoked release is installed by nobody",
    lambda s: s.world.revoke(s.head.id),
)
_word(
    "head-revoked-and-halted",
    REVOKED,
    refuse(Reason.REVOKED, Reason.HALTED),
    "either is enough",
    _then(lambda s: s.world.revoke(s.head.id), _republish(halted=True)),
)
_word(
    "installed-revoked",
    REVOKED,
    ACCEPT,
    "a device whose release is revoked moves on to the head",
    lambda s: s.world.revoke(s.installed.id),
)
_word(
    "installed-revoked-and-mandatory",
    REVOKED,
    accept(Reason.MANDATORY),
    "a mandatory revocation makes the device leave at once",
    lambda s: s.world.revoke(s.installed.id, mandatory=True),
)
_word(
    "mandatory-overrides-the-cohort",
    REVOKED,
    accept(Reason.MANDATORY),
    "a device that must leave its release does not wait for its turn",
    _then(
        lambda s: s.world.revoke(s.installed.id, mandatory=True), _republish(immediate=False, initial_bps=0)
    ),
)
_word(
    "mandatory-never-overrides-a-halt",
    REVOKED,
    refuse(Reason.REVOKED_NO_SUCCESSOR, Reason.HALTED),
    "a halted head is not installed even by devices that must leave theirs",
    _then(lambda s: s.world.revoke(s.installed.id, mandatory=True), _republish(halted=True)),
)
_word(
    "both-revoked",
    REVOKED,
    refuse(Reason.REVOKED_NO_SUCCESSOR, Reason.REVOKED),
    "with nothing better to run the device keeps running, and says so",
    _then(lambda s: s.world.revoke(s.installed.id), lambda s: s.world.revoke(s.head.id)),
)
_word(
    "another-release-revoked",
    REVOKED,
    ACCEPT,
    "a revocation is of one release",
    lambda s: s.world.revoke(bytes(31) + b"\x01"),
)


def _share(initial: Callable[[int], int], **word: Any) -> Change:
    """Let the rollout begin with a share that depends on the device's place."""

    def change(s: Scenario) -> None:
        place = cohort(s.head.id, DEVICE)
        _republish(immediate=False, initial_bps=initial(place), **word)(s)

    return change


WAITING: Final = {"hold_hours": 100, "ramp_hours": 0}
_word(
    "first-of-the-cohort-after-it",
    "arbitrary software",
    refuse(Reason.NOT_IN_COHORT),
    "a device at the edge of the share is not in it",
    _share(lambda place: place, **WAITING),
)
_word(
    "last-of-the-cohort",
    "arbitrary software",
    ACCEPT,
    "a device just inside the share is in it",
    _share(lambda place: place + 1, **WAITING),
)
_word(
    "share-of-nobody",
    "arbitrary software",
    refuse(Reason.NOT_IN_COHORT),
    "a share of 0 is nobody",
    _share(lambda _place: 0, **WAITING),
)
_word(
    "share-of-nobody-never-ramps",
    "arbitrary software",
    refuse(Reason.NOT_IN_COHORT),
    "a share of 0 stays nobody, however long it is held",
    _share(lambda _place: 0, hold_hours=0, ramp_hours=0, rollout_from=0),
)
_word(
    "hold-is-over",
    "arbitrary software",
    ACCEPT,
    "without a ramp everybody follows when the hold ends",
    _share(lambda _place: 1, hold_hours=1, ramp_hours=0, rollout_from=1_800_000_000 - HOUR_S),
)
_word(
    "hold-is-not-over",
    "arbitrary software",
    refuse(Reason.NOT_IN_COHORT),
    "the share holds until the hours are over",
    _share(lambda _place: 1, hold_hours=2, ramp_hours=0, rollout_from=1_800_000_000 - HOUR_S),
)


@case(
    "word.cohort-by-the-proven-time",
    "fast-forward",
    "V5",
    refuse(Reason.NOT_IN_COHORT),
    "the rollout runs by the proven header's time, not by the device's clock",
)
def _(s: Scenario) -> None:
    _share(lambda _place: 1, hold_hours=2, ramp_hours=0)(s)
    s.seal()
    s.check(s.stick(), now=s.world.time + 20 * HOUR_S)


# --- the operator

OPERATED: Final[Mapping[str, Any]] = {"operator": OPERATOR}
_word(
    "operator-has-not-approved",
    "arbitrary software",
    refuse(Reason.NOT_APPROVED),
    "where the trust root pins an operator, its approval is needed",
    lambda _s: None,
    OPERATED,
)
_word(
    "operator-has-approved",
    "arbitrary software",
    ACCEPT,
    "an approved release is installed",
    lambda s: s.world.words.update({keys_of.approval_key(OPERATOR, s.head.id): s.world.time}),
    OPERATED,
)
_word(
    "another-operator-has-approved",
    "arbitrary software",
    refuse(Reason.NOT_APPROVED, *PROOF),
    "an approval counts from the pinned operator only",
    lambda s: s.world.words.update({keys_of.approval_key(DEVICE, s.head.id): s.world.time}),
    OPERATED,
)
_word(
    "operator-approved-the-release-before",
    "mix-and-match",
    refuse(Reason.NOT_APPROVED),
    "an approval is of one release",
    lambda s: s.world.words.update({keys_of.approval_key(OPERATOR, s.installed.id): s.world.time}),
    OPERATED,
)

# --- newer or not


@case("word.up-to-date", "indefinite freeze", "V5", refuse(Reason.UP_TO_DATE), "the head runs: nothing to do")
def _(s: Scenario) -> None:
    s.change_device(installed=s.head.manifest)
    s.check(s.stick())


@case(
    "word.installed-head-revoked",
    REVOKED,
    "V5",
    refuse(Reason.REVOKED_NO_SUCCESSOR, Reason.REVOKED),
    "the head runs and is revoked: the device says so",
)
def _(s: Scenario) -> None:
    s.change_device(installed=s.head.manifest)
    s.world.revoke(s.head.id)
    s.seal()
    s.check(s.stick())


def _installed(name: str, expected: Expected, why: str, attack: str = "rollback", **manifest: Any) -> None:
    """Register a case whose device runs a release of sequence 11 with these fields."""

    @case(f"word.{name}", attack, "V5", expected, why)
    def _(s: Scenario) -> None:
        newer = s.world.build(11, **manifest)
        s.world.releases.insert(0, newer)
        s.change_device(installed=newer.manifest)
        s.check(s.stick())


_installed("older-head", refuse(Reason.NOT_NEWER), "an old release published anew is not an update")
_installed(
    "older-head-same-sequence", refuse(Reason.NOT_NEWER), "an equal sequence is not an update", sequence=10
)


@case(
    "word.older-head-when-installed-is-revoked",
    "rollback",
    "V5",
    ACCEPT,
    "a device leaves a revoked release for an older one that is not, above the floor",
)
def _(s: Scenario) -> None:
    newer = s.world.build(11)
    s.change_device(installed=newer.manifest)
    s.world.revoke(newer.id)
    s.seal()
    s.check(s.stick())


@case(
    "word.below-the-floor",
    "rollback",
    "V9",
    refuse(Reason.ROLLBACK),
    "a security version that was confirmed is never gone below, revoked or not",
)
def _(s: Scenario) -> None:
    newer = s.world.build(11, security_version=2)
    s.change_device(installed=newer.manifest)
    s.world.revoke(newer.id, mandatory=True)
    s.seal()
    s.check(s.stick())


@case("word.nothing-installed", "rollback", "V5", ACCEPT, "a device that runs nothing known takes the head")
def _(s: Scenario) -> None:
    s.change_device(installed=None)
    s.check(s.stick())


# --- consent and windows


@case(
    "word.needs-consent",
    "arbitrary software",
    "V5",
    refuse(Reason.NEEDS_CONSENT),
    "where someone has to agree, nobody agrees for them",
)
def _(s: Scenario) -> None:
    s.change_device(mode="consent")
    s.check(s.stick())


for name, start, end, expected in (
    ("outside-the-window", "03:00", "04:00", refuse(Reason.OUTSIDE_WINDOW)),
    ("inside-the-window", "07:00", "09:00", ACCEPT),
    ("inside-a-window-over-midnight", "22:00", "08:30", ACCEPT),
):

    @case(f"word.{name}", "arbitrary software", "V5", expected, "a maintenance window is kept, in UTC")
    def _(s: Scenario, start: str = start, end: str = end) -> None:
        # 1,800,000,000 is 08:00 UTC.
        s.change_device(windows=({"start": start, "end": end},))
        s.check(s.stick())
