"""The four ways in which a device stops: they are wrong, we could not reach them, the operator erred, the
slot failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from device_verifier.steps import Step

if TYPE_CHECKING:
    from device_verifier.ledger_view import VerifiedHeader
    from ledger_protocol.report.reasons import Reason

__all__ = ["DeviceError", "NotTrusted", "SlotFailure", "SourceUnreachable", "UsageError"]


class DeviceError(Exception):
    """Base of every error that leaves this package.

    Attributes: `reason` is the machine-readable code; `check` the number of the check that refused ("V1"; ""
    where none applies); `expected` and `got` are what the check compared, as text; `hint` is what a person
    can do about it; `exit_code` is what the command line returns (design: device.md, Commands); `steps` are
    the checks that led here, the refused one last, where the caller was going through them; `release` is the
    id of the release that was being judged when it came to that; `header` the block that was vouched for and
    refused all the same, where it was.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        reason: Reason,
        check: str | None = None,
        expected: object = None,
        got: object = None,
        hint: str = "",
    ) -> None:
        self.what = what
        self.reason = reason
        self.check: str = reason.check if check is None else check
        self.expected = None if expected is None else readable(expected)
        self.got = None if got is None else readable(got)
        self.hint = hint
        self.steps: tuple[Step, ...] = ()
        self.release: bytes | None = None
        self.header: VerifiedHeader | None = None
        super().__init__(what)

    def with_steps(self, passed: tuple[Step, ...]) -> None:
        """Note the checks that passed before this refusal, and this one as the last."""
        refused = Step(self.check, self.what, self.expected or "-", self.got or "-", ok=False)
        self.steps = (*passed, refused)

    def __str__(self) -> str:
        text = self.what
        if self.expected is not None or self.got is not None:
            text += f": expected {self.expected or '-'}, got {self.got or '-'}"
        return text


class NotTrusted(DeviceError):  # noqa: N818 - the design names the family so
    """They are wrong: what came does not prove what it must. Asking the same party again will not help."""

    exit_code = 1


class UsageError(DeviceError):
    """The operator's request or configuration cannot be carried out as it stands."""

    exit_code = 2


class SourceUnreachable(DeviceError):  # noqa: N818 - the design names the family so
    """We could not reach them: no answer, a refusal, too slow, or they do not hold it. Another source may."""

    exit_code = 3


class SlotFailure(DeviceError):  # noqa: N818 - the design names the family so
    """The device's own storage or boot loader did not do what it was asked."""

    exit_code = 4


def readable(value: object) -> str:
    """Return `value` as a person reads it: bytes as 0x hex, shortened past 32, the rest as `str` does."""
    if isinstance(value, bytes):
        return "0x" + value.hex() if len(value) <= 32 else f"0x{value[:32].hex()}... ({len(value)} bytes)"
    return str(value)
