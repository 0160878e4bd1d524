# pragma version 0.4.3
"""
@title batches
@license Apache-2.0
@notice Events of many devices, all of one release, every signature checked. A bad item is skipped with a log and never
        stops the others; its reason is 1 malformed, 2 device not enrolled, 3 retired, 4 recorded already, 5 a gap,
        6 previous event differs. An item's `link` is the event's `previous` (its top 160 bits) and its stamp in one word. There
        are three entry points because a frame is as large as its bound; their bodies are one text, inlined because a
        call costs more than the work, and a test compares them.
"""

from contracts.modules import devices
from contracts.modules import events
from contracts.modules import refuse
from contracts.modules import rollouts
from contracts.modules import typed
from contracts.modules import votes

uses: devices
uses: typed
uses: votes

# Why an item was skipped.
MALFORMED: constant(uint256) = 1
_NOT_ENROLLED: constant(uint256) = 2
_RETIRED: constant(uint256) = 3
_RECORDED: constant(uint256) = 4
_GAP: constant(uint256) = 5
_PREVIOUS: constant(uint256) = 6

# Bits of a device's word that decide whether an event is its next: head, retired, enrolled, sequence.
DECIDING: constant(uint256) = max_value(uint256) - (2**96 - 1) + 2**34 - 1
# Bits of a link that must agree with them: previous and sequence.
LINKED: constant(uint256) = max_value(uint256) - (2**96 - 1) + 2**32 - 1
# Bits of a link that mean nothing.
EMPTY: constant(uint256) = 2**96 - 2**80
STAMP: constant(uint256) = 2**80 - 1
# Kinds that may be recorded, as a bit each.
KINDS: constant(uint256) = 254
NO_GROUP: constant(uint256) = max_value(uint256)

struct Item:
    link: uint256
    detail: bytes32
    r: uint256
    vs: uint256

event Skipped:
    device: indexed(address)
    release: indexed(bytes32)
    link: uint256
    reason: uint256


@external
def submit_batch_16(release: bytes32, items: DynArray[Item, 16]):
    """
    @notice Records one event each of up to 16 devices. Cheapest when sorted by group.
    @param release The release that all events name.
    @param items link, detail and compact signature of each.
    """
    if len(items) == 0:
        refuse._no("fwledger: empty list")
    domain: bytes32 = typed.DOMAIN
    group: uint256 = NO_GROUP
    channel: bytes32 = empty(bytes32)
    rollout: uint256 = 0
    share: uint256 = 0
    at: uint256 = 0
    tally: uint256 = 0
    for item: Item in items:
        kind: uint256 = (item.link >> events.KIND_AT) & events.U8
        s: uint256 = item.vs & typed.LOW_255
        if item.link & EMPTY | unsafe_sub(typed.HALF_ORDER, s) & 2**255 | (KINDS >> kind) & 1 != 1:
            self._skip(empty(address), release, item.link, MALFORMED)
            continue
        struct_hash: bytes32 = keccak256(
            abi_encode(
                events.EVENT_TYPE,
                release,
                item.link & devices.U32,
                kind,
                (item.link >> events.TIME_AT) & events.U40,
                item.detail,
                item.link & devices.HEAD,
            )
        )
        digest: bytes32 = keccak256(concat(0x1901, domain, struct_hash))
        signer: address = ecrecover(digest, unsafe_add(27, item.vs >> 255), item.r, s)
        word: uint256 = devices.device[signer]
        if unsafe_add(word & DECIDING, 1) != item.link & LINKED | devices.ENROLLED:
            self._skip(signer, release, item.link, self._why(word, item.link & devices.U32))
            continue
        after: uint256 = word
        if unsafe_sub(kind, votes.INSTALLED) < events.VOTING_KINDS:
            counted: uint256 = (word >> devices.COUNTED_AT) & devices.U32
            if kind != votes.INSTALLED:
                if word & devices.OPEN != 0:
                    if counted != at:
                        if at != 0:
                            votes.tally[release][at] = tally
                        at = counted
                        tally = votes.tally[release][at]
                    if tally != 0:
                        after = word & ~devices.OPEN
                        if kind == votes.CONFIRMED:
                            tally = unsafe_add(tally, 1 << votes.CONFIRMED_AT)
                        else:
                            tally = unsafe_add(tally, 1 << votes.FAILED_AT)
                            channel, rollout = votes._context((word >> devices.GROUP_AT) & devices.U24)
                            votes._break(channel, rollout, at, tally)
                            group = NO_GROUP
            if after == word:
                if (word >> devices.GROUP_AT) & devices.U24 != group:
                    group = (word >> devices.GROUP_AT) & devices.U24
                    channel, rollout = votes._context(group)
                    share = rollouts._share(rollout, block.timestamp)
                published_at: uint256 = (rollout >> rollouts.PUBLISHED_AT) & rollouts.U32
                if published_at > counted:
                    if published_at != at:
                        if at != 0:
                            votes.tally[release][at] = tally
                        at = published_at
                        tally = votes.tally[release][at]
                    noted: uint256 = tally
                    if noted == 0:
                        noted = votes._noted(channel, release)
                    place: uint256 = 0
                    if share != rollouts.ALL_BPS:
                        place = rollouts._place(release, signer)
                    if place < share and noted & votes.CHANNEL == convert(channel, uint256) & votes.CHANNEL:
                        tally = unsafe_add(noted, 1)
                        after = (
                            word & ~(devices.OPEN | devices.U32 << devices.COUNTED_AT)
                            | published_at << devices.COUNTED_AT
                        )
                        if kind == votes.INSTALLED:
                            after |= devices.OPEN
                        elif kind == votes.CONFIRMED:
                            tally = unsafe_add(tally, 1 << votes.CONFIRMED_AT)
                        else:
                            tally = unsafe_add(tally, 1 << votes.FAILED_AT)
                            votes._break(channel, rollout, at, tally)
                            group = NO_GROUP
        devices.device[signer] = (
            after & events.STATE << 32 | item.link & devices.U32 | convert(digest, uint256) & devices.HEAD
        )
        log events.Recorded(
            device=signer,
            release=release,
            stamp=item.link & STAMP
            | (after & events.STATE << 32) << 48
            | convert(after != word, uint256) << events.VOTED_AT,
            detail=item.detail,
        )
    if at != 0:
        votes.tally[release][at] = tally


