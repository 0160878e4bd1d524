"""Witness notes: k of n, whose times, and what a note may look like (protocol.md §4, V1 and V2)."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ledger_client.conformance.case import ACCEPT, NOTE, Expected, refuse
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world import notes
from ledger_client.conformance.world.keys import ed25519_key
from ledger_protocol.report.reasons import Reason

SECTION: Final = "§4"
FORGED: Final = "forged header"
SPLIT: Final = "split view"
FREEZE: Final = "indefinite freeze"
NOT_NOTED: Final = refuse(*NOTE)
# A fifth witness set and a threshold of three: the smallest that loses two and still answers.
THREE_OF_FIVE: Final[Mapping[str, Any]] = {"validators": None, "witnesses": 5, "threshold": 3}
HOUR_S: Final = 3_600
AGED: Final[Mapping[str, Any]] = {**THREE_OF_FIVE, "max_checkpoint_age": HOUR_S}
BOTH: Final[Mapping[str, Any]] = {"witnesses": 5, "threshold": 3, "require": "all"}
EITHER: Final[Mapping[str, Any]] = {"witnesses": 5, "threshold": 3, "require": "any"}

Note = Callable[[Scenario], bytes]


def _note(
    name: str,
    expected: Expected,
    why: str,
    make: Note,
    *,
    attack: str = FORGED,
    world: Mapping[str, Any] = THREE_OF_FIVE,
) -> None:
    """Register a case whose proof carries this note."""

    @case(f"note.{name}", attack, SECTION, expected, why, world=world)
    def _(s: Scenario) -> None:
        s.check(s.stick(note=make(s)))


def signed_by(*places: int) -> Note:
    """Give a note signed by the witnesses of these places."""
    return lambda s: s.world.note(signers=[s.world.witnesses[place] for place in places])


_note("3-of-5", ACCEPT, "any three of five witnesses are enough", signed_by(0, 2, 4))
_note("5-of-5", ACCEPT, "more than enough is enough", signed_by(0, 1, 2, 3, 4))
_note("2-of-5", NOT_NOTED, "one under the threshold is not enough", signed_by(1, 3))
_note("1-of-5", NOT_NOTED, "one witness proves nothing", signed_by(1), attack="one key stolen")
_note(
    "no-signatures", NOT_NOTED, "a note that nobody signed is anybody's", lambda s: s.world.note(signers=[])
)

for total, needed in ((1, 1), (3, 2), (7, 4), (32, 17)):
    pinned: Mapping[str, Any] = {"validators": None, "witnesses": total, "threshold": needed}
    _note(
        f"{needed}-of-{total}-pinned",
        ACCEPT,
        f"{needed} of {total} is what this trust root asks for",
        signed_by(*range(needed)),
        world=pinned,
    )
    if needed > 1:
        _note(
            f"{needed - 1}-of-{total}-pinned",
            NOT_NOTED,
            "one under the threshold is not enough",
            signed_by(*range(needed - 1)),
            world=pinned,
        )


def _lines(s: Scenario, *signers: notes.Witness) -> list[str]:
    return [notes.signature_line(witness, s.world.said().text, s.world.time) for witness in signers]


def _raw(make: Callable[[Scenario], Sequence[str]]) -> Note:
    return lambda s: notes.note(s.world.said().text, make(s))


_note(
    "one-line-three-times",
    NOT_NOTED,
    "a witness that signs three times is one witness",
    _raw(lambda s: _lines(s, s.world.witnesses[0]) * 3),
    attack="duplicate signatures or keys",
)
_note(
    "one-key-under-three-names",
    NOT_NOTED,
    "names and key ids are labels: what is counted is public keys",
    _raw(lambda s: _lines(s, *(s.world.witnesses[0].under(name) for name in ("w0.example", "x", "y")))),
    attack="duplicate signatures or keys",
)
_note(
    "one-key-at-three-times",
    NOT_NOTED,
    "another time makes another signature, not another witness",
    lambda s: s.world.note(
        signers=[s.world.witnesses[0], s.world.witnesses[0], s.world.witnesses[0]],
        times=[s.world.time, s.world.time + 1, s.world.time + 2],
    ),
    attack="duplicate signatures or keys",
)
_note(
    "strangers-beside-three",
    ACCEPT,
    "lines of unknown keys are ignored",
    lambda s: s.world.note(signers=[*notes.witnesses(3, "stranger"), *s.world.witnesses[:3]]),
)
_note(
    "strangers-make-up-the-number",
    NOT_NOTED,
    "an unknown witness counts for nothing",
    lambda s: s.world.note(signers=[*notes.witnesses(3, "stranger"), *s.world.witnesses[:2]]),
)


def _imposters(s: Scenario) -> list[str]:
    """Lines that carry the name and key id of a pinned witness and are signed by another key."""
    true = _lines(s, *s.world.witnesses[:3])
    false = _lines(s, *(notes.Witness(f"w{place}.example", ed25519_key("thief")) for place in range(3)))
    return [
        f"{line[:2]}{line[2:-1].split(' ')[0]} {_with_id(one, line)}\n"
        for one, line in zip(true, false, strict=True)
    ]


def _with_id(true: str, false: str) -> str:
    """Give the false line's blob with the true line's key id."""
    one, other = (base64.b64decode(line.split(" ")[2]) for line in (true, false))
    return notes.b64(one[:4] + other[4:])


_note("forged-signatures", NOT_NOTED, "a key id is a claim: the signature decides", _raw(_imposters))
_note(
    "a-false-line-of-a-pinned-key",
    NOT_NOTED,
    "signed notes refuse a line that names a known key and is not signed by it",
    _raw(lambda s: [*_lines(s, *s.world.witnesses[:2], s.world.witnesses[3]), _imposters(s)[2]]),
)
_note(
    "signed-without-time",
    NOT_NOTED,
    "what is signed begins with the identifier and the time: a note's plain signature is another thing",
    _raw(
        lambda s: [
            notes.signature_line(w, s.world.said().text, s.world.time, with_time=False)
            for w in s.world.witnesses[:3]
        ]
    ),
)
_note(
    "times-changed",
    NOT_NOTED,
    "the time in a line is signed with the text, so it cannot be moved",
    _raw(lambda s: [_moved(line) for line in _lines(s, *s.world.witnesses[:3])]),
    attack=FREEZE,
)


def _moved(line: str) -> str:
    """Put the time in a line one hour later."""
    dash, name, blob = line[:-1].split(" ")
    data = base64.b64decode(blob)
    later = (int.from_bytes(data[4:12], "big") + HOUR_S).to_bytes(8, "big")
    return f"{dash} {name} {notes.b64(data[:4] + later + data[12:])}\n"


def _forked(**changes: Any) -> Note:
    """Another text above signatures of the true one."""

    def make(s: Scenario) -> bytes:
        lines = _lines(s, *s.world.witnesses[:3])
        return notes.note(s.world.said(**changes).text, lines)

    return make


for what, changes in (
    ("number", {"number": 4_000}),
    ("hash", {"hash": bytes(32)}),
    ("state-root", {"state_root": bytes(32)}),
    ("time", {"time": 1_900_000_000}),
):
    _note(
        f"text-with-another-{what}",
        NOT_NOTED,
        "every line of the text is signed",
        _forked(**changes),
        attack=SPLIT,
    )
_note(
    "two-texts-mixed",
    NOT_NOTED,
    "signatures of two texts do not add up to a threshold for either",
    lambda s: notes.note(
        s.world.said().text,
        [
            *_lines(s, *s.world.witnesses[:2]),
            notes.signature_line(s.world.witnesses[2], s.world.said(hash=bytes(32)).text, s.world.time),
        ],
    ),
    attack=SPLIT,
)
_note(
    "another-chain",
    NOT_NOTED,
    "the origin names the chain: a witness of two networks signs for both",
    lambda s: s.world.note(s.world.said(origin="acme.example/evm/1338")),
    attack="staging chain",
)
_note(
    "another-origin",
    NOT_NOTED,
    "the origin is pinned as a whole",
    lambda s: s.world.note(s.world.said(origin="other.example/evm/1337")),
    attack="staging chain",
)
_note(
    "state-root-of-another-block",
    refuse(Reason.BAD_PROOF),
    "the words are proven under the state root that the note carries, and no other",
    lambda s: s.world.note(s.world.said(state_root=bytes(32))),
    attack="mix-and-match",
)

# --- encodings


def _text(name: str, change: Callable[[bytes], bytes], why: str) -> None:
    _note(name, NOT_NOTED, why, lambda s: change(s.world.note()))


def _text_signed(name: str, change: Callable[[str], str], why: str) -> None:
    """A text that is wrong, and that three witnesses signed as it stands."""

    def make(s: Scenario) -> bytes:
        text = change(s.world.said().text)
        return notes.note(text, [notes.signature_line(w, text, s.world.time) for w in s.world.witnesses[:3]])

    _note(name, NOT_NOTED, why, make)


_text("no-final-newline", lambda note: note[:-1], "every line ends in a newline")
_text("crlf", lambda note: note.replace(b"\n", b"\r\n"), "a newline is one byte")
_text(
    "no-empty-line", lambda note: note.replace(b"\n\n", b"\n", 1), "an empty line parts text and signatures"
)
_text(
    "hyphen-for-dash",
    lambda note: note.replace("\N{EM DASH}".encode(), b"-"),
    "a line of a signature begins with an em dash",
)
_text("not-utf-8", lambda note: note + b"\xff\n", "a note is text")
_text("text-after-signatures", lambda note: note + b"hello\n", "after the empty line come signatures only")
_text(
    "unpadded-base64",
    lambda note: note.replace(b"=\n", b"\n"),
    "base64 has one form",
)
_text_signed(
    "number-with-leading-zero", lambda text: text.replace("\n10", "\n010", 1), "a number has one form"
)
_text_signed("number-negative", lambda text: text.replace("\n10", "\n-10", 1), "a height is not negative")
_text_signed(
    "number-of-30-digits", lambda text: text.replace("\n10", "\n" + "1" * 30, 1), "a height has 64 bits"
)
_text_signed("sixth-line", lambda text: text + "extension\n", "the text has five lines, and no other meaning")
_text_signed(
    "hash-of-31-bytes",
    lambda text: "\n".join([*text.split("\n")[:2], notes.b64(bytes(31)), *text.split("\n")[3:]]),
    "a hash has 32 bytes",
)
_note(
    "33-signatures",
    NOT_NOTED,
    "signatures are counted before one is checked: 32 at most",
    lambda s: s.world.note(signers=[*notes.witnesses(30, "stranger"), *s.world.witnesses[:3]]),
)
_note(
    "32-signatures",
    ACCEPT,
    "32 signatures are within the bound",
    lambda s: s.world.note(signers=[*notes.witnesses(29, "stranger"), *s.world.witnesses[:3]]),
)


def _crowd(s: Scenario) -> bytes:
    """Three right signatures in front, and 97 short lines behind: small enough to be read."""
    lines = _lines(s, *s.world.witnesses[:3])
    return notes.note(
        s.world.said().text, [*lines, *(f"\N{EM DASH} n{place} AAAAAAAA\n" for place in range(97))]
    )


_note(
    "100-signatures",
    NOT_NOTED,
    "nobody has to read for ever: a note has 32 signatures at most",
    _crowd,
    attack="endless data",
)
_note(
    "longer-than-8-kib",
    NOT_NOTED,
    "a note has 8,192 bytes at most",
    lambda s: s.world.note(
        signers=[
            *s.world.witnesses[:3],
            *(notes.Witness("n" * 250 + str(place), ed25519_key("n")) for place in range(25)),
        ]
    ),
    attack="endless data",
)
