# pragma version 0.4.3
"""
@title events
@license Apache-2.0
@notice What a device signed that it did: one event, or a queue of up to 16 under the signature over the last. An
        event's `stamp` packs sequence u32, kind u8 and time u40, lowest bits first. Kinds: 1 baseline, 2 installed,
        3 confirmed, 4 reverted, 5 failed, 6 unreachable, 7 rejected.
"""

from contracts.modules import devices
from contracts.modules import refuse
from contracts.modules import typed
from contracts.modules import votes

uses: devices
uses: typed
uses: votes

_EVENT_TYPE: constant(bytes32) = keccak256(
    "UpdateEvent(bytes32 release,uint32 sequence,uint8 kind,uint40 time,bytes32 detail,bytes32 previous)"
)
_KIND_AT: constant(uint256) = 32
_TIME_AT: constant(uint256) = 40
# In a queue, which of its releases the event names; in a log, what the device's word says after the event.
_STAMP_BITS: constant(uint256) = 80
_U8: constant(uint256) = 2**8 - 1
_LAST_KIND: constant(uint256) = 7
# Kinds 2 to 5 vote.
_VOTING_KINDS: constant(uint256) = 4
# flags, group and counted of a device's word.
_STATE: constant(uint256) = 2**64 - 1
_VOTED_AT: constant(uint256) = 144

struct Report:
    release: bytes32
    stamp: uint256
    detail: bytes32
    previous: bytes32
    r: uint256
    vs: uint256

struct Queued:
    stamp: uint256
    detail: bytes32

event Recorded:
    device: indexed(address)
    release: indexed(bytes32)
    stamp: uint256
    detail: bytes32

event QueueRecorded:
    device: indexed(address)
    state: uint256
    releases: DynArray[bytes32, 4]
    reports: DynArray[Queued, 16]

event Gap:
    device: indexed(address)
    last: uint256
    previous: bytes32


@external
def submit_event(report: Report):
    """
    @notice Records one event of a device. Anyone may carry it here: the device's signature is what counts.
    @param report release, stamp, detail (SHA-256 of the report document), previous, and the device's compact signature
           (EIP-2098).
    """
    stamp: uint256 = report.stamp
    sequence: uint256 = stamp & devices.U32
    kind: uint256 = (stamp >> _KIND_AT) & _U8
    if stamp >> _STAMP_BITS != 0 or unsafe_sub(kind, 1) >= _LAST_KIND:
        refuse._no("fwledger: stamp out of range")
    digest: bytes32 = typed._digest(
        keccak256(
            abi_encode(
                _EVENT_TYPE, report.release, sequence, kind, stamp >> _TIME_AT, report.detail, report.previous
            )
        )
    )
    signer: address = typed._recover(digest, report.r, report.vs)
    word: uint256 = devices._followed(signer, sequence, convert(report.previous, uint256))
    if sequence != unsafe_add(word & devices.U32, 1):
        log Gap(device=signer, last=word & devices.U32, previous=report.previous)
    voted: uint256 = word
    if unsafe_sub(kind, 2) < _VOTING_KINDS:
        voted = votes._vote(word, signer, report.release, kind)
    devices.device[signer] = self._advanced(voted, sequence, digest)
    if voted != word:
        stamp |= 1 << _VOTED_AT
    log Recorded(
        device=signer,
        release=report.release,
        stamp=stamp | ((voted >> 32) & _STATE) << _STAMP_BITS,
        detail=report.detail,
    )


@external
def submit_queue(
    releases: DynArray[bytes32, 4],
    reports: DynArray[Queued, 16],
    previous: bytes32,
    r: uint256,
    vs: uint256,
):
    """
    @notice Records consecutive events of one device, signed once over the last: `previous` commits to the others.
    @param releases The releases that the events name.
    @param reports Each event's stamp, with the index of its release in bits 80 to 87, and its detail.
    @param previous The first event's `previous`.
    @param r Of the device's compact signature (EIP-2098) over the last event.
    @param vs Of the same.
    """
    if len(reports) == 0:
        refuse._no("fwledger: empty list")
    first: uint256 = reports[0].stamp & devices.U32
    expected: uint256 = first
    digest: bytes32 = empty(bytes32)
    linked: bytes32 = previous
    for report: Queued in reports:
        stamp: uint256 = report.stamp
        kind: uint256 = (stamp >> _KIND_AT) & _U8
        if stamp >> 88 != 0 or unsafe_sub(kind, 1) >= _LAST_KIND:
            refuse._no("fwledger: stamp out of range")
        index: uint256 = stamp >> _STAMP_BITS
        if index >= len(releases):
            refuse._no("fwledger: release index out of range")
        if stamp & devices.U32 != expected:
            refuse._no("fwledger: queue has a gap")
        digest = typed._digest(
            keccak256(
                abi_encode(
                    _EVENT_TYPE,
                    releases[index],
                    expected,
                    kind,
                    (stamp >> _TIME_AT) & (2**40 - 1),
                    report.detail,
                    linked,
                )
            )
        )
        linked = convert(convert(digest, uint256) & devices.HEAD, bytes32)
        expected = unsafe_add(expected, 1)
    signer: address = typed._recover(digest, r, vs)
    word: uint256 = devices._followed(signer, first, convert(previous, uint256))
    if first != unsafe_add(word & devices.U32, 1):
        log Gap(device=signer, last=word & devices.U32, previous=previous)
    flags: uint256 = 0
    bit: uint256 = 1 << _VOTED_AT
    for report: Queued in reports:
        kind: uint256 = (report.stamp >> _KIND_AT) & _U8
        if unsafe_sub(kind, 2) < _VOTING_KINDS:
            voted: uint256 = votes._vote(word, signer, releases[report.stamp >> _STAMP_BITS], kind)
            if voted != word:
                flags |= bit
                word = voted
        bit <<= 1
    devices.device[signer] = self._advanced(word, unsafe_sub(expected, 1), digest)
    log QueueRecorded(
        device=signer,
        state=flags | ((word >> 32) & _STATE) << _STAMP_BITS,
        releases=releases,
        reports=reports,
    )


@internal
@pure
def _advanced(word: uint256, sequence: uint256, digest: bytes32) -> uint256:
    """
    @notice A device's word after an event: sequence and head are the event's.
    """
    return word & (_STATE << 32) | sequence | convert(digest, uint256) & devices.HEAD
