"""The report that an update event commits to: what happened, in the shape of the SUIT report draft
(protocol.md §6).

The event carries only its hash. The body travels beside the event and is kept on IPFS; a salt keeps a short
one from being guessed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from ledger_protocol.content import dag_cbor
from ledger_protocol.fields import Fields
from ledger_protocol.limits import MAX_LABEL_BYTES, MAX_NAME_BYTES, MAX_REPORT_BYTES

SCHEMA = "fwledger/report/1"
SALT_BYTES = 16
MAX_VALUE_BYTES = 1_024  # an expected or found value: a few hashes or one error line
MAX_LOG_TAIL_BYTES = 8_192  # the last screens of a log; with all else it stays under 16 KiB
MAX_DOWNTIME_S = 2**32 - 1


class Stage(StrEnum):
    """How far the update had come."""

    VERIFY = "verify"  # V0 to V9
    FETCH = "fetch"  # V10: content comes in
    WRITE = "write"  # V10: the spare slot
    ARM = "arm"  # V11
    BOOT = "boot"  # the trial boot
    HEALTH = "health"  # V12
    CONFIRM = "confirm"  # V13


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report. `reason` is a code of `reasons.Reason`, or one that a newer device knows; empty text
    means "does not apply".
    """

    stage: Stage
    reason: str
    salt: bytes
    component: str = ""
    expected: str = ""
    found: str = ""
    version_before: str = ""
    version_after: str = ""
    downtime_s: int | None = None
    log_tail: str = ""

    @property
    def detail(self) -> bytes:
        """Give the 32 bytes that the event carries: SHA-256 of the document."""
        return detail_of(self.encode())

    def encode(self) -> bytes:
        """Give the document. Raises MalformedError or LimitError for what `decode` would refuse."""
        data = dag_cbor.encode(
            {
                "schema": SCHEMA,
                "stage": str(self.stage),
                "reason": str(self.reason),
                "component": self.component,
                "expected": self.expected,
                "found": self.found,
                "version_before": self.version_before,
                "version_after": self.version_after,
                "downtime_s": self.downtime_s,
                "log_tail": self.log_tail,
                "salt": self.salt,
            }
        )
        Report.decode(data)
        return data

    @classmethod
    def decode(cls, data: bytes) -> Report:
        """Read a document of at most 16 KiB. Raises MalformedError or LimitError."""
        fields = Fields.document(data, schema=SCHEMA, max_bytes=MAX_REPORT_BYTES)
        report = cls(
            stage=Stage(fields.choice("stage", tuple(Stage))),
            reason=fields.name("reason"),
            component=fields.text("component", max_bytes=MAX_NAME_BYTES, empty=True),
            expected=fields.text("expected", max_bytes=MAX_VALUE_BYTES, empty=True),
            found=fields.text("found", max_bytes=MAX_VALUE_BYTES, empty=True),
            version_before=fields.text("version_before", max_bytes=MAX_LABEL_BYTES, empty=True),
            version_after=fields.text("version_after", max_bytes=MAX_LABEL_BYTES, empty=True),
            downtime_s=fields.integer_or_null("downtime_s", high=MAX_DOWNTIME_S),
            log_tail=fields.text("log_tail", max_bytes=MAX_LOG_TAIL_BYTES, empty=True, lines=True),
            salt=fields.octets("salt", size=SALT_BYTES),
        )
        fields.end()
        return report


def detail_of(encoded_report: bytes) -> bytes:
    """Give the 32 bytes that commit an event to a report's document."""
    return hashlib.sha256(encoded_report).digest()


def value_text(value: object) -> str:
    """Make one line that fits `expected` or `found`: bytes as hexadecimal, no controls, the start kept."""
    text = value.hex() if isinstance(value, bytes) else str(value)
    return _cut(_printable(text, "")[:MAX_VALUE_BYTES], MAX_VALUE_BYTES)


def log_tail_text(log: str) -> str:
    """Make the end of a log that fits `log_tail`: lines, no other controls, the last bytes kept."""
    clean = _printable(log[-MAX_LOG_TAIL_BYTES:].replace("\r\n", "\n"), "\n\t")
    return _cut(clean[::-1], MAX_LOG_TAIL_BYTES)[::-1]


def _printable(text: str, also: str) -> str:
    return "".join(char if char.isprintable() or char in also else "?" for char in text)


def _cut(text: str, max_bytes: int) -> str:
    """Keep whole characters from the start while they fit."""
    used = 0
    for place, char in enumerate(text):
        used += len(char.encode())
        if used > max_bytes:
            return text[:place]
    return text
