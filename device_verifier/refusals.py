"""How the pure checks speak: a passed step, and a protocol error turned into `NotTrusted` with its reason."""

from collections.abc import Generator
from contextlib import contextmanager

from device_verifier.errors import NotTrusted
from device_verifier.steps import Step
from ledger_protocol.errors import ProtocolError
from ledger_protocol.report.reasons import Reason

__all__ = ["as_not_trusted", "passed", "refused"]


def passed(check: str, what: str, expected: str, found: str) -> Step:
    """Return the step of a check that went well."""
    return Step(check=check, what=what, expected=expected, found=found, ok=True)


def refused(error: ProtocolError, reason: Reason, what: str, *, check: str | None = None) -> NotTrusted:
    """Return `NotTrusted` that says what the protocol refused; `check` where it is not the reason's own."""
    return NotTrusted(
        f"{what} is not right: {error.what}",
        reason=reason,
        check=check,
        expected=error.expected,
        got=error.got,
        hint=error.hint or "the source is broken or lying; ask another",
    )


@contextmanager
def as_not_trusted(reason: Reason, what: str, *, check: str | None = None) -> Generator[None]:
    """Turn what the protocol refuses inside into `NotTrusted` with this reason."""
    try:
        yield
    except ProtocolError as error:
        raise refused(error, reason, what, check=check) from error
