"""Every word of storage that a state of the model means, and the roots of the tries that hold them."""

from __future__ import annotations

import functools

import rlp
from eth_hash.auto import keccak
from trie import HexaryTrie

from tests.contract.modelled.state import (
    ENROLLER,
    GOVERNOR,
    GUARDIAN,
    PUBLISHER,
    Change,
    Channel,
    DeviceState,
    State,
    Tally,
)
from tests.contract.test_artifacts import GOLDEN_LAYOUT

SLOT = {name: place[0] for layout in GOLDEN_LAYOUT.values() for name, place in layout.items()}
TOP_160 = (1 << 256) - (1 << 96)


def number(word: bytes) -> int:
    return int.from_bytes(word, "big")


def channel_word(channel: Channel) -> int:
    return (
        channel.sequence
        | channel.security_version << 32
        | channel.epoch << 56
        | channel.halted << 80
        | channel.published_at << 88
        | channel.rollout_from << 120
        | channel.curve.bits()
    )


def device_state(device: DeviceState) -> int:
    """Flags, group and counted: the part of a device's word that logs carry."""
    return 1 | device.retired << 1 | device.open_vote << 2 | device.group << 8 | device.counted << 32


def device_word(device: DeviceState) -> int:
    return device.sequence | device_state(device) << 32 | number(device.head) & TOP_160


def tally_word(tally: Tally) -> int:
    counts = tally.installed | tally.confirmed << 32 | tally.failed << 64
    return counts | number(tally.channel) & TOP_160


def change_word(change: Change) -> int:
    removed = number(change.removed) << 96 if change.removed else 0
    return change.ready_at | change.era << 40 | change.executed << 72 | change.cancelled << 73 | removed


def rules_word(state: State) -> int:
    counts = [len(state.holders(role)) for role in (GOVERNOR, PUBLISHER, GUARDIAN, ENROLLER)]
    word = state.publish_threshold | state.govern_threshold << 8
    for place, count in enumerate(counts):
        word |= count << 16 + 8 * place
    return word | state.govern_epoch << 48 | state.era << 80 | state.next_seat << 112


def ledger_words(state: State) -> dict[int, int]:
    """The ledger's storage, by slot, without the words that are zero."""
    words = {
        SLOT["trust_root"]: number(state.root[0]),
        SLOT["trust_root_version"]: state.root[1],
        SLOT["rules"]: rules_word(state),
        SLOT["successor"]: number(state.successor),
    }
    for name, channel in state.channels.items():
        words[_entry("head", name)] = number(channel.head)
        words[_entry("word", name)] = channel_word(channel)
    for group, name in state.groups.items():
        words[_entry("channel_of", group)] = number(name)
    for release, held in state.revoked.items():
        words[_entry("revoked", release)] = held.time | held.reason << 40 | held.mandatory << 56
    for (operator, release), time in state.operators.items():
        words[_entry("approval", operator, release)] = time
    for account, member in state.members.items():
        words[_entry("member", account)] = member.roles | member.seat << 8
        if member.seat < 256:
            words[_entry("seats", member.seat)] = number(account)
    for id_, change in state.queue.items():
        words[_entry("queue", id_)] = change_word(change)
    return {slot: word for slot, word in words.items() if word}


def journal_words(state: State) -> dict[int, int]:
    """The journal's storage, by slot, without the words that are zero."""
    words = {_entry("device", account): device_word(held) for account, held in state.devices.items()}
    for (release, at), tally in state.tallies.items():
        words[_entry("tally", release, at)] = tally_word(tally)
    return words


def storage_root(words: dict[int, int]) -> bytes:
    """The root of the storage trie that holds exactly these words."""
    trie = HexaryTrie({})
    for slot, word in words.items():
        trie[keccak(slot.to_bytes(32, "big"))] = rlp.encode(
            word.to_bytes((word.bit_length() + 7) // 8, "big")
        )
    return trie.root_hash


@functools.cache
def _entry(name: str, *keys: bytes | int) -> int:
    """The slot of a map's entry: Vyper hashes the map's slot before the key."""
    place = SLOT[name].to_bytes(32, "big")
    for key in keys:
        place = keccak(place + (key.to_bytes(32, "big") if isinstance(key, int) else key.rjust(32, b"\0")))
    return number(place)
