"""Each refusal of the contracts as its own exception, with what a person can do about it.

The reasons are those of the contracts' sources; a test enumerates both and compares.
"""

from __future__ import annotations

import re

from ledger_client.errors import RevertedError

PREFIX = "fwledger: "

# Error(string), the form in which Solidity and Vyper give a reason: selector, then the ABI encoding of one
# text.
_ERROR_SELECTOR = "0x08c379a0"
_MAX_REASON_CHARS = 64


class ApprovalsExpiredError(RevertedError):
    """The deadline of the approvals has passed."""

    reason = "approvals expired"
    advice = "approve again, with a later --deadline"


class NotEnrollerError(RevertedError):
    """The paying account may not enrol devices."""

    reason = "caller is no enroller"
    advice = "use an account that holds the enroller role"


class NotGuardianError(RevertedError):
    """The paying account may not halt or revoke alone."""

    reason = "caller is no guardian"
    advice = "use a guardian's account, or gather publishers' approvals"


class NotJournalError(RevertedError):
    """Only the journal may say this to the ledger."""

    reason = "caller is not the journal"
    advice = "the breaker trips by itself; nobody calls it"


class NotLedgerError(RevertedError):
    """Only the ledger may say this to the journal."""

    reason = "caller is not the ledger"
    advice = "place devices through the ledger"


class NoReleaseError(RevertedError):
    """Nothing was ever published on this channel."""

    reason = "channel has no release"
    advice = "publish a release first"


class HaltedError(RevertedError):
    """The channel is halted."""

    reason = "channel is halted"
    advice = "`fwledger channel resume` needs publishers' approvals"


class NotHaltedError(RevertedError):
    """The channel is not halted."""

    reason = "channel is not halted"
    advice = "to change a running rollout, set the rollout"


class AlreadyEnrolledError(RevertedError):
    """This device was enrolled before."""

    reason = "device is enrolled already"
    advice = "`fwledger device list` shows its group; publishers may move it"


class NotEnrolledError(RevertedError):
    """The journal does not know this device."""

    reason = "device is not enrolled"
    advice = "enrol it from its request file first"


class RetiredError(RevertedError):
    """The device is retired, and its events are refused."""

    reason = "device is retired"
    advice = "publishers may un-retire it"


class EmptyListError(RevertedError):
    """The list of the act is empty."""

    reason = "empty list"
    advice = "name at least one"


class EpochsUsedUpError(RevertedError):
    """The channel has spent all its epochs."""

    reason = "epochs used up"
    advice = "use a new channel"


class AlreadyRecordedError(RevertedError):
    """An event with this sequence number was recorded before."""

    reason = "event is recorded already"
    advice = "nothing to do: submit the rest"


class GroupUnassignedError(RevertedError):
    """The group follows no channel yet."""

    reason = "group follows no channel"
    advice = "`fwledger channel create` assigns one"


class HighSignatureError(RevertedError):
    """A signature is the malleable twin of another."""

    reason = "high s in a signature"
    advice = "sign with a library that makes low s"


class MemberTwiceError(RevertedError):
    """One address stands twice in a role."""

    reason = "member named twice"
    advice = "name each member once"


class PreviousDiffersError(RevertedError):
    """The event does not follow the device's recorded history."""

    reason = "previous event differs"
    advice = "the device's store was wiped or copied: compare `fwledger audit timeline`"


class PublicationOverError(RevertedError):
    """The channel has moved on from this publication."""

    reason = "publication is over"
    advice = "nothing to do"


class PublishedThisBlockError(RevertedError):
    """The channel was published once in this block."""

    reason = "published in this block already"
    advice = "try again in the next block"


class QueueGapError(RevertedError):
    """The events of a queue are not consecutive."""

    reason = "queue has a gap"
    advice = "submit each run of consecutive events by itself"


class OtherJournalError(RevertedError):
    """The ledger that the new journal is to serve names another one."""

    reason = "ledger names another journal"
    advice = "deploy the pair anew, with no other transaction of the account in between"


class ReleaseRevokedError(RevertedError):
    """The release is revoked."""

    reason = "release is revoked"
    advice = "build and sign a new one: a revocation is for ever"


