"""Notes of witnesses over HTTP, joined until enough of them speak of one block (protocol.md §4)."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from device_verifier.asking import ask_all
from device_verifier.errors import DeviceError, NotTrusted, SourceUnreachable
from device_verifier.sources.http import HttpClient, HttpLimits
from ledger_protocol.errors import ProtocolError, QuorumError
from ledger_protocol.ledger.proof import MAX_NOTE_BYTES
from ledger_protocol.ledger.witness_note import (
    VerifiedNote,
    WitnessNote,
    join_notes,
    signer_times,
    verify_note,
)
from ledger_protocol.release.trust_root import WitnessTrust
from ledger_protocol.release.witness_key import WitnessKey
from ledger_protocol.report.reasons import Reason

__all__ = ["JoinedNote", "WitnessNotes", "collect_note"]

# Seconds that one witness may take for all that it is asked.
WITNESS_S: Final = 30.0
# Seconds that slower witnesses still get once enough have answered; a node waits for them meanwhile.
GRACE_S: Final = 3.0
# Older notes asked of one witness: live ones stand a few blocks apart, and a stranger's height must not make
# many.
MAX_OLDER: Final = 8


class WitnessNotes:
    """One witness, or whoever serves notes as one does: `{url}/fwledger/v1/witness/newest` and
    `notes/{height}`.

    What is served may be a note of one signer or one that was joined before.
    """

    def __init__(self, url: str, *, limits: HttpLimits | None = None) -> None:
        self._http = HttpClient(url, limits=limits)

    @property
    def name(self) -> str:
        """Its scheme, host and port."""
        return self._http.name

    def newest(self) -> bytes:
        """Return its newest note, unverified. Raises SourceUnreachable."""
        return self._get("newest")

    def at(self, heights: Sequence[int]) -> list[bytes]:
        """Return its notes of these heights, in their order, as far as it has them and until it fails;
        unverified.
        """
        notes: list[bytes] = []
        with self._http.operation(WITNESS_S), contextlib.suppress(SourceUnreachable):
            for height in heights:
                answer = self._http.get(f"/fwledger/v1/witness/notes/{height}", max_bytes=MAX_NOTE_BYTES)
                if answer.status == 200:
                    notes.append(answer.body)
        return notes

    def abandon(self) -> None:
        """Break off the requests in flight."""
        self._http.abandon()

    def _get(self, what: str) -> bytes:
        with self._http.operation(WITNESS_S):
            answer = self._http.get(f"/fwledger/v1/witness/{what}", max_bytes=MAX_NOTE_BYTES)
        if answer.status != 200:
            raise SourceUnreachable(
                f"{self.name} serves no witness note",
                reason=Reason.SOURCE_UNREACHABLE,
                expected="status 200",
                got=f"status {answer.status}",
                hint="check that `fwledger witness run` serves there, and that it has signed a block",
            )
        return answer.body


@dataclass(frozen=True, slots=True)
class JoinedNote:
    """A note that the pinned threshold signed: its bytes, and what it says."""

    note: bytes
    verified: VerifiedNote


def collect_note(witnesses: Sequence[WitnessNotes], trust: WitnessTrust) -> JoinedNote:
    """Return the newest block's note that enough of the pinned witnesses signed.

    They are rarely at the same height: those ahead are asked for the heights of those behind. Raises
    SourceUnreachable where too few answer, NotTrusted (note-quorum) where enough answer and too few agree.
    """
    newest: list[tuple[WitnessNotes, bytes, int]] = []
    silent: list[DeviceError] = []
    for witness, note in ask_all(
        witnesses,
        lambda witness: witness.newest(),
        grace_s=GRACE_S,
        enough=lambda notes: _signers(notes, trust) >= trust.threshold,
    ):
        if isinstance(note, DeviceError):
            silent.append(note)
            continue
        try:
            number = WitnessNote.decode(note).checkpoint.number
        except ProtocolError:
            continue  # no note at all: it counts for nobody
        if _signers([note], trust):  # nor does a stranger's, and nobody is asked for its height
            newest.append((witness, note, number))
    try:
        joined = join_notes([note for _, note, _ in newest] + _older(newest, trust), trust)
        return JoinedNote(joined, verify_note(joined, trust))
    except QuorumError as error:
        raise _too_few(error, silent) from error


def _signers(notes: Sequence[bytes], trust: WitnessTrust) -> int:
    """Count the pinned witnesses that signed any of these notes, whatever block they speak of."""
    keys = [WitnessKey.parse(vkey) for vkey in trust.keys]
    signers: set[bytes] = set()
    for note in notes:
        with contextlib.suppress(ProtocolError):
            signers.update(signer_times(WitnessNote.decode(note), keys))
    return len(signers)


def _older(newest: Sequence[tuple[WitnessNotes, bytes, int]], trust: WitnessTrust) -> list[bytes]:
    """Return further notes, of the heights at which others stand."""
    heights = sorted({height for _, _, height in newest}, reverse=True)
    below = {
        witness: [height for height in heights if height < own][:MAX_OLDER] for witness, _, own in newest
    }
    notes = [note for _, note, _ in newest]

    def agree(found: Sequence[list[bytes]]) -> bool:
        try:
            join_notes([*notes, *chain.from_iterable(found)], trust)
        except ProtocolError:
            return False
        return True

    asked = [witness for witness, wanted in below.items() if wanted]
    answers = ask_all(asked, lambda witness: witness.at(below[witness]), grace_s=GRACE_S, enough=agree)
    return [note for _, found in answers if not isinstance(found, DeviceError) for note in found]


def _too_few(error: QuorumError, silent: Sequence[DeviceError]) -> DeviceError:
    family = SourceUnreachable if silent else NotTrusted
    refusal = family(
        "too few of the pinned witnesses agree on a block",
        reason=Reason.SOURCE_UNREACHABLE if silent else Reason.NOTE_QUORUM,
        expected=error.expected,
        got=error.got,
        hint="name more of them as [[witness]] in device.toml, or ask a source whose proofs carry a note",
    )
    for one in silent:
        refusal.add_note(str(one))
    return refusal
