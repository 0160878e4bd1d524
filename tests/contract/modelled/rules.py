"""What a game draws: arguments and callers, most of them right, so that games get somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.contract.actors import CONFIRMED, DELAY_S, FAILED, INSTALLED, WINDOW_S, Curve, address, fresh
from tests.contract.modelled.play import CHANNELS, FLEET, GROUPS, NEWCOMERS, OPERATOR_KEY, RELEASES
from tests.contract.modelled.state import ZERO

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

channels = st.sampled_from(CHANNELS)
releases = st.sampled_from(RELEASES)
groups = st.sampled_from(GROUPS)
# The last of the fleet is not enrolled at first.
places = st.sampled_from([*range(FLEET - 1)] * 3 + [FLEET - 1])
kinds = st.sampled_from([*[INSTALLED, CONFIRMED, FAILED] * 9, *[1, 4, 6, 7] * 2, 0, 8, 9])
curves = st.builds(
    Curve,
    immediate=st.booleans(),
    initial_bps=st.sampled_from([0, 2_500, 2_500, 7_500, 7_500, 7_500, 10_000, 10_000, 10_000, 10_001]),
    hold_hours=st.integers(0, 3),
    ramp_hours=st.integers(0, 3),
    halt_bps=st.sampled_from([0, 1, 5_000]),
    min_reports=st.sampled_from([1, 1, 1, 1, 2, 3, 0]),
)
signers = st.sampled_from(
    ["quorum"] * 24 + ["one", "none", "twice", "reversed", "others", "stranger", "all", "stale", "late"]
)
callers = st.sampled_from(["right"] * 9 + ["publisher", "governor", "anyone"])
thresholds = st.tuples(*[st.sampled_from([1, 1, 2, 2, 3, 0, 4])] * 2)
backs = st.sampled_from([0, 0, 0, 1, 2])


def members() -> SearchStrategy[tuple[Any, ...]]:
    """Changes of somebody who is, was or becomes a member."""
    world = fresh(threshold=2)
    people = [*world.publishers[:2], *world.governors[:2], world.guardian, world.enroller, OPERATOR_KEY]
    accounts = [*map(address, [*people, *NEWCOMERS, NEWCOMERS[0]]), b"\0" * 20]
    roles = st.one_of(st.sampled_from([0, 1, 2, 4, 4, 6]), st.integers(0, 65))
    return st.tuples(st.sampled_from(accounts), roles)


def acts(**drawn: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(drawn)


# What an act of `Play` is called with.
FLEET_ACTS = {
    "publish": acts(
        channel=channels,
        release=releases,
        step=st.sampled_from([1] * 8 + [-1, 0, 65_536, 65_537]),
        rise=st.sampled_from([-1, 0, 0, 1]),
        curve=curves,
        how=signers,
        pause=st.sampled_from([12] * 5 + [0]),
    ),
    "roll": acts(channel=channels, curve=curves, how=signers, fitting=st.sampled_from([True] * 5 + [False])),
    "halt": acts(channel=channels, how=callers),
    "assign_group": acts(group=groups, channel=channels, how=signers),
    "place": acts(
        chosen=st.one_of(*[st.lists(places, min_size=1, max_size=3, unique=True)] * 5, st.just([])),
        group=groups,
        retired=st.sampled_from([False, False, True]),
        how=signers,
    ),
    "report": acts(
        chosen=st.lists(places, min_size=1, max_size=3, unique=True),
        said=st.lists(st.tuples(releases, kinds), min_size=1, max_size=4),
        of_the_head=st.sampled_from([True, True, True, False]),
        queued=st.booleans(),
        skip=st.sampled_from([0] * 9 + [2]),
        forget=st.sampled_from([False] * 9 + [True]),
    ),
    "batch": acts(
        chosen=st.lists(st.tuples(places, kinds), min_size=1, max_size=8),
        release=releases,
        of=st.sampled_from([None, *CHANNELS]),
        bound=st.sampled_from([16, 128, 512]),
        skip=st.sampled_from([0] * 9 + [2]),
    ),
}
COUNCIL_ACTS = {
    "propose member": acts(act=st.just("SetMember"), fields=members(), how=signers),
    "propose thresholds": acts(act=st.just("SetThresholds"), fields=thresholds, how=signers),
    "propose successor": acts(
        act=st.just("NameSuccessor"), fields=st.tuples(st.just(b"\x77" * 20)), how=signers
    ),
    "decide member": acts(act=st.just("SetMember"), fields=members(), how=signers),
    "decide thresholds": acts(act=st.just("SetThresholds"), fields=thresholds, how=signers),
    "next_root": acts(step=st.sampled_from([0, 1, 1, 2]), how=signers),
    "execute": acts(back=backs, bent=st.sampled_from([False] * 9 + [True])),
    "cancel": acts(back=backs, how=callers),
    "set_root": acts(version=st.sampled_from([1, 1, 5, 0]), how=signers),
    "replay": acts(back=st.integers(0, 5)),
    "revoke": acts(release=releases, code=st.integers(0, 2**16 - 1), how=callers),
    "revoke_approved": acts(
        release=releases, code=st.integers(0, 2**16 - 1), mandatory=st.booleans(), how=signers
    ),
    "operate": acts(release=st.sampled_from([*RELEASES, ZERO]), how=callers),
    "anchor": acts(count=st.sampled_from([0, 1, 4_096, 4_097]), how=callers),
    "enrol": acts(
        chosen=st.lists(places, min_size=1, max_size=2), group=groups, how=callers, alone=st.booleans()
    ),
}
WAITS = acts(seconds=st.sampled_from([1, 12, 3_600, 7_200]))
LONG_WAITS = acts(
    seconds=st.sampled_from([1, DELAY_S - 1, DELAY_S, WINDOW_S, DELAY_S + WINDOW_S, DELAY_S + WINDOW_S + 1])
)

# 500 games in CI, in two files of 250; the games of a file are 60 s of one core.
GAMES = settings(
    max_examples=250, stateful_step_count=16, deadline=None, suppress_health_check=list(HealthCheck)
)
