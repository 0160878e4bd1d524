"""The protocol's own rules against the compiled contracts: same slots, same words, same curve, same
digests.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from eth_abi import decode, encode
from eth_utils import keccak
from hypothesis import example, given, settings
from hypothesis import strategies as st
from vyper import compile_code
from vyper.compiler.input_bundle import FilesystemInputBundle

from ledger_protocol import eip712
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation, Tally
from ledger_protocol.ledger.rollout import in_cohort, share_bps
from ledger_protocol.report import device_key
from ledger_protocol.report.event import (
    EventKind,
    UpdateEvent,
    chain_link,
    event_digest,
    sign_event,
    verify_chain,
)
from tests.contract.actors import Curve, World, digest
from tests.contract.evm import CHAIN_ID, Machine, private_key

ROOT = Path(__file__).parents[2]
HARNESS = """
# pragma version 0.4.3
from contracts.modules import rollouts

@external
@pure
def share(word: uint256, time: uint256) -> uint256:
    return rollouts._share(word, time)

@external
@view
def reached(word: uint256, release: bytes32, device: address) -> bool:
    return rollouts._reached(word, release, device)
"""


class Rollouts:
    """The contracts' own module, alone on a machine."""

    def __init__(self) -> None:
        self.machine = Machine()
        out = compile_code(
            HARNESS, input_bundle=FilesystemInputBundle([ROOT]), output_formats=["bytecode"], settings=None
        )
        receipt = self.machine.send(private_key(1), b"", bytes.fromhex(out["bytecode"][2:]))
        assert receipt.ok
        self.address = receipt.created

    def _call(self, signature: str, types: list[str], *args: object) -> bytes:
        data = keccak(text=signature)[:4] + encode(types, args)
        return self.machine.call(b"\1" * 20, self.address, data)

    def share(self, word: int, at_s: int) -> int:
        return decode(["uint256"], self._call("share(uint256,uint256)", ["uint256"] * 2, word, at_s))[0]

    def reached(self, word: int, release: bytes, device: bytes) -> bool:
        types = ["uint256", "bytes32", "address"]
        return decode(["bool"], self._call("reached(uint256,bytes32,address)", types, word, release, device))[
            0
        ]


@pytest.fixture(scope="module")
def rollouts() -> Rollouts:
    return Rollouts()


WORDS = st.builds(
    ChannelWord,
    sequence=st.integers(0, 2**32 - 1),
    security_version=st.integers(0, 2**24 - 1),
    epoch=st.integers(0, 2**24 - 1),
    halted=st.booleans(),
    immediate=st.sampled_from([False, False, False, True]),
    published_at=st.integers(0, 2**32 - 1),
    rollout_from=st.integers(1_799_000_000, 1_801_000_000),
    initial_bps=st.integers(0, 10_000),
    hold_hours=st.sampled_from([0, 1, 24, 168, 65_535]),
    ramp_hours=st.sampled_from([0, 1, 48, 336, 65_535]),
    halt_bps=st.integers(0, 10_000),
    min_reports=st.integers(0, 2**24 - 1),
)


@given(word=WORDS, at_s=st.integers(1_798_000_000, 1_810_000_000))
@settings(max_examples=150, deadline=None)
def test_the_share_is_the_contracts(rollouts, word, at_s):
    assert share_bps(word, at_s) == rollouts.share(word.encode(), at_s)


@given(word=WORDS, steps=st.sampled_from([-1, 0, 1]), edge=st.sampled_from(["start", "hold", "ramp"]))
@settings(max_examples=80, deadline=None)
def test_the_share_is_the_contracts_at_every_edge(rollouts, word, steps, edge):
    hours = {"start": 0, "hold": word.hold_hours, "ramp": word.hold_hours + word.ramp_hours}[edge]
    at_s = word.rollout_from + hours * 3_600 + steps
    assert share_bps(word, at_s) == rollouts.share(word.encode(), at_s)


@given(word=WORDS, release=st.binary(min_size=32, max_size=32), device=st.binary(min_size=20, max_size=20))
@example(word=ChannelWord.decode(5_000 << 152), release=bytes(32), device=bytes(20))
@settings(max_examples=150, deadline=None)
def test_the_cohort_is_the_contracts(rollouts, word, release, device):
    ours = in_cohort(word, release=release, address=device, at_s=rollouts.machine.time)
    assert ours == rollouts.reached(word.encode(), release, device)


# --- a day in the life of the pair

