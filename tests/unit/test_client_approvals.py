"""Acts and approvals: what is signed is what is set, and files from others are believed in nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_client.acts import STRUCTS, Act, Rollout
from ledger_client.approvals import (
    Approval,
    act_from_typed_data,
    approve,
    compact,
    gather,
    verify_approval,
)
from ledger_client.errors import NotEnoughApprovalsError, NotTrustedError, UsageError
from ledger_client.signers import dev_account
from ledger_protocol import eip712
from ledger_protocol.keccak import keccak256

if TYPE_CHECKING:
    from collections.abc import Callable

LEDGER = bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")
ALICE, BOB, CAROL = (dev_account(index, chain_id=31337) for index in range(3))


def publish_act(**changes: Any) -> Act:
    values = {
        "channel": b"\x01" * 32,
        "release": b"\x02" * 32,
        "envelope": b"\x03" * 32,
        "sequence": 7,
        "securityVersion": 2,
        "epoch": 5,
        "deadline": 1_900_000_000,
        **Rollout(initial_bps=500, hold_hours=24).fields(),
    }
    return Act.of("Publish", values | changes, chain_id=31337, ledger=LEDGER)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channel", b"\x01" * 31),
        ("channel", "0x01"),
        ("sequence", 2**32),
        ("sequence", -1),
        ("sequence", True),
        ("immediate", 1),
        ("epoch", 2**24),
        ("deadline", 2**40),
        ("minReports", 2**24),
    ],
)
def test_a_value_that_the_struct_cannot_hold_is_refused(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"Publish.{field}"):
        publish_act(**{field: value})


def test_an_act_with_a_missing_or_unknown_field_is_refused() -> None:
    with pytest.raises(UsageError):
        Act.of("Publish", {"channel": b"\x01" * 32}, chain_id=1, ledger=LEDGER)
    with pytest.raises(UsageError):
        publish_act(extra=1)
    with pytest.raises(UsageError):
        Act.of("Steal", {}, chain_id=1, ledger=LEDGER)


@pytest.mark.parametrize(
    "rollout",
    [
        {"initial_bps": 10_001},
        {"halt_bps": 10_001},
        {"initial_bps": -1},
        {"hold_hours": 65_536},
        {"halt_bps": 1, "min_reports": 0},
    ],
)
def test_a_rollout_that_the_contract_would_refuse_is_refused(rollout: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="rollout"):
        Rollout(**rollout)


def test_terms_have_the_layout_of_the_channel_word() -> None:
    from ledger_protocol.ledger.contract_state import ChannelWord

    act = publish_act(immediate=True)
    word = ChannelWord.decode(act.terms() & ~(((1 << 40) - 1) << 88))
    assert (word.sequence, word.security_version, word.immediate, word.halted) == (7, 2, True, False)
    assert (word.initial_bps, word.hold_hours, word.ramp_hours) == (500, 24, 0)
    assert (word.halt_bps, word.min_reports, word.epoch) == (300, 300, 0)
    assert act.terms() >> 88 & (2**40 - 1) == 1_900_000_000


def independent_digest(act: Act) -> bytes:
    """EIP-712 by our other implementation, that of the protocol package."""
    kinds = STRUCTS[act.name]
    type_text = f"{act.name}({','.join(f'{kind} {name}' for name, kind in kinds)})"
    words = []
    for (_, kind), value in zip(kinds, act.values, strict=True):
        if kind == "address[]":
            words.append(keccak256(b"".join(bytes(12) + address for address in value)))
        elif kind == "address":
            words.append(eip712.address_word(value))
        else:
            words.append(value if isinstance(value, bytes) else eip712.uint_word(int(value)))
    domain = eip712.domain_separator(act.chain_id, act.ledger)
    return eip712.digest(domain, eip712.struct_hash(type_text, words))


VALUES = {
    "bytes32": st.binary(min_size=32, max_size=32),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20),
    "uint8": st.integers(0, 255),
    "uint16": st.integers(0, 10_000),
    "uint24": st.integers(0, 2**24 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "uint40": st.integers(0, 2**40 - 1),
    "address[]": st.lists(st.binary(min_size=20, max_size=20), min_size=1, max_size=5).map(tuple),
}


@st.composite
def acts(draw: st.DrawFn) -> Act:
    name = draw(st.sampled_from(sorted(STRUCTS)))
    values = {field: draw(VALUES[kind]) for field, kind in STRUCTS[name]}
    return Act.of(name, values, chain_id=draw(st.integers(1, 2**53)), ledger=LEDGER)


@settings(max_examples=60, deadline=None)
@given(acts())
def test_eth_account_and_the_protocol_package_hash_every_act_alike(act: Act) -> None:
    signable = encode_typed_data(full_message=act.typed_data())
    theirs = keccak256(b"\x19" + signable.version + signable.header + signable.body)
    assert theirs == independent_digest(act)
    assert act_from_typed_data(json.loads(json.dumps(act.typed_data())), where="test") == act


def test_an_approval_survives_its_file() -> None:
    approval = approve(publish_act(), ALICE)
    assert Approval.decode(approval.encode()) == approval


def test_an_approval_whose_act_was_changed_no_longer_holds() -> None:
    document = json.loads(approve(publish_act(), ALICE).encode())
    document["typed_data"]["message"]["initialBps"] = 10_000
    with pytest.raises(NotTrustedError, match="expected by 0xf39F"):
        Approval.decode(json.dumps(document).encode())


def test_an_approval_under_another_name_is_refused() -> None:
    document = json.loads(approve(publish_act(), ALICE).encode())
    document["signer"] = BOB.text
    with pytest.raises(NotTrustedError):
        Approval.decode(json.dumps(document).encode())


def test_the_malleable_twin_of_a_signature_is_refused() -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    document = json.loads(approve(publish_act(), ALICE).encode())
    raw = bytes.fromhex(document["signature"][2:])
    twin = raw[:32] + (order - int.from_bytes(raw[32:64], "big")).to_bytes(32, "big") + bytes([raw[64] ^ 7])
    document["signature"] = "0x" + twin.hex()
    with pytest.raises(NotTrustedError, match="low s"):
        Approval.decode(json.dumps(document).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("schema"),
        lambda d: d.update(signature="0x12"),
        lambda d: d.update(signature=None),
        lambda d: d.update(signer="bob"),
        lambda d: d.update(typed_data=None),
        lambda d: d["typed_data"].update(primaryType="Permit"),
        lambda d: d["typed_data"]["domain"].update(name="uniswap"),
        lambda d: d["typed_data"]["domain"].update(chainId=True),
        lambda d: d["typed_data"]["types"]["Publish"].pop(),
        lambda d: d["typed_data"]["message"].update(sequence="7"),
        lambda d: d["typed_data"]["message"].update(extra=1),
        lambda d: d["typed_data"]["message"].pop("epoch"),
    ],
)
def test_a_file_of_another_form_is_a_usage_error(change: Any) -> None:
    document = json.loads(approve(publish_act(), ALICE).encode())
    change(document)
    with pytest.raises(UsageError):
        Approval.decode(json.dumps(document).encode())


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda v: json.dumps(v).encode())
)
def test_nothing_but_our_errors_leaves_the_reader_of_approval_files(raw: bytes) -> None:
    with pytest.raises((UsageError, NotTrustedError)):
        Approval.decode(raw)


def test_gathered_approvals_ascend_and_a_second_one_of_the_same_member_adds_nothing() -> None:
    act = publish_act()
    approvals = [approve(act, account) for account in (ALICE, BOB, CAROL, ALICE)]
    signers = [one.signer for one in gather(approvals, act=act, threshold=3, members="publishers")]
    assert signers == sorted({ALICE.address, BOB.address, CAROL.address})
    with pytest.raises(NotEnoughApprovalsError, match="expected 2 distinct publishers, got 1"):
        gather([approvals[0], approvals[3]], act=act, threshold=2, members="publishers")


def test_an_approval_of_another_act_is_named_with_the_difference() -> None:
    act = publish_act()
    with pytest.raises(NotTrustedError, match="expected epoch 5, got epoch 6"):
        gather([approve(publish_act(epoch=6), ALICE)], act=act, threshold=1, members="publishers")


def test_a_v_of_0_and_1_is_read_as_27_and_28() -> None:
    act = publish_act()
    made = approve(act, BOB).signature
    bare = made[:64] + bytes([made[64] - 27])
    assert verify_approval(act, BOB.address, bare, where="here").signature == made


@pytest.mark.parametrize("v", [2, 26, 29, 35, 255])
def test_another_v_is_no_signature(v: int) -> None:
    act = publish_act()
    made = approve(act, BOB).signature[:64] + bytes([v])
    with pytest.raises(NotTrustedError, match="low s and v of 27 or 28"):
        verify_approval(act, BOB.address, made, where="here")


@pytest.mark.parametrize("flip", [lambda v: 55 - v, lambda v: 28 - v], ids=["27 or 28", "0 or 1"])
def test_the_other_v_is_another_signers(flip: Callable[[int], int]) -> None:
    act = publish_act()
    made = approve(act, BOB).signature
    with pytest.raises(NotTrustedError):
        verify_approval(act, BOB.address, made[:64] + bytes([flip(made[64])]), where="here")


def test_the_compact_form_recovers_to_the_signer() -> None:
    act = publish_act()
    approval = approve(act, BOB)
    r, vs = approval.values()
    assert (r, vs) == compact(approval.signature[:64], approval.signature[64])
    v, s = 27 + (vs >> 255), vs & (2**255 - 1)
    recovered = EthAccount.recover_message(encode_typed_data(full_message=act.typed_data()), vrs=(v, r, s))
    assert recovered == BOB.text
