# pragma version 0.4.3
"""
@title releases
@license Apache-2.0
@notice Channels: which release is their head, and under which rollout. Check, then act.
"""

from contracts.modules import governance
from contracts.modules import refuse
from contracts.modules import revocations
from contracts.modules import rollouts

uses: governance
uses: revocations

# Publishers stop one epoch short of the last, which a halt may always spend.
_LAST_EPOCH: constant(uint256) = 2**24 - 2
# Signers choose the sequence; a larger jump is taken for a mistake that would burn the channel's numbers.
_MAX_JUMP: constant(uint256) = 65_536

_PUBLISH_TYPE: constant(bytes32) = keccak256(
    "Publish(bytes32 channel,bytes32 release,bytes32 envelope,uint32 sequence,uint24 securityVersion,bool immediate,uint16 initialBps,uint16 holdHours,uint16 rampHours,uint16 haltBps,uint24 minReports,uint24 epoch,uint40 deadline)"
)
_SET_ROLLOUT_TYPE: constant(bytes32) = keccak256(
    "SetRollout(bytes32 channel,uint32 sequence,bool immediate,uint16 initialBps,uint16 holdHours,uint16 rampHours,uint16 haltBps,uint24 minReports,uint24 epoch,uint40 deadline)"
)
_RESUME_TYPE: constant(bytes32) = keccak256(
    "Resume(bytes32 channel,uint32 sequence,bool immediate,uint16 initialBps,uint16 holdHours,uint16 rampHours,uint16 haltBps,uint24 minReports,uint24 epoch,uint40 deadline)"
)

event Published:
    channel: indexed(bytes32)
    release: indexed(bytes32)
    word: uint256
    envelope: bytes32
    approvers: uint256

event RolloutSet:
    channel: indexed(bytes32)
    word: uint256
    approvers: uint256

event Resumed:
    channel: indexed(bytes32)
    word: uint256
    approvers: uint256

event Halted:
    channel: indexed(bytes32)
    by: indexed(address)
    word: uint256

# The release that a channel offers.
head: public(HashMap[bytes32, bytes32])
# A channel's packed word (see rollouts).
word: public(HashMap[bytes32, uint256])
# A group's channel.
channel_of: public(HashMap[uint256, bytes32])


@external
def publish(
    channel: bytes32,
    release: bytes32,
    envelope: bytes32,
    terms: uint256,
    approvals: DynArray[governance.Approval, 16],
):
    """
    @notice Makes a release the head of a channel, starts its rollout and clears a halt.
    @param channel SHA-256 of the channel's name.
    @param release SHA-256 of the manifest.
    @param envelope Digest of the envelope's CID: where to find manifest and signatures, unverified.
    @param terms sequence, security version, rollout and deadline, packed as in rollouts.
    @param approvals Publishers' signatures over Publish, ascending by signer.
    """
    word: uint256 = self.word[channel]
    if not rollouts._sound(terms, rollouts.IDENTITY | rollouts.CURVE | rollouts.DEADLINE):
        refuse._no("fwledger: terms out of range")
    if channel == empty(bytes32) or release == empty(bytes32):
        refuse._no("fwledger: zero channel or release")
    sequence: uint256 = terms & rollouts.U32
    held: uint256 = word & rollouts.U32
    if sequence <= held:
        refuse._no("fwledger: sequence not above the channel's")
    if held != 0 and unsafe_sub(sequence, held) > _MAX_JUMP:
        refuse._no("fwledger: sequence jumps too far")
    security_version: uint256 = (terms >> rollouts.SECURITY_AT) & rollouts.U24
    if security_version < (word >> rollouts.SECURITY_AT) & rollouts.U24:
        refuse._no("fwledger: security version falls")
    if (word >> rollouts.PUBLISHED_AT) & rollouts.U32 == block.timestamp:
        refuse._no("fwledger: published in this block already")
    if revocations.revoked[release] != 0:
        refuse._no("fwledger: release is revoked")
    epoch: uint256 = self._epoch(word)
    deadline: uint256 = (terms >> rollouts.DEADLINE_AT) & rollouts.U40
    digest: bytes32 = governance._act(
        keccak256(
            abi_encode(
                _PUBLISH_TYPE,
                channel,
                release,
                envelope,
                sequence,
                security_version,
                (terms >> 81) & 1,
                (terms >> rollouts.INITIAL_AT) & rollouts.U16,
                (terms >> rollouts.HOLD_AT) & rollouts.U16,
                (terms >> rollouts.RAMP_AT) & rollouts.U16,
                (terms >> rollouts.HALT_AT) & rollouts.U16,
                terms >> rollouts.REPORTS_AT,
                epoch,
                deadline,
            )
        ),
        governance.PUBLISHER,
        deadline,
        len(approvals),
    )
    last: uint256 = 0
    approvers: uint256 = 0
    for approval: governance.Approval in approvals:
        last, approvers = governance._approver(
            digest, governance.PUBLISHER, last, approvers, approval.r, approval.vs
        )
    word = (
        terms & (rollouts.IDENTITY | rollouts.CURVE)
        | unsafe_add(epoch, 1) << rollouts.EPOCH_AT
        | block.timestamp << rollouts.PUBLISHED_AT
        | block.timestamp << rollouts.FROM_AT
    )
    self.head[channel] = release
    self.word[channel] = word
    log Published(channel=channel, release=release, word=word, envelope=envelope, approvers=approvers)


