"""Freshness and rollback: heights, hashes, times and clocks (V2), and what is remembered."""

from collections.abc import Mapping
from typing import Any, Final

from ledger_client.conformance.case import ACCEPT, GONE, PROOF, Expected, refuse
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world.headers import Sealing
from ledger_client.conformance.world.keys import address
from ledger_protocol.ledger import contract_state as keys_of
from ledger_protocol.report.reasons import Reason

SECTION: Final = "V2"
ROLLBACK: Final = "rollback"
FREEZE: Final = "indefinite freeze"
FORWARD: Final = "fast-forward"
DAY_S: Final = 86_400
AGED: Final[Mapping[str, Any]] = {"max_checkpoint_age": DAY_S}
BEHIND: Final = refuse(Reason.LEDGER_ROLLBACK)


@case(
    "fresh.older-block",
    ROLLBACK,
    SECTION,
    BEHIND,
    "a block behind the newest accepted one hides what happened since",
)
def _(s: Scenario) -> None:
    old = s.stick()
    s.replace_head()
    s.check(s.stick(), expect=ACCEPT)
    s.check(old)


@case(
    "fresh.older-block-at-an-install",
    ROLLBACK,
    SECTION,
    BEHIND,
    "an install is held to the floor as a check is",
)
def _(s: Scenario) -> None:
    old = s.stick()
    s.replace_head()
    s.check(s.stick(), expect=ACCEPT)
    s.install(old)


@case(
    "fresh.higher-block-of-an-earlier-time",
    ROLLBACK,
    SECTION,
    BEHIND,
    "time does not run backwards: a higher block of an earlier time is of another history",
)
def _(s: Scenario) -> None:
    s.seal()
    s.check(s.stick(), expect=ACCEPT)
    s.seal(time=s.block.time - 1)
    s.check(s.stick())


@case("fresh.higher-block-of-the-same-time", ROLLBACK, SECTION, ACCEPT, "blocks may follow within one second")
def _(s: Scenario) -> None:
    s.check(s.stick())
    s.seal(time=s.block.time)
    s.check(s.stick())


@case("fresh.same-proof-again", ROLLBACK, SECTION, ACCEPT, "the newest proof may be shown again")
def _(s: Scenario) -> None:
    s.check(s.stick())
    s.check(s.stick())


@case(
    "fresh.same-block-with-other-seals",
    "split view",
    SECTION,
    ACCEPT,
    "seals and round are outside the block's hash: other seals are not another block",
)
def _(s: Scenario) -> None:
    s.check(s.stick())
    first = s.block
    s.seal(
        Sealing(by=s.world.validators[1:], round=3, listed=_listed(s)), number=first.number, time=first.time
    )
    s.check(s.stick())


def _listed(s: Scenario) -> list[bytes]:
    return [address(key) for key in s.world.validators]


@case(
    "fresh.other-block-at-one-height",
    "split view",
    SECTION,
    refuse(Reason.SPLIT_VIEW),
    "two sealed blocks at one height show that validators lie: stop, and say so",
)
def _(s: Scenario) -> None:
    s.check(s.stick(), expect=ACCEPT)
    first = s.block
    s.world.revoke(bytes(32))
    s.seal(number=first.number, time=first.time)
    s.check(s.stick())


@case(
    "fresh.reorganised-chain",
    "reorg",
    SECTION,
    refuse(Reason.SPLIT_VIEW, Reason.LEDGER_ROLLBACK),
    "a chain that comes back with another block at a height that was final has forked",
)
def _(s: Scenario) -> None:
    s.replace_head()
    s.check(s.stick(), expect=ACCEPT)
    height = s.block.number
    s.world.revoke(s.head.id)
    s.seal(number=height)
    s.check(s.stick())


@case(
    "fresh.bad-proof-moves-no-floor",
    "dropped requests",
    SECTION,
    ACCEPT,
    "a fresh header beside a broken proof must not push the floor past honest sources",
)
def _(s: Scenario) -> None:
    honest = s.stick()
    height = s.block.number
    s.seal(number=9_000)
    s.check(s.stick(nodes=[]), expect=refuse(*PROOF))
    s.check(honest, height=height)


@case(
    "fresh.unsealed-header-moves-no-floor",
    FORWARD,
    SECTION,
    ACCEPT,
    "a header that is not sealed moves nothing",
)
def _(s: Scenario) -> None:
    honest = s.stick()
    height = s.block.number
    s.seal(s.undersealed(), number=9_000)
    s.check(s.stick(), expect=refuse(Reason.HEADER_QUORUM))
    s.check(honest, height=height)


@case(
    "fresh.halt-is-remembered-by-height",
    ROLLBACK,
    SECTION,
    BEHIND,
    "after a halt was seen, the block before it is not accepted again",
)
def _(s: Scenario) -> None:
    before = s.stick()
    s.publish(s.head, 10, halted=True)
    s.check(s.stick(), expect=refuse(Reason.HALTED), height=s.block.number)
    s.check(before)


