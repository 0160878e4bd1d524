"""Header trust by k of n witnesses: a C2SP signed note over one block of any EVM chain (protocol.md §4).

    acme.example/evm/1337
    <block number>
    <base64 of the block hash>
    <base64 of the state root>
    <block time>

    — name base64(key id ‖ time ‖ Ed25519 signature)

Each witness signs the text together with its own time, so that a note can be signed again as a heartbeat.
"""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger_protocol.errors import (
    LimitError,
    MalformedError,
    MismatchError,
    ProtocolError,
    QuorumError,
    SignatureError,
)
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.proof import MAX_NOTE_BYTES
from ledger_protocol.limits import MAX_LABEL_BYTES, MAX_TIME_S, MAX_U64, MAX_WITNESSES
from ledger_protocol.release.witness_key import IDENTIFIER, KEY_ID_BYTES, NAME, WitnessKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger_protocol.ledger.header import Header
    from ledger_protocol.release.trust_root import WitnessTrust

ORIGIN: Final = re.compile(r"[a-z0-9][a-z0-9._/-]*/evm/[1-9][0-9]{0,19}")
_DIGITS: Final = re.compile(r"0|[1-9][0-9]{0,19}")  # 2^64 has 20 digits; int() never sees a longer text
_TEXT_LINES: Final = 5
_HASH_BYTES: Final = 32
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64
_BLOB_BYTES: Final = KEY_ID_BYTES + _TIME_BYTES + _SIGNATURE_BYTES
_LINE_START: Final = "\N{EM DASH} "


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One block, as witnesses name it. `hash` and `state_root` are 32 bytes, `time` the block's (Unix
    seconds).
    """

    origin: str
    number: int
    hash: bytes
    state_root: bytes
    time: int

    @property
    def text(self) -> bytes:
        """The note's text: what is signed, after each signer's time."""
        lines = (self.origin, str(self.number), _base64(self.hash), _base64(self.state_root), str(self.time))
        return "".join(line + "\n" for line in lines).encode("ascii")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """An unverified signature line: who claims to have signed, and when by its own clock (Unix seconds)."""

    name: str
    key_id: bytes
    time: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class WitnessNote:
    """An unverified note: what it says, and who claims to have signed it."""

    checkpoint: Checkpoint
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """Give the note. Raises MalformedError or LimitError for what `decode` would refuse."""
        lines = [
            f"{_LINE_START}{s.name} {_base64(s.key_id + _time_bytes(s.time) + s.signature)}\n"
            for s in self.signatures
        ]
        data = self.checkpoint.text + b"\n" + "".join(lines).encode()
        if WitnessNote.decode(data) != self:
            raise MalformedError("note", expected="values that survive encoding", got="others")
        return data

    @classmethod
    def decode(cls, data: bytes) -> WitnessNote:
        """Read a note of at most 8,192 bytes with 1 to 32 signatures; `encode` of the result gives it again.

        Raises MalformedError or LimitError. Nothing is verified.
        """
        if len(data) > MAX_NOTE_BYTES:
            raise LimitError("note", expected=f"at most {MAX_NOTE_BYTES} bytes", got=len(data))
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedError("note", expected="UTF-8") from None
        head, separator, tail = text.partition("\n\n")
        lines = head.split("\n")
        if not separator or not tail.endswith("\n") or len(lines) != _TEXT_LINES:
            raise MalformedError("note", expected="five lines, an empty one, and lines of signatures")
        origin, number, block_hash, state_root, time = lines
        if len(origin) > MAX_LABEL_BYTES or ORIGIN.fullmatch(origin) is None:
            raise MalformedError("note: origin", expected="a name that ends in /evm/<chain id>", got=origin)
        return cls(
            Checkpoint(
                origin=origin,
                number=_integer(number, MAX_U64, "block number"),
                hash=_octets(block_hash, _HASH_BYTES, "block hash"),
                state_root=_octets(state_root, _HASH_BYTES, "state root"),
                time=_integer(time, MAX_TIME_S, "block time"),
            ),
            _signatures(tail[:-1].split("\n")),
        )


@dataclass(frozen=True, slots=True)
class VerifiedNote:
    """A checkpoint that enough witnesses signed. `witnessed_at` is the k-th newest signer's time (Unix
    seconds).
    """

    checkpoint: Checkpoint
    witnessed_at: int


def verify_note(data: bytes, trust: WitnessTrust) -> VerifiedNote:
    """Give what a note says if the pinned threshold of distinct public keys signed it.

    Freshness is the k-th newest signer's time: one honest witness among any k stood at that time or later,
    while a maximum would let one stolen key refresh a note of last year. Lines of unknown keys are ignored; a
    line that names a pinned key and does not verify refuses the note, as signed notes are read everywhere.

    Raises MalformedError or LimitError for other bytes, MismatchError for another origin (another chain),
    QuorumError for too few signers, SignatureError for a wrong signature of a pinned key.
    """
    note = WitnessNote.decode(data)
    if note.checkpoint.origin != trust.origin:
        raise MismatchError("note: origin", expected=trust.origin, got=note.checkpoint.origin)
    pinned = _pinned(trust)
    times = signer_times(note, pinned)
    if len(times) < trust.threshold:
        raise QuorumError(
            f"note of block {note.checkpoint.number}: signatures of pinned witnesses",
            expected=f"at least {trust.threshold} of {len(pinned)}",
            got=len(times),
            hint="the source lies, or the witnesses changed: look for a newer trust root",
        )
    return VerifiedNote(note.checkpoint, sorted(times.values(), reverse=True)[trust.threshold - 1])


def signer_times(note: WitnessNote, keys: Iterable[WitnessKey]) -> dict[bytes, int]:
    """Give the newest time that each of these public keys signed at, by its 32-byte point.

    Raises SignatureError where a line names one of `keys` and is not signed by it.
    """
    by_id: dict[tuple[str, bytes], list[WitnessKey]] = {}
    for key in keys:
        by_id.setdefault((key.name, key.key_id), []).append(key)
    times: dict[bytes, int] = {}
    for line in note.signatures:
        candidates = by_id.get((line.name, line.key_id))
        if candidates is None:
            continue
        # A key id has 32 bits only: two keys of one name can share it.
        signer = next((key for key in candidates if _has_signed(key, note.checkpoint, line)), None)
        if signer is None:
            raise SignatureError(f"note: signature of {line.name}", expected="a valid one", got="another")
        times[signer.point] = max(line.time, times.get(signer.point, 0))
    return times


def sign_note(checkpoint: Checkpoint, key: Ed25519PrivateKey, *, name: str, time_s: int) -> WitnessNote:
    """Sign a checkpoint as the witness `name`, at `time_s` by its own clock (Unix seconds)."""
    line = NoteSignature(name, witness_key(key, name).key_id, time_s, key.sign(_message(checkpoint, time_s)))
    return WitnessNote(checkpoint, (line,))


def witness_key(key: Ed25519PrivateKey, name: str) -> WitnessKey:
    """Give the public half of a witness's key. Raises MalformedError for a name that no note can carry."""
    if NAME.fullmatch(name) is None:
        raise MalformedError("name of witness", expected="no spaces and no plus sign", got=name)
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return WitnessKey(name, key.public_key().public_bytes(*raw))


