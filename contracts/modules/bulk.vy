# pragma version 0.4.3
"""
@title bulk
@license Apache-2.0
@notice The largest batch (see batches): its frame costs every call 14,000 gas, which 512 items do not feel.
"""

from contracts.modules import batches
from contracts.modules import devices
from contracts.modules import events
from contracts.modules import refuse
from contracts.modules import rollouts
from contracts.modules import typed
from contracts.modules import votes

uses: devices
uses: typed
uses: votes


@external
def submit_batch_512(release: bytes32, items: DynArray[batches.Item, 512]):
    """
    @notice Records one event each of up to 512 devices. Cheapest when sorted by group.
    @param release The release that all events name.
    @param items link, detail and compact signature of each.
    """
    if len(items) == 0:
        refuse._no("fwledger: empty list")
    domain: bytes32 = typed.DOMAIN
    group: uint256 = batches.NO_GROUP
    channel: bytes32 = empty(bytes32)
    rollout: uint256 = 0
    share: uint256 = 0
    at: uint256 = 0
    tally: uint256 = 0
    for item: batches.Item in items:
        kind: uint256 = (item.link >> events.KIND_AT) & events.U8
        s: uint256 = item.vs & typed.LOW_255
        if item.link & batches.EMPTY | unsafe_sub(typed.HALF_ORDER, s) & 2**255 | (batches.KINDS >> kind) & 1 != 1:
            batches._skip(empty(address), release, item.link, batches.MALFORMED)
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
        if unsafe_add(word & batches.DECIDING, 1) != item.link & batches.LINKED | devices.ENROLLED:
            batches._skip(signer, release, item.link, batches._why(word, item.link & devices.U32))
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
                            group = batches.NO_GROUP
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
                            group = batches.NO_GROUP
        devices.device[signer] = (
            after & events.STATE << 32 | item.link & devices.U32 | convert(digest, uint256) & devices.HEAD
        )
        log events.Recorded(
            device=signer,
            release=release,
            stamp=item.link & batches.STAMP
            | (after & events.STATE << 32) << 48
            | convert(after != word, uint256) << events.VOTED_AT,
            detail=item.detail,
        )
    if at != 0:
        votes.tally[release][at] = tally
