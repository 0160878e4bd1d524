"""Both contracts beside a plain model: games of publishers, devices and their votes, with a little of the rest."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.contract.modelled.play import Play
from tests.contract.modelled.rules import COUNCIL_ACTS, FLEET_ACTS, GAMES, WAITS

pytestmark = pytest.mark.timeout(600)


class Fleet(Play, RuleBasedStateMachine):
    @rule(drawn=WAITS)
    def time_passes(self, drawn) -> None:
        self.wait(**drawn)

    @rule(drawn=FLEET_ACTS["publish"])
    def publishes(self, drawn) -> None:
        self.publish(**drawn)

    @rule(drawn=FLEET_ACTS["roll"])
    def rolls(self, drawn) -> None:
        self.roll(**drawn)

    @rule(drawn=FLEET_ACTS["halt"])
    def halts(self, drawn) -> None:
        self.halt(**drawn)

    @rule(drawn=FLEET_ACTS["assign_group"])
    def assigns(self, drawn) -> None:
        self.assign_group(**drawn)

    @rule(drawn=FLEET_ACTS["place"])
    def places(self, drawn) -> None:
        self.place(**drawn)

    @rule(drawn=FLEET_ACTS["report"])
    def reports(self, drawn) -> None:
        self.report(**drawn)

    @rule(drawn=FLEET_ACTS["batch"])
    def carries(self, drawn) -> None:
        self.batch(**drawn)

    @rule(named=st.one_of([st.tuples(st.just(name), drawn) for name, drawn in COUNCIL_ACTS.items()]))
    def anything_else(self, named) -> None:
        name, drawn = named
        getattr(self, name.split(" ")[0])(**drawn)


TestFleet = Fleet.TestCase
TestFleet.settings = GAMES
