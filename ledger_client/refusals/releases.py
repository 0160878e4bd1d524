"""Refusals about channels, releases, rollouts and revocations."""

from ledger_client.errors import RevertedError


class ApprovedAlreadyError(RevertedError):
    """The operator approved this release before."""

    reason = "release is approved already"
    advice = "nothing to do"


class EpochsUsedUpError(RevertedError):
    """The channel has spent all its epochs."""

    reason = "epochs used up"
    advice = "use a new channel"


class GroupUnassignedError(RevertedError):
    """The group follows no channel yet."""

    reason = "group follows no channel"
    advice = "`fwledger channel create` assigns one"


class HaltedError(RevertedError):
    """The channel is halted."""

    reason = "channel is halted"
    advice = "`fwledger channel resume` needs publishers' approvals"


class NoReleaseError(RevertedError):
    """Nothing was ever published on this channel."""

    reason = "channel has no release"
    advice = "publish a release first"


class NotHaltedError(RevertedError):
    """The channel is not halted."""

    reason = "channel is not halted"
    advice = "to change a running rollout, set the rollout"


class PublishedThisBlockError(RevertedError):
    """The channel was published once in this block."""

    reason = "published in this block already"
    advice = "try again in the next block"


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


class TermsRangeError(RevertedError):
    """The rollout or the sequence numbers of the act are out of range."""

    reason = "terms out of range"
    advice = "shares are 0 to 10,000, and a breaker needs min_reports"


class ZeroIdError(RevertedError):
    """A channel or release id is zero."""

    reason = "zero channel or release"
    advice = "give its name or id"