@external
def set_rollout(channel: bytes32, terms: uint256, approvals: DynArray[governance.Approval, 16]):
    """
    @notice Gives the head of a channel a new rollout, from now, at no lower share than reached.
    @param channel SHA-256 of the channel's name.
    @param terms rollout and deadline, packed as in rollouts; sequence and security version stay 0.
    @param approvals Publishers' signatures over SetRollout, ascending by signer.
    """
    word: uint256 = self.word[channel]
    if word & rollouts.HALTED != 0:
        refuse._no("fwledger: channel is halted")
    digest: bytes32 = empty(bytes32)
    word, digest = self._rolled(_SET_ROLLOUT_TYPE, channel, word, terms, len(approvals))
    last: uint256 = 0
    approvers: uint256 = 0
    for approval: governance.Approval in approvals:
        last, approvers = governance._approver(
            digest, governance.PUBLISHER, last, approvers, approval.r, approval.vs
        )
    self.word[channel] = word
    log RolloutSet(channel=channel, word=word, approvers=approvers)


@external
def resume(channel: bytes32, terms: uint256, approvals: DynArray[governance.Approval, 16]):
    """
    @notice Clears the halt of a channel and gives its head a new rollout, at no lower share than the frozen one.
    @param channel SHA-256 of the channel's name.
    @param terms rollout and deadline, packed as in rollouts; sequence and security version stay 0.
    @param approvals Publishers' signatures over Resume, ascending by signer.
    """
    word: uint256 = self.word[channel]
    if word & rollouts.HALTED == 0:
        refuse._no("fwledger: channel is not halted")
    digest: bytes32 = empty(bytes32)
    word, digest = self._rolled(_RESUME_TYPE, channel, word, terms, len(approvals))
    last: uint256 = 0
    approvers: uint256 = 0
    for approval: governance.Approval in approvals:
        last, approvers = governance._approver(
            digest, governance.PUBLISHER, last, approvers, approval.r, approval.vs
        )
    self.word[channel] = word
    log Resumed(channel=channel, word=word, approvers=approvers)


@external
def halt(channel: bytes32):
    """
    @notice Stops all installs of the channel's head. One guardian may, alone.
    @param channel SHA-256 of the channel's name.
    """
    governance._guardian()
    word: uint256 = self.word[channel]
    if word & rollouts.HALTED != 0:
        refuse._no("fwledger: channel is halted")
    self._halt(channel, word)


@internal
@view
def _epoch(word: uint256) -> uint256:
    """
    @notice The epoch that a publisher act on the channel binds and spends.
    """
    epoch: uint256 = (word >> rollouts.EPOCH_AT) & rollouts.U24
    if epoch >= _LAST_EPOCH:
        refuse._no("fwledger: epochs used up")
    return epoch


@internal
@view
def _rolled(
    act: bytes32, channel: bytes32, word: uint256, terms: uint256, count: uint256
) -> (uint256, bytes32):
    """
    @notice The word after set_rollout or resume (`act` is the type hash), and the digest that its approvers signed.
    """
    if not rollouts._sound(terms, rollouts.CURVE | rollouts.DEADLINE):
        refuse._no("fwledger: terms out of range")
    if word & rollouts.U32 == 0:
        refuse._no("fwledger: channel has no release")
    if (
        terms & rollouts.IMMEDIATE == 0
        and (terms >> rollouts.INITIAL_AT) & rollouts.U16 < rollouts._share(word, block.timestamp)
    ):
        refuse._no("fwledger: share below the one reached")
    epoch: uint256 = self._epoch(word)
    deadline: uint256 = (terms >> rollouts.DEADLINE_AT) & rollouts.U40
    digest: bytes32 = governance._act(
        keccak256(
            abi_encode(
                act,
                channel,
                word & rollouts.U32,
                (terms >> 81) & 1,
                (terms >> rollouts.INITIAL_AT) & rollouts.U16,
                (terms >> rollouts.HOLD_AT) & rollouts.U16,
                (terms >> rollouts.RAMP_AT) & rollouts.U16,
                (terms >> rollouts.HALT_AT) & rollouts.U16,
                terms >> rollouts.REPORTS_AT,
                epoch,
                deadline,
            )
        ),
        governance.PUBLISHER,
        deadline,
        count,
    )
    kept: uint256 = word & (rollouts.IDENTITY | rollouts.U32 << rollouts.PUBLISHED_AT)
    return (
        kept
        | terms & rollouts.CURVE
        | unsafe_add(epoch, 1) << rollouts.EPOCH_AT
        | block.timestamp << rollouts.FROM_AT,
        digest,
    )


@internal
def _halt(channel: bytes32, word: uint256):
    if word & rollouts.U32 == 0:
        refuse._no("fwledger: channel has no release")
    frozen: uint256 = rollouts._frozen(word, block.timestamp)
    self.word[channel] = frozen
    log Halted(channel=channel, by=msg.sender, word=frozen)