CHANNEL, RELEASE, OLDER = digest("stable"), digest("release"), digest("older")
GROUP = 5


@pytest.fixture(scope="module")
def world() -> World:
    made = World(Machine())
    made.publish(CHANNEL, OLDER, sequence=4, security_version=2)
    made.publish(CHANNEL, RELEASE, sequence=5, security_version=3, curve=Curve(initial_bps=10_000))
    made.act("assign_group", made.group_args(GROUP, CHANNEL))
    made.act("revoke_approved", made.revoke_args(OLDER, reason=9, mandatory=True))
    made.act("set_trust_root", made.root_args(digest("root"), 1))
    return made


def storage(world: World, contract, key: bytes) -> int:
    return world.machine.storage(contract.address, int.from_bytes(key, "big"))


def test_the_ledgers_words_lie_where_we_ask(world):
    ledger = world.ledger
    assert storage(world, ledger, state.head_key(CHANNEL)).to_bytes(32, "big") == RELEASE
    assert storage(world, ledger, state.channel_of_key(GROUP)).to_bytes(32, "big") == CHANNEL
    assert storage(world, ledger, state.trust_root_key()).to_bytes(32, "big") == digest("root")
    assert storage(world, ledger, state.trust_root_version_key()) == 1
    assert storage(world, ledger, state.word_key(CHANNEL)) == world.word(CHANNEL) != 0
    assert storage(world, ledger, state.revoked_key(RELEASE)) == 0


def test_the_ledgers_words_mean_what_was_done(world):
    word = ChannelWord.decode(storage(world, world.ledger, state.word_key(CHANNEL)))
    assert (word.sequence, word.security_version, word.halted, word.immediate) == (5, 3, False, False)
    assert (word.initial_bps, word.hold_hours, word.ramp_hours) == (10_000, 24, 48)
    assert (word.halt_bps, word.min_reports) == (300, 300)
    assert word.published_at == word.rollout_from > 0
    revoked = Revocation.decode(storage(world, world.ledger, state.revoked_key(OLDER)))
    assert revoked is not None
    assert (revoked.reason, revoked.mandatory) == (9, True)
    assert revoked.time > word.published_at


def test_both_domains_are_ours(world):
    for contract in (world.ledger, world.journal):
        ours = eip712.domain_separator(CHAIN_ID, contract.address)
        assert world.view(contract, "domain_separator") == ours


def test_the_journal_takes_our_events_and_keeps_our_links(world):
    key = ec.derive_private_key(4_711, ec.SECP256K1())
    address = device_key.address_of(device_key.public_key_bytes(key))
    world.act("enrol", (address, GROUP, digest("serial")), key=world.enroller)
    here = {"chain_id": CHAIN_ID, "journal": world.journal.address}

    def word() -> DeviceWord:
        return DeviceWord.decode(storage(world, world.journal, state.device_key(address)))

    assert (word().sequence, word().enrolled, word().group, word().previous) == (0, True, GROUP, bytes(32))
    events: list[UpdateEvent] = []
    for sequence, kind in ((1, EventKind.BASELINE), (2, EventKind.INSTALLED), (5, EventKind.CONFIRMED)):
        before = word()
        event = UpdateEvent(
            release=RELEASE,
            sequence=sequence,
            kind=kind,
            time=1_700_000_000,
            detail=digest(f"report {sequence}"),
            previous=before.previous,
        )
        assert len(verify_chain([event], after=before, **here)) == (sequence == 5)
        submit(world, sign_event(key, event, **here))
        assert word().sequence == sequence
        assert word().previous == chain_link(event_digest(event, **here))
        assert word().open_vote == (kind is EventKind.INSTALLED)
        events.append(event)
    published_at = ChannelWord.decode(world.word(CHANNEL)).published_at
    assert word().counted == published_at
    tally = Tally.decode(storage(world, world.journal, state.tally_key(RELEASE, published_at)))
    assert (tally.installed, tally.confirmed, tally.failed, tally.channel) == (1, 1, 0, CHANNEL[:20])


def submit(world: World, signed) -> None:
    """Hand an event over as a relayer does, who finds the recovery bit by trying."""
    event, signature = signed.event, signed.signature
    stamp = event.sequence | event.kind << 32 | event.time << 40
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    receipts = [
        world.send(
            world.anyone,
            world.journal,
            "submit_event",
            (event.release, stamp, event.detail, event.previous, r, s | bit << 255),
        )
        for bit in (0, 1)
    ]
    assert sorted(receipt.ok for receipt in receipts) == [False, True]
