"""The order of V0 to V4 is the security property: any other order is a RuntimeError, and shows nothing."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from device_verifier.errors import NotTrusted
from device_verifier.ledger_view import LedgerView, VerifiedHeader
from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import TrustedLedger
from tests.sim.repository import DEVICE, Repository, altered

STABLE = StateQuery(channel="stable")


class Order(RuleBasedStateMachine):
    """Calls in every order, with good and bad bytes; a model says what each may do."""

    def __init__(self) -> None:
        super().__init__()
        self.repository = Repository()
        self.repository.publish(self.repository.build(1))
        self.repository.seal()
        self.good = self.repository.proof(STABLE)
        self.repository.rotate_root(announce=False)
        self.forged = altered(self.good, header=self.repository.seal(signers=[0], append=False).raw_header)
        self.cut = altered(self.good, nodes=())
        self.trusted = TrustedLedger(trust_root=self.repository.factory_root, floor=None, now_s=None)
        self.has_header = self.has_words = self.cut_off = False

    @rule()
    def walk_roots(self) -> None:
        if self.has_header:
            with pytest.raises(RuntimeError):
                self.trusted.update_roots(self.repository.signed_roots)
        else:
            assert self.trusted.update_roots(self.repository.signed_roots).version == 2

    @rule(cut=st.booleans())
    def accept_a_header(self, cut: bool) -> None:
        if self.has_header:
            with pytest.raises(RuntimeError):
                self.trusted.update_header(self.good)
            return
        header = self.trusted.update_header(self.cut if cut else self.good)
        assert isinstance(header, VerifiedHeader)
        self.has_header, self.cut_off = True, cut

    @precondition(lambda self: not self.has_header)
    @rule(rubbish=st.binary(max_size=64))
    def offer_bad_headers(self, rubbish: bytes) -> None:
        for bad in (self.forged, rubbish):
            with pytest.raises(NotTrusted):
                self.trusted.update_header(bad)

    @rule()
    def read_words(self) -> None:
        if not self.has_header:
            with pytest.raises(RuntimeError):
                self.trusted.read(STABLE)
        elif self.cut_off:
            with pytest.raises(NotTrusted):
                self.trusted.read(STABLE)
        else:
            assert isinstance(self.trusted.read(STABLE), LedgerView)
            self.has_words = True

    @rule()
    def read_what_the_proof_does_not_cover(self) -> None:
        with pytest.raises(NotTrusted if self.has_header else RuntimeError):
            self.trusted.read(StateQuery(channel="stable", device=DEVICE))

    @invariant()
    def a_floor_is_set_by_proven_words_alone(self) -> None:
        if self.has_words:
            assert self.trusted.new_floor.number == 100
        else:
            with pytest.raises(RuntimeError):
                _ = self.trusted.new_floor


TestOrder = Order.TestCase
TestOrder.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)


def test_nothing_unverified_can_be_reached():
    """The public names of the class: what each gives was verified, or is raised for."""
    public = {name for name in vars(TrustedLedger) if not name.startswith("_")}
    assert public == {"root", "steps", "new_roots", "update_roots", "update_header", "new_floor", "read"}
    repository = Repository()
    repository.seal()
    trusted = TrustedLedger(trust_root=repository.factory_root, floor=None, now_s=None)
    with pytest.raises(NotTrusted):
        trusted.update_header(repository.proof(STABLE, repository.seal(signers=[0], append=False)))
    assert trusted.new_roots == ()
    assert all(step.ok for step in trusted.steps)
    with pytest.raises(RuntimeError):
        trusted.read(STABLE)