def noted_hash(header: Header) -> bytes:
    """Give the 32-byte block hash that a note names: a QBFT header is hashed without its seals, every other
    one as it stands.
    """
    if header.mix_hash == qbft.MIX_HASH:
        # The genesis block of some networks has the mix hash and no QBFT data.
        with suppress(ProtocolError):
            return qbft.block_hash(header)
    return keccak256(header.encode())


def join_notes(notes: Iterable[bytes], trust: WitnessTrust) -> bytes:
    """Join notes of single witnesses into the newest one that the pinned threshold signed.

    A note that is not right, or whose witness is not pinned, is passed over; of a witness that gave several
    of one block the newest counts. Raises QuorumError where no block has enough signers, or two different
    blocks of one height have, which takes witnesses that signed twice.
    """
    pinned = _pinned(trust)
    lines: dict[Checkpoint, dict[bytes, NoteSignature]] = {}
    for data in notes:
        try:
            note = WitnessNote.decode(data)
            if note.checkpoint.origin != trust.origin:
                continue
            for line in note.signatures:
                for point in signer_times(WitnessNote(note.checkpoint, (line,)), pinned):
                    found = lines.setdefault(note.checkpoint, {})
                    if point not in found or found[point].time < line.time:
                        found[point] = line
        except ProtocolError:
            continue
    enough = [checkpoint for checkpoint, found in lines.items() if len(found) >= trust.threshold]
    if not enough:
        most = max((len(found) for found in lines.values()), default=0)
        raise QuorumError(
            "notes of pinned witnesses on one block",
            expected=f"at least {trust.threshold} of {len(pinned)}",
            got=most,
            hint="ask more witnesses, or wait: one may be behind",
        )
    newest = max(enough, key=lambda checkpoint: checkpoint.number)
    if sum(checkpoint.number == newest.number for checkpoint in enough) > 1:
        raise QuorumError(
            "witnesses",
            expected=f"one block of height {newest.number}",
            got="two, both signed by enough",
            hint="keep all notes: they show that witnesses signed twice",
        )
    # The verifier refuses two lines of one name and key id, so one of two colliding keys is left out.
    unique = {(line.name, line.key_id): line for line in lines[newest].values()}
    joined = _joined(newest, list(unique.values()), trust.threshold)
    verify_note(joined, trust)
    return joined


