"""Changes of governance by the command: approved as files, public for two days, executed by anyone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger_client.governance import DELAY_S, WINDOW_S
from ledger_client.signers import dev_account
from tests.support.chain import chain_process
from tests.support.manufacturer import deployed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.chain import RunningChain
    from tests.support.manufacturer import Manufacturer

GOVERNORS = [dev_account(index, chain_id=31337) for index in (3, 4, 5)]
GUARDIAN, OTHER_GUARDIAN, OPERATOR = (dev_account(index, chain_id=31337) for index in (6, 7, 8))
RELEASE = "ab" * 32


@pytest.fixture(scope="module")
def chain() -> Iterator[RunningChain]:
    """A chain of its own: these tests move its clock by days."""
    with chain_process() as running:
        yield running


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory, chain: RunningChain) -> Manufacturer:
    """Two of three governors, two guardians; account 0 pays and is no governor."""
    flags = [flag for account in GOVERNORS for flag in ("--governor", account.text)]
    flags += ["--guardian", GUARDIAN.text, "--guardian", OTHER_GUARDIAN.text, "--govern-threshold", "2"]
    return deployed(tmp_path_factory.mktemp("council"), *flags, rpc=chain.url)


def proposed(maker: Manufacturer, name: str, *change: str) -> dict[str, object]:
    """A change that governors 3 and 4 approved, each with a file, and that account 0 proposed."""
    first, second = f"{name}-1.approval", f"{name}-2.approval"
    maker.run("governance", "propose", *change, "--approve-only", first, "--dev-account", "3")
    maker.run("governance", "approve", first, "--out", second, "--dev-account", "4", "--yes")
    made = maker.json("governance", "propose", *change, "--approval", first, "--approval", second, "--yes")
    assert isinstance(made, dict)
    return made


def days_pass(chain: RunningChain) -> None:
    chain.rpc("evm_increaseTime", hex(DELAY_S + 60))
    chain.rpc("evm_mine")


def test_one_governor_of_two_proposes_nothing(maker: Manufacturer) -> None:
    line = ["governance", "propose", "member", OPERATOR.text, "--role", "operator"]
    maker.run(*line, "--approve-only", "lonely.approval", "--dev-account", "3")
    err = maker.refused(*line, "--approval", "lonely.approval", "--yes", code=1)
    assert "approvals of SetMember: expected 2 distinct governors, got 1" in err
    assert "may not approve SetMember: expected a governor" in maker.refused(
        "governance",
        "approve",
        "lonely.approval",
        "--out",
        "x.approval",
        "--dev-account",
        "9",
        "--yes",
        code=2,
    )
    assert maker.json("governance", "show")["changes"] == []


def test_the_first_trust_root_is_approved_like_a_change(maker: Manufacturer) -> None:
    maker.run("trust", "publish", "--approve-only", "root-3.approval", "--dev-account", "3")
    approved = maker.run(
        "governance", "approve", "root-3.approval", "--out", "root-4.approval", "--dev-account", "4", "--yes"
    )
    assert "trust root version 1, " in approved.err
    assert f"by        {GOVERNORS[1].text}" in approved.out


def test_an_operator_is_named_after_two_days_and_not_before(maker: Manufacturer, chain: RunningChain) -> None:
    err = maker.refused("operator", "approve", RELEASE, "--dev-account", "8", "--yes", code=1)
    assert "caller is no operator" in err
    assert "hint: governors name operators: `fwledger governance propose member ADDRESS" in err
    change = proposed(maker, "operator", "member", OPERATOR.text, "--role", "operator")
    assert change["state"] == "waiting"
    assert change["approved_by"] == [account.text for account in GOVERNORS[:2]]
    shown = maker.run("governance", "show").out
    assert f"{OPERATOR.text} becomes: operator" in shown
    assert "waiting; to be executed from" in shown
    early = maker.refused("governance", "execute", str(change["id"])[:12], "--yes", code=1)
    assert "change must wait" in early
    assert "h are left" in early
    days_pass(chain)
    assert maker.json("governance", "show")["changes"][0]["state"] == "ready"
    maker.run("governance", "execute", str(change["id"])[:12], "--dev-account", "9", "--yes")
    again = maker.refused("governance", "execute", str(change["id"]), "--yes", code=1)
    assert "change is over" in again
    members = {m["address"]: m["roles"] for m in maker.json("governance", "show")["members"]}
    assert members[OPERATOR.text] == ["operator"]


def test_an_operator_approves_once_and_everybody_sees_it(maker: Manufacturer) -> None:
    before = maker.json("operator", "status", RELEASE)["operators"]
    assert before == [{"operator": OPERATOR.text, "approved_at": None}]
    made = maker.json("operator", "approve", RELEASE, "--dev-account", "8", "--yes")
    assert made["changed"]
    again = maker.json("operator", "approve", RELEASE, "--dev-account", "8", "--yes")
    assert (again["changed"], again["approved_at"]) == (False, made["approved_at"])
    assert maker.json("operator", "status", RELEASE)["operators"][0]["approved_at"] == made["approved_at"]
    assert "not approved" in maker.run("operator", "status", "cd" * 32).out


def test_a_guardian_cancels_but_not_its_own_removal(maker: Manufacturer) -> None:
    change = proposed(maker, "removal", "member", GUARDIAN.text, "--remove")
    assert change["not_cancelled_by"] == GUARDIAN.text
    cancel = ["governance", "cancel", str(change["id"]), "--yes"]
    assert "caller is no guardian" in maker.refused(*cancel, code=1)
    own = maker.refused(*cancel, "--dev-account", "6", code=1)
    assert "own removal is not cancelled" in own
    assert "hint: another guardian may" in own
    maker.run(*cancel, "--dev-account", "7")
    assert "change is over" in maker.refused(*cancel, "--dev-account", "7", code=1)
    states = [row["state"] for row in maker.json("governance", "show", "--all")["changes"]]
    assert states[-1] == "cancelled"


def test_a_trust_root_is_announced_through_the_queue(maker: Manufacturer, chain: RunningChain) -> None:
    change = proposed(maker, "root", "trust-root")
    assert change["act"] == "AnnounceTrustRoot"
    days_pass(chain)
    maker.run("governance", "execute", str(change["id"]), "--yes")
    shown = maker.json("governance", "show")
    assert (shown["trust_root_version"], shown["trust_root"]) == (
        1,
        maker.json("trust", "show")["fingerprint"],
    )
    err = maker.refused("governance", "propose", "trust-root", "--yes", code=2)
    assert "version of the trust root: expected 2, got 1" in err


def test_a_change_that_nobody_executes_for_two_weeks_lapses(maker: Manufacturer, chain: RunningChain) -> None:
    change = proposed(maker, "forgotten", "successor", OPERATOR.text)
    chain.rpc("evm_increaseTime", hex(DELAY_S + WINDOW_S + 60))
    chain.rpc("evm_mine")
    assert maker.json("governance", "show")["changes"] == []
    assert maker.json("governance", "show", "--all")["changes"][-1]["state"] == "lapsed"
    err = maker.refused("governance", "execute", str(change["id"]), "--yes", code=1)
    assert "change has lapsed" in err
    assert "hint: approve and propose it again" in err


def test_an_executed_membership_change_voids_what_waits(maker: Manufacturer, chain: RunningChain) -> None:
    successor = proposed(maker, "successor", "successor", OPERATOR.text)
    thresholds = proposed(maker, "thresholds", "thresholds", "--govern", "3")
    days_pass(chain)
    maker.run("governance", "execute", str(thresholds["id"]), "--yes")
    assert maker.json("governance", "show")["govern_threshold"] == 3
    err = maker.refused("governance", "execute", str(successor["id"]), "--yes", code=1)
    assert "hint: a change of members or thresholds voided it" in err


def test_an_approval_of_an_older_epoch_is_named_before_anything_is_sent(maker: Manufacturer) -> None:
    line = ["governance", "propose", "successor", OPERATOR.text]
    names = ["epoch-3.approval", "epoch-4.approval", "epoch-5.approval"]
    maker.run(*line, "--approve-only", names[0], "--dev-account", "3")
    for account, name in zip("45", names[1:], strict=True):
        maker.run("governance", "approve", names[0], "--out", name, "--dev-account", account, "--yes")
    flags = [flag for name in names for flag in ("--approval", name)]
    maker.run(*line, *flags, "--yes")
    err = maker.refused(*line, *flags, "--yes", code=1)
    assert "is for another act: expected epoch" in err
    late = ["governance", "approve", names[0], "--out", "late.approval", "--dev-account", "4", "--yes"]
    assert "NameSuccessor can no longer be proposed: expected epoch" in maker.refused(*late, code=2)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["propose", "member", OPERATOR.text], "give --role"),
        (["propose", "member", OPERATOR.text, "--role", "operator", "--remove"], "give --role"),
        (["propose", "member", "0x12", "--remove"], "address: expected 0x and 40 hex digits"),
        (["propose", "thresholds"], "which threshold?"),
        (["propose", "thresholds", "--govern", "9"], "threshold of governors: expected 1 to 3, got 9"),
        (["execute", "ffff"], "change ffff: expected the id of one change"),
        (["execute", ""], "expected the id of one change"),
        (["cancel", "zz"], "change zz: expected the id of one change"),
    ],
)
def test_what_cannot_be_meant_is_refused(maker: Manufacturer, line: list[str], said: str) -> None:
    assert said in maker.refused("governance", *line, "--yes", code=2)


def test_an_approval_that_is_no_change_of_governance_is_not_approved_as_one(maker: Manufacturer) -> None:
    create = ["channel", "create", "stable", "--group", "1", "--approve-only", "group.approval"]
    maker.run(*create)
    err = maker.refused("governance", "approve", "group.approval", "--out", "g2.approval", "--yes", code=2)
    assert "is no change of governance: got AssignGroup" in err
