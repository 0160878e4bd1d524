"""Refusals about members, approvals, thresholds, queued changes and trust roots."""

from ledger_client.errors import RevertedError


class ApprovalsExpiredError(RevertedError):
    """The deadline of the approvals has passed."""

    reason = "approvals expired"
    advice = "approve again, with a later --deadline"


class BadApprovalError(RevertedError):
    """An approval is no signature."""

    reason = "signature recovers to nobody"
    advice = "gather the approvals again"


class ChangeLapsedError(RevertedError):
    """Nobody executed the change in the two weeks after its delay."""

    reason = "change has lapsed"
    advice = "approve and propose it again"


class ChangeOverError(RevertedError):
    """The change was executed or cancelled before."""

    reason = "change is over"
    advice = "propose it again"


class ChangeWaitsError(RevertedError):
    """The public delay of the change is not over."""

    reason = "change must wait"
    advice = "`fwledger governance show` says from when it may be executed"


class HighSignatureError(RevertedError):
    """A signature is the malleable twin of another."""

    reason = "high s in a signature"
    advice = "sign with a library that makes low s"


class MemberTwiceError(RevertedError):
    """One address stands twice in a role."""

    reason = "member named twice"
    advice = "name each member once"


class NotGuardianError(RevertedError):
    """The paying account may not halt or revoke alone."""

    reason = "caller is no guardian"
    advice = "use a guardian's account, or gather publishers' approvals"


class NotGatewayError(RevertedError):
    """The paying account is no gateway."""

    reason = "caller is no gateway"
    advice = "governors name gateways: `fwledger governance propose member ADDRESS --role gateway`"


class NotOperatorError(RevertedError):
    """The paying account is no operator."""

    reason = "caller is no operator"
    advice = "governors name operators: `fwledger governance propose member ADDRESS --role operator`"


class NotProposedError(RevertedError):
    """This change was never proposed, or is described otherwise."""

    reason = "change is not proposed"
    advice = "execute exactly what was proposed: values, epoch and deadline"


class OtherJournalError(RevertedError):
    """The ledger that the new journal is to serve names another one."""

    reason = "ledger names another journal"
    advice = "deploy the pair anew, with no other transaction of the account in between"


class OwnRemovalError(RevertedError):
    """A guardian cannot cancel its own removal."""

    reason = "own removal is not cancelled"
    advice = "another guardian may"


class RootVersionError(RevertedError):
    """The trust root's version is not the recorded one plus one."""

    reason = "trust root version is not the next"
    advice = "announce the versions in order"


class RootNotProposedError(RevertedError):
    """The ledger has a trust root; later ones go through the public delay."""

    reason = "trust root must be proposed"
    advice = "`fwledger trust publish` proposes it: it is public for two days, then anyone executes it"


class SeatsUsedUpError(RevertedError):
    """No seat is left for another member."""

    reason = "seats used up"
    advice = "remove a member first"


class SignerLacksRoleError(RevertedError):
    """An approver does not hold the role, or approved something else."""

    reason = "signer lacks the role"
    advice = "an act on the channel since then voids approvals: approve again"


class SignersOrderError(RevertedError):
    """Approvals are out of order or repeated."""

    reason = "signers not ascending"
    advice = "this is a defect of the sender"


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


class TooManyMembersError(RevertedError):
    """The role holds as many members as it can."""

    reason = "too many members"
    advice = "remove a member first"


class UnknownRoleError(RevertedError):
    """The role bits name no role."""

    reason = "unknown role"
    advice = "`fwledger governance propose member --help` lists the roles"


class ZeroAddressError(RevertedError):
    """An address is zero."""

    reason = "zero address"
    advice = "give the right address"


class ZeroDigestError(RevertedError):
    """The digest of the trust root is zero."""

    reason = "zero digest"
    advice = "give the trust root's digest"