@external
def submit_batch_128(release: bytes32, items: DynArray[Item, 128]):
    """
    @notice Records one event each of up to 128 devices. Cheapest when sorted by group.
    @param release The release that all events name.
    @param items link, detail and compact signature of each.
    """
    if len(items) == 0:
        refuse._no("fwledger: empty list")
    domain: bytes32 = typed.DOMAIN
    group: uint256 = NO_GROUP
    channel: bytes32 = empty(bytes32)
    rollout: uint256 = 0
    share: uint256 = 0
    at: uint256 = 0
    tally: uint256 = 0
    for item: Item in items:
        kind: uint256 = (item.link >> events.KIND_AT) & events.U8
        s: uint256 = item.vs & typed.LOW_255
        if item.link & EMPTY | unsafe_sub(typed.HALF_ORDER, s) & 2**255 | (KINDS >> kind) & 1 != 1:
            self._skip(empty(address), release, item.link, MALFORMED)
            continue
        struct_hash: bytes32 = keccak256(
            abi_encode(
                events.EVENT_TYPE,
                release,
                item.link & devices.U32,
                kind,
                (item.link >> events.TIME_AT) & events.U40,
                item.detail,
                item.link & devices.HEAD,
            )
        )
        digest: bytes32 = keccak256(concat(0x1901, domain, struct_hash))
        signer: address = ecrecover(digest, unsafe_add(27, item.vs >> 255), item.r, s)
        word: uint256 = devices.device[signer]
        if unsafe_add(word & DECIDING, 1) != item.link & LINKED | devices.ENROLLED:
            self._skip(signer, release, item.link, self._why(word, item.link & devices.U32))
            continue
        after: uint256 = word
        if unsafe_sub(kind, votes.INSTALLED) < events.VOTING_KINDS:
            counted: uint256 = (word >> devices.COUNTED_AT) & devices.U32
            if kind != votes.INSTALLED:
                if word & devices.OPEN != 0:
                    if counted != at:
                        if at != 0:
                            votes.tally[release][at] = tally
                        at = counted
                        tally = votes.tally[release][at]
                    if tally != 0:
                        after = word & ~devices.OPEN
                        if kind == votes.CONFIRMED:
                            tally = unsafe_add(tally, 1 << votes.CONFIRMED_AT)
                        else:
                            tally = unsafe_add(tally, 1 << votes.FAILED_AT)
                            channel, rollout = votes._context((word >> devices.GROUP_AT) & devices.U24)
                            votes._break(channel, rollout, at, tally)
                            group = NO_GROUP
            if after == word:
                if (word >> devices.GROUP_AT) & devices.U24 != group:
                    group = (word >> devices.GROUP_AT) & devices.U24
                    channel, rollout = votes._context(group)
                    share = rollouts._share(rollout, block.timestamp)
                published_at: uint256 = (rollout >> rollouts.PUBLISHED_AT) & rollouts.U32
                if published_at > counted:
                    if published_at != at:
                        if at != 0:
                            votes.tally[release][at] = tally
                        at = published_at
                        tally = votes.tally[release][at]
                    noted: uint256 = tally
                    if noted == 0:
                        noted = votes._noted(channel, release)
                    place: uint256 = 0
                    if share != rollouts.ALL_BPS:
                        place = rollouts._place(release, signer)
                    if place < share and noted & votes.CHANNEL == convert(channel, uint256) & votes.CHANNEL:
                        tally = unsafe_add(noted, 1)
                        after = (
                            word & ~(devices.OPEN | devices.U32 << devices.COUNTED_AT)
                            | published_at << devices.COUNTED_AT
                        )
                        if kind == votes.INSTALLED:
                            after |= devices.OPEN
                        elif kind == votes.CONFIRMED:
                            tally = unsafe_add(tally, 1 << votes.CONFIRMED_AT)
                        else:
                            tally = unsafe_add(tally, 1 << votes.FAILED_AT)
                            votes._break(channel, rollout, at, tally)
                            group = NO_GROUP
        devices.device[signer] = (
            after & events.STATE << 32 | item.link & devices.U32 | convert(digest, uint256) & devices.HEAD
        )
        log events.Recorded(
            device=signer,
            release=release,
            stamp=item.link & STAMP
            | (after & events.STATE << 32) << 48
            | convert(after != word, uint256) << events.VOTED_AT,
            detail=item.detail,
        )
    if at != 0:
        votes.tally[release][at] = tally


@internal
def _skip(member: address, release: bytes32, link: uint256, reason: uint256):
    log Skipped(device=member, release=release, link=link, reason=reason)


@internal
@pure
def _why(word: uint256, sequence: uint256) -> uint256:
    """
    @notice Why an event of the device with this word is skipped.
    """
    if word & devices.ENROLLED == 0:
        return _NOT_ENROLLED
    if word & devices.RETIRED != 0:
        return _RETIRED
    if sequence <= word & devices.U32:
        return _RECORDED
    if sequence > unsafe_add(word & devices.U32, 1):
        return _GAP
    return _PREVIOUS