@case(
    "fresh.revocation-is-for-ever",
    "withheld revocation",
    SECTION,
    refuse(Reason.REVOKED),
    "a proven revocation is kept, even when a new trust root starts the floor afresh",
)
def _(s: Scenario) -> None:
    s.world.revoke(s.head.id)
    s.seal(number=5_000)
    s.check(s.stick(), expect=refuse(Reason.REVOKED), height=5_000)
    del s.world.words[keys_of.revoked_key(s.head.id)]
    s.world.rotate(ledger={**s.world.ledger, "from_block": 7})
    s.seal(number=8)
    s.check(s.stick(), root_version=2)


@case("fresh.nothing-served", "dropped requests", SECTION, refuse(*GONE), "silence is no answer")
def _(s: Scenario) -> None:
    s.check({})


@case(
    "fresh.then-nothing-served",
    "dropped requests",
    SECTION,
    refuse(*GONE),
    "silence after an answer does not repeat it",
)
def _(s: Scenario) -> None:
    s.check(s.stick(), expect=ACCEPT)
    s.check({})


# --- clocks


def _clocked(
    name: str,
    attack: str,
    expected: Expected,
    why: str,
    *,
    later_s: int | None,
    at: int | None = None,
    world: Mapping[str, Any] = AGED,
) -> None:
    """Register a case read `later_s` seconds after the newest block, or at the clock `at` (None: none)."""

    @case(f"clock.{name}", attack, SECTION, expected, why, world=world)
    def _(s: Scenario) -> None:
        now = at if later_s is None else s.block.time + later_s
        s.check(s.stick(), now=now)


OLD: Final = refuse(Reason.STALE_LEDGER)
_clocked("as-old-as-allowed", FREEZE, ACCEPT, "an age of exactly the limit is within it", later_s=DAY_S)
_clocked(
    "one-second-too-old", FREEZE, OLD, "a view older than the trust root allows is stale", later_s=DAY_S + 1
)
_clocked("a-year-too-old", FREEZE, OLD, "a frozen view is seen by who has a clock", later_s=365 * DAY_S)
_clocked("no-limit", FREEZE, ACCEPT, "without a limit any age is accepted", later_s=365 * DAY_S, world={})
_clocked("none", FREEZE, ACCEPT, "without a clock the age is unknown, and that is no refusal", later_s=None)
_clocked(
    "at-1970",
    FREEZE,
    ACCEPT,
    "a board without a battery starts in 1970: that is no clock",
    later_s=None,
    at=0,
)
_clocked(
    "before-the-trust-root",
    FREEZE,
    ACCEPT,
    "a clock behind what was proven is no clock",
    later_s=None,
    at=1_700_000_000,
)
_clocked("at-2106", FREEZE, OLD, "a clock beyond 32 bits is a clock", later_s=None, at=2**32 + 5)
_clocked(
    "at-2106-no-limit",
    FREEZE,
    ACCEPT,
    "a clock beyond 32 bits is a clock",
    later_s=None,
    at=2**32 + 5,
    world={},
)
_clocked(
    "a-day-behind",
    FREEZE,
    ACCEPT,
    "a clock may be a day behind: drift, or a wrong zone",
    later_s=-DAY_S + 100,
)


@case(
    "clock.header-from-the-future",
    FORWARD,
    SECTION,
    refuse(Reason.HEADER_FROM_FUTURE),
    "stolen validator keys that seal years ahead would make every later truth look old",
)
def _(s: Scenario) -> None:
    now = s.world.time
    s.seal(time=now + 400 * DAY_S)
    s.check(s.stick(), now=now)


@case(
    "clock.future-header-moves-no-floor",
    FORWARD,
    SECTION,
    ACCEPT,
    "what was refused for its time leaves the honest chain as it was",
)
def _(s: Scenario) -> None:
    now, honest, height = s.world.time, s.stick(), s.block.number
    s.seal(number=2**40, time=now + 400 * DAY_S)
    s.check(s.stick(), now=now, expect=refuse(Reason.HEADER_FROM_FUTURE))
    s.check(honest, now=now, height=height)


@case("clock.block-of-2106", FORWARD, SECTION, ACCEPT, "a block's time has 64 bits: it does not end in 2106")
def _(s: Scenario) -> None:
    s.seal(time=2**32 + 5)
    s.check(s.stick(), now=2**32 + 10)


@case(
    "clock.set-back",
    ROLLBACK,
    SECTION,
    OLD,
    "a clock set back to before the newest proven header is no clock, but one set back a little is",
    world=AGED,
)
def _(s: Scenario) -> None:
    s.check(s.stick(), expect=ACCEPT)
    s.check(s.stick(), now=s.block.time + 2 * DAY_S)
