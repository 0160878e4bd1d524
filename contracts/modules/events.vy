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

EVENT_TYPE: constant(bytes32) = keccak256(
    "UpdateEvent(bytes32 release,uint32 sequence,uint8 kind,uint40 time,bytes32 detail,bytes32 previous)"
)
KIND_AT: constant(uint256) = 32
TIME_AT: constant(uint256) = 40
# In a queue, which of its releases the event names; in a log, what the device's word says after the event.
STAMP_BITS: constant(uint256) = 80
U40: constant(uint256) = 2**40 - 1
U8: constant(uint256) = 2**8 - 1
LAST_KIND: constant(uint256) = 7
# Kinds 2 to 5 vote.
VOTING_KINDS: constant(uint256) = 4
# flags, group and counted of a device's word.
STATE: constant(uint256) = 2**64 - 1
VOTED_AT: constant(uint256) = 144

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
    kind: uint256 = (stamp >> KIND_AT) & U8
    if stamp >> STAMP_BITS != 0 or unsafe_sub(kind, 1) >= LAST_KIND:
        refuse._no("fwledger: stamp out of range")
    struct_hash: bytes32 = keccak256(
        abi_encode(
            EVENT_TYPE, report.release, sequence, kind, stamp >> TIME_AT, report.detail, report.previous
        )
    )
    digest: bytes32 = keccak256(concat(0x1901, typed.DOMAIN, struct_hash))
    signature_s: uint256 = report.vs & typed.LOW_255
    if signature_s > typed.HALF_ORDER:
        refuse._no("fwledger: high s in a signature")
    signer: address = ecrecover(digest, unsafe_add(27, report.vs >> 255), report.r, signature_s)
    word: uint256 = devices._followed(signer, sequence, convert(report.previous, uint256))
    if sequence != unsafe_add(word & devices.U32, 1):
        log Gap(device=signer, last=word & devices.U32, previous=report.previous)
    voted: uint256 = word
    if unsafe_sub(kind, 2) < VOTING_KINDS:
        voted = votes._vote(word, signer, report.release, kind)
    devices.device[signer] = (
        voted & (STATE << 32) | sequence | convert(digest, uint256) & devices.HEAD
    )
    if voted != word:
        stamp |= 1 << VOTED_AT
    log Recorded(
        device=signer,
        release=report.release,
        stamp=stamp | ((voted >> 32) & STATE) << STAMP_BITS,
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
    domain: bytes32 = typed.DOMAIN
    digest: bytes32 = empty(bytes32)
    linked: uint256 = convert(previous, uint256)
    # Bit i: the i-th event is of a voting kind.
    voting: uint256 = 0
    for report: Queued in reports:
        kind: uint256 = (report.stamp >> KIND_AT) & U8
        if unsafe_sub(kind, 1) >= LAST_KIND:
            refuse._no("fwledger: stamp out of range")
        if report.stamp & devices.U32 != expected:
            refuse._no("fwledger: queue has a gap")
        digest = keccak256(
            concat(
                0x1901,
                domain,
                keccak256(
                    abi_encode(
                        EVENT_TYPE,
                        releases[report.stamp >> STAMP_BITS],
                        expected,
                        kind,
                        (report.stamp >> TIME_AT) & U40,
                        report.detail,
                        linked,
                    )
                ),
            )
        )
        linked = convert(digest, uint256) & devices.HEAD
        if unsafe_sub(kind, 2) < VOTING_KINDS:
            voting |= 1 << unsafe_sub(expected, first)
        expected = unsafe_add(expected, 1)
    signature_s: uint256 = vs & typed.LOW_255
    if signature_s > typed.HALF_ORDER:
        refuse._no("fwledger: high s in a signature")
    signer: address = ecrecover(digest, unsafe_add(27, vs >> 255), r, signature_s)
    word: uint256 = devices._followed(signer, first, convert(previous, uint256))
    if first != unsafe_add(word & devices.U32, 1):
        log Gap(device=signer, last=word & devices.U32, previous=previous)
    counted: uint256 = 0
    for i: uint256 in range(16):
        if voting >> i == 0:
            break
        if (voting >> i) & 1 != 0:
            stamp: uint256 = reports[i].stamp
            voted: uint256 = votes._vote(
                word, signer, releases[stamp >> STAMP_BITS], (stamp >> KIND_AT) & U8
            )
            if voted != word:
                counted |= 1 << i
                word = voted
    devices.device[signer] = word & (STATE << 32) | unsafe_sub(expected, 1) | linked
    log QueueRecorded(
        device=signer,
        state=((word >> 32) & STATE) << STAMP_BITS | counted << VOTED_AT,
        releases=releases,
        reports=reports,
    )