class SecurityVersionFallsError(RevertedError):
    """The release's security version is below the channel's."""

    reason = "security version falls"
    advice = "build it with the channel's security version or a higher one"


class SequenceJumpError(RevertedError):
    """The release's sequence is more than 65,536 above the channel's."""

    reason = "sequence jumps too far"
    advice = "build it with the next sequence number"


class SequenceNotAboveError(RevertedError):
    """The release's sequence is not above the channel's."""

    reason = "sequence not above the channel's"
    advice = "build it with a higher sequence number; an old image needs a new manifest too"


class ShareFallsError(RevertedError):
    """The rollout would go below the share that it reached."""

    reason = "share below the one reached"
    advice = "give at least the share that `fwledger channel status` shows"


class BadApprovalError(RevertedError):
    """An approval is no signature."""

    reason = "signature recovers to nobody"
    advice = "gather the approvals again"


class SignerLacksRoleError(RevertedError):
    """An approver does not hold the role, or approved something else."""

    reason = "signer lacks the role"
    advice = "an act on the channel since then voids approvals: approve again"


class SignersOrderError(RevertedError):
    """Approvals are out of order or repeated."""

    reason = "signers not ascending"
    advice = "this is a defect of the sender"


class StampRangeError(RevertedError):
    """An event's sequence, kind or time is out of range."""

    reason = "stamp out of range"
    advice = "this kind of event is anchored, or this is a defect of the sender"


class TermsRangeError(RevertedError):
    """The rollout or the sequence numbers of the act are out of range."""

    reason = "terms out of range"
    advice = "shares are 0 to 10,000, and a breaker needs min_reports"


class ThresholdHighError(RevertedError):
    """The threshold is higher than the number of members."""

    reason = "threshold above the members"
    advice = "name more members or lower the threshold"


class ThresholdLowError(RevertedError):
    """A threshold must be at least one."""

    reason = "threshold below one"
    advice = "give at least 1"


class TooFewApprovalsError(RevertedError):
    """The act has fewer approvals than the ledger asks for."""

    reason = "too few approvals"
    advice = "gather more with `--approve-only`, and give them with --approval"


class RootVersionError(RevertedError):
    """The trust root's version is not the recorded one plus one."""

    reason = "trust root version is not the next"
    advice = "announce the versions in order"


class ZeroAddressError(RevertedError):
    """An address is zero."""

    reason = "zero address"
    advice = "give the right address"


class ZeroIdError(RevertedError):
    """A channel or release id is zero."""

    reason = "zero channel or release"
    advice = "give its name or id"


class ZeroDigestError(RevertedError):
    """The digest of the trust root is zero."""

    reason = "zero digest"
    advice = "give the trust root's digest"


REFUSALS: dict[str, type[RevertedError]] = {
    refused.reason: refused for refused in RevertedError.__subclasses__()
}


def refusal(message: str, data: object, *, call: str) -> RevertedError:
    """The exception for a revert, from the node's message and the revert data (hex text, or None).

    A reason that is not ours, or none at all, is a plain RevertedError that says so.
    """
    reason = _reason_of(data) or _reason_in(message)
    known = REFUSALS.get(reason.removeprefix(PREFIX))
    if known is not None:
        return known(call=call)
    if not reason:
        return RevertedError(
            call=call,
            hint="malformed or over-long arguments are refused without a reason; is this the right contract?",
        )
    return RevertedError(reason=reason.removeprefix(PREFIX), call=call)


def _reason_of(data: object) -> str:
    if not isinstance(data, str) or not data.startswith(_ERROR_SELECTOR):
        return ""
    try:
        raw = bytes.fromhex(data[len(_ERROR_SELECTOR) :])
        size = int.from_bytes(raw[32:64], "big")
        return raw[64 : 64 + size].decode()[:_MAX_REASON_CHARS] if len(raw) >= 64 + size else ""
    except ValueError:
        return ""


def _reason_in(message: str) -> str:
    """Nodes that give no data put the reason into the message, each in its own frame of words."""
    found = re.search(re.escape(PREFIX) + r"[a-z',0-9 -]{1,64}", message)
    return found.group(0).strip() if found else ""
