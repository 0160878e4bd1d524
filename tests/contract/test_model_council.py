"""Both contracts beside a plain model: games of governors, guardians and operators, with a little of the rest."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.contract.actors import DELAY_S
from tests.contract.modelled.play import Play
from tests.contract.modelled.rules import COUNCIL_ACTS, FLEET_ACTS, GAMES, LONG_WAITS

pytestmark = pytest.mark.timeout(600)


class Council(Play, RuleBasedStateMachine):
    @rule(drawn=LONG_WAITS)
    def days_pass(self, drawn) -> None:
        self.wait(**drawn)

    @rule(drawn=COUNCIL_ACTS["propose member"])
    def proposes_a_member(self, drawn) -> None:
        self.propose(**drawn)

    @rule(drawn=st.one_of(COUNCIL_ACTS["decide member"], COUNCIL_ACTS["decide thresholds"]))
    def decides(self, drawn) -> None:
        self.decide(**drawn)

    @rule(drawn=COUNCIL_ACTS["propose thresholds"])
    def proposes_thresholds(self, drawn) -> None:
        self.propose(**drawn)

    @rule(drawn=COUNCIL_ACTS["propose successor"])
    def proposes_a_successor(self, drawn) -> None:
        self.propose(**drawn)

    @rule(drawn=COUNCIL_ACTS["next_root"])
    def decides_on_a_root(self, drawn) -> None:
        self.next_root(**drawn)

    @rule(drawn=COUNCIL_ACTS["execute"])
    def executes_in_time(self, drawn) -> None:
        self.wait(DELAY_S)
        self.execute(**drawn)

    @rule(drawn=COUNCIL_ACTS["execute"])
    def executes(self, drawn) -> None:
        self.execute(**drawn)

    @rule(drawn=COUNCIL_ACTS["cancel"])
    def cancels(self, drawn) -> None:
        self.cancel(**drawn)

    @rule(drawn=COUNCIL_ACTS["set_root"])
    def announces(self, drawn) -> None:
        self.set_root(**drawn)

    @rule(drawn=COUNCIL_ACTS["replay"])
    def replays(self, drawn) -> None:
        self.replay(**drawn)

    @rule(drawn=COUNCIL_ACTS["operate"])
    def operates(self, drawn) -> None:
        self.operate(**drawn)

    @rule(
        named=st.one_of(
            [
                st.tuples(st.just(name), drawn)
                for name, drawn in {**FLEET_ACTS, **COUNCIL_ACTS}.items()
                if name in FLEET_ACTS or name in ("revoke", "revoke_approved", "anchor", "enrol")
            ]
        )
    )
    def anything_else(self, named) -> None:
        name, drawn = named
        getattr(self, name)(**drawn)


TestCouncil = Council.TestCase
TestCouncil.settings = GAMES
