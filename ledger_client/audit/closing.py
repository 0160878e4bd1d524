"""Compares what was told with what the state proves: the way in which a history shows that nothing was left
out.

What no word holds cannot be missed: a device of which neither enrolment nor any event was shown, or a channel
that no shown group follows and no shown act names.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ledger_client.audit.findings import Finding, Verdict
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger import contract_state
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ledger_client.audit.told import DeviceTold, Told

    Word = Callable[[bytes], int]
    """Gives a proven word by its key; ProtocolError where the proofs at hand do not show it."""


def compare_ledger(told: Told, word: Word, *, where: str, digests: Sequence[bytes]) -> Iterator[Finding]:
    """Give a finding for every word of the ledger that the told acts speak of."""
    for channel in told.channels:
        yield _guarded(where, f"channel {_short(channel)}", partial(_channel, told, word, channel))
    for group in told.all_groups:
        yield _guarded(where, f"group {group}", partial(_group, told, word, group))
    for release in told.releases:
        yield _guarded(where, f"release {_short(release)}", partial(_revocation, told, word, release))
    for (operator, release), time in told.approved.items():
        name = f"approval of {_short(release)} by 0x{operator.hex()}"
        yield _guarded(where, name, partial(_approval, word, operator, release, time))
    yield _guarded(where, "trust root", partial(_trust_root, told, word, digests))


def compare_devices(told: Told, word: Word, *, where: str) -> Iterator[Finding]:
    """Give a finding for every device's word in the journal."""
    for address, device in told.devices.items():
        yield _guarded(where, f"0x{address.hex()}", partial(_device, word, address, device))


_Outcome = tuple[Verdict, str]


def _guarded(where: str, name: str, compare: Callable[[], _Outcome]) -> Finding:
    """A word that the proofs do not show is a gap: whoever made the evidence left it out."""
    try:
        verdict, what = compare()
    except ProtocolError as error:
        verdict, what = Verdict.GAP, f"no proof of its word at the end ({error})"
    return Finding(verdict, where, f"{name}: {what}")


def _channel(told: Told, word: Word, channel: bytes) -> _Outcome:
    head, proved_head = told.heads.get(channel, bytes(32)), word(contract_state.head_key(channel))
    told_word, proved_word = told.words.get(channel, 0), word(contract_state.word_key(channel))
    if (proved_head, proved_word) == (int.from_bytes(head, "big"), told_word):
        return Verdict.PROVED, "head and word are what its last act set"
    was, now = ChannelWord.decode(told_word), ChannelWord.decode(proved_word)
    return Verdict.GAP, (
        f"acts were left out; told up to epoch {was.epoch}, sequence {was.sequence}; "
        f"proved epoch {now.epoch}, sequence {now.sequence}"
    )


def _group(told: Told, word: Word, group: int) -> _Outcome:
    channel = told.groups.get(group, bytes(32))
    if word(contract_state.channel_of_key(group)) == int.from_bytes(channel, "big"):
        return Verdict.PROVED, "follows the channel that it was last assigned to"
    return Verdict.GAP, "an assignment was left out"


def _revocation(told: Told, word: Word, release: bytes) -> _Outcome:
    proved = word(contract_state.revoked_key(release))
    expected = told.revoked.get(release)
    if expected is None:
        if proved:
            return Verdict.GAP, "it is revoked, and its revocation was left out"
        return Verdict.PROVED, "not revoked"
    if proved == expected.encode():
        return Verdict.PROVED, "revoked as told"
    now = Revocation.decode(proved)
    if now is not None and now.mandatory and not expected.mandatory:
        return Verdict.GAP, "its revocation is mandatory, and the act that made it so was left out"
    return Verdict.WRONG, "told as revoked, proved otherwise"


def _trust_root(told: Told, word: Word, digests: Sequence[bytes]) -> _Outcome:
    recorded = word(contract_state.trust_root_key()).to_bytes(32, "big")
    if recorded != told.trust_root:
        return Verdict.GAP, f"the announcement of {_short(recorded)} was left out"
    if any(recorded) and recorded not in digests:
        return Verdict.GAP, f"the ledger names {_short(recorded)}, which is not among those given"
    return Verdict.PROVED, "the one announced last is among those given" if any(
        recorded
    ) else "none announced"


def _device(proved: Word, address: bytes, told: DeviceTold) -> _Outcome:
    word = DeviceWord.decode(proved(contract_state.device_key(address)))
    if word.sequence > told.sequence:
        if word.sequence == told.sequence + 1:
            return Verdict.GAP, f"event {word.sequence} was left out"
        return Verdict.GAP, f"events {told.sequence + 1} to {word.sequence} were left out"
    if (word.sequence, word.previous) != (told.sequence, told.previous):
        return Verdict.WRONG, "its events do not end in its proven word"
    if told.group is not None and (word.group, word.retired) != (told.group, told.retired):
        return (
            Verdict.GAP,
            f"it was moved to group {word.group}{', retired' * word.retired}, and that was left out",
        )
    return Verdict.PROVED, f"its {word.sequence} events are all here, and end in its word"


def _approval(word: Word, operator: bytes, release: bytes, time: int) -> _Outcome:
    if word(contract_state.approval_key(operator, release)) == time:
        return Verdict.PROVED, "approved as told"
    return Verdict.WRONG, "told as approved, proved otherwise"


def _short(digest: bytes) -> str:
    return digest.hex()[:16]