def _joined(checkpoint: Checkpoint, lines: list[NoteSignature], threshold: int) -> bytes:
    """Encode a note of the newest of these lines: all, or as many as there is room for. The k-th newest time
    stays what it is. Raises QuorumError where there is no room for the threshold.
    """
    newest_first = sorted(lines, key=lambda line: line.time, reverse=True)
    for count in range(len(lines), threshold - 1, -1):
        chosen = sorted(newest_first[:count], key=lambda line: (line.name, line.key_id))
        with suppress(LimitError):
            return WitnessNote(checkpoint, tuple(chosen)).encode()
    raise QuorumError(
        "note of pinned witnesses",
        expected=f"room for {threshold} signatures in {MAX_NOTE_BYTES} bytes",
        got=len(lines),
        hint="their names are too long: a new trust root has to name them otherwise",
    )


def _pinned(trust: WitnessTrust) -> tuple[WitnessKey, ...]:
    """Give the pinned keys. Distinct public keys are counted: one key under two names is one witness."""
    keys = tuple(WitnessKey.parse(vkey) for vkey in trust.keys)
    distinct = len({key.point for key in keys})
    if distinct != len(keys) or not distinct < 2 * trust.threshold <= 2 * distinct:
        raise QuorumError(
            "trust root: witnesses",
            expected="distinct public keys, and a threshold of more than half of them",
            got=f"{trust.threshold} of {distinct}",
        )
    return keys


def _has_signed(key: WitnessKey, checkpoint: Checkpoint, line: NoteSignature) -> bool:
    try:
        public = Ed25519PublicKey.from_public_bytes(key.point)
        public.verify(line.signature, _message(checkpoint, line.time))
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(checkpoint: Checkpoint, time_s: int) -> bytes:
    return IDENTIFIER + b"\ntime " + str(time_s).encode("ascii") + b"\n" + checkpoint.text


def _signatures(lines: list[str]) -> tuple[NoteSignature, ...]:
    if len(lines) > MAX_WITNESSES:
        raise LimitError("note: signatures", expected=f"at most {MAX_WITNESSES}", got=len(lines))
    signatures = tuple(_signature(line) for line in lines)
    if len({(one.name, one.key_id) for one in signatures}) != len(signatures):
        raise MalformedError("note: signatures", expected="one of each key", got="two of one")
    return signatures


def _signature(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_LINE_START).partition(" ")
    if not line.startswith(_LINE_START) or NAME.fullmatch(name) is None:
        raise MalformedError("note: line of a signature", expected="a dash, a name and base64", got=line)
    # A signature of another type is shorter or longer, since ours carries a time.
    blob = _octets(encoded, _BLOB_BYTES, "signature")
    time = int.from_bytes(blob[KEY_ID_BYTES : KEY_ID_BYTES + _TIME_BYTES], "big")
    if time > MAX_TIME_S:
        raise LimitError("note: time of a signature", expected=f"at most {MAX_TIME_S}", got=time)
    return NoteSignature(name, blob[:KEY_ID_BYTES], time, blob[KEY_ID_BYTES + _TIME_BYTES :])


def _time_bytes(time_s: int) -> bytes:
    if not 0 <= time_s <= MAX_TIME_S:
        raise LimitError("note: time of a signature", expected=f"0 to {MAX_TIME_S}", got=time_s)
    return time_s.to_bytes(_TIME_BYTES, "big")


def _integer(text: str, maximum: int, what: str) -> int:
    if _DIGITS.fullmatch(text) is None or int(text) > maximum:
        raise MalformedError(f"note: {what}", expected=f"a number of at most {maximum}", got=text)
    return int(text)


def _octets(text: str, size_bytes: int, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if len(data) != size_bytes or _base64(data) != text:
        raise MalformedError(f"note: {what}", expected=f"canonical base64 of {size_bytes} bytes", got=text)
    return data


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
