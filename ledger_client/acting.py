"""From an act to a call: approvals of members gathered, their roles checked, the threshold met."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger_client.acts import QUEUED_ACTS
from ledger_client.approvals import Approval, approve, gather
from ledger_client.config import checksum_address
from ledger_client.errors import NotTrustedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger_client.acts import Act
    from ledger_client.ledger import Ledger
    from ledger_client.network import Call
    from ledger_client.signers import Account

_CHANNEL_ACTS = frozenset({"Publish", "SetRollout", "Resume", "AssignGroup", "PlaceDevices"})


def carry_out(ledger: Ledger, act: Act, approvals: Sequence[Approval], *, account: Account) -> Call:
    """The call that carries out an act. The paying account approves too, where it may and one more is needed.

    Raises NotTrustedError for an approval by somebody without the role, NotEnoughApprovalsError under the
    threshold.
    """
    threshold, role = ledger.threshold_of(act)
    held = list(approvals)
    for approval in held:
        if role not in ledger.roles(approval.signer):
            raise NotTrustedError(
                f"{checksum_address(approval.signer)} may not approve {act.name}",
                expected=f"a {role}",
                got=", ".join(sorted(ledger.roles(approval.signer))) or "no role",
            )
    signers = {approval.signer for approval in held}
    if len(signers) < threshold and account.address not in signers and role in ledger.roles(account.address):
        held.append(approve(act, account))
    return ledger.act(act, gather(held, act=act, threshold=threshold, members=f"{role}s"))


def approve_as_member(ledger: Ledger, act: Act, account: Account) -> Approval:
    """One member's approval, to be passed on as a file. Raises UsageError where the account lacks the
    role.
    """
    check_member(ledger, act, account.address)
    return approve(act, account)


def check_act(ledger: Ledger, act: Act) -> None:
    """Hold an act that somebody else wrote against the ledger, before anybody signs it.

    Raises NotTrustedError for an act on another ledger or chain (the same key may count there too),
    UsageError for one that can no longer be carried out: an approval of it would count for nothing.
    """
    if (act.chain_id, act.ledger) != (ledger.network.chain_id, ledger.address):
        raise NotTrustedError(
            f"{act.name} is an act on another ledger",
            expected=f"{checksum_address(ledger.address)} on chain {ledger.network.chain_id}",
            got=f"{checksum_address(act.ledger)} on chain {act.chain_id}",
            hint="do not sign what you were not asked for: ask who sent it",
        )
    now_s = ledger.network.block_time()
    if act["deadline"] < now_s:
        raise UsageError(
            f"{act.name} is past its deadline", expected=f"{now_s} or later", got=act["deadline"]
        )
    if act.name in QUEUED_ACTS and act["epoch"] != (current := ledger.govern_epoch()):
        raise UsageError(
            f"{act.name} can no longer be proposed",
            expected=f"epoch {current}",
            got=f"epoch {act['epoch']}",
            hint="governors proposed another change since; the first approver starts again",
        )
    channel = _channel_spent(act)
    if channel is not None and act["epoch"] != (epoch := ledger.word(channel).epoch):
        raise UsageError(
            f"{act.name} can no longer be carried out",
            expected=f"epoch {epoch}",
            got=f"epoch {act['epoch']}",
            hint="the channel has seen another act since; the first approver starts again",
        )


def check_member(ledger: Ledger, act: Act, signer: bytes) -> None:
    """Raise UsageError where an address (20 bytes) lacks the role that this act's approvals need."""
    _, role = ledger.threshold_of(act)
    if role not in ledger.roles(signer):
        raise UsageError(
            f"{checksum_address(signer)} may not approve {act.name}",
            expected=f"a {role}",
            got=", ".join(sorted(ledger.roles(signer))) or "no role",
        )


def _channel_spent(act: Act) -> bytes | None:
    """The channel whose epoch an act binds (ledger.md, Approvals); None where it binds none of a channel."""
    if act.name not in _CHANNEL_ACTS:
        return None
    if act.name == "AssignGroup" and any(act["leaves"]):
        return bytes(act["leaves"])
    return bytes(act["channel"])
