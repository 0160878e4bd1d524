"""From an error or a decision to what a person can do about it."""

from device_verifier.errors import DeviceError
from device_verifier.policy import Decision

__all__ = ["diagnostics"]


def diagnostics(outcome: DeviceError | Decision) -> tuple[str, ...]:
    """Return advice in lines: what it means, what to do, then what else was noticed."""
    reason = outcome.reason
    lines = [reason.meaning]
    if isinstance(outcome, DeviceError):
        lines += [outcome.hint or reason.advice]
        lines += [f"also: {note}" for note in getattr(outcome, "__notes__", ())]
    else:
        lines += [reason.advice]
        shut = [step for step in outcome.steps if not step.ok]
        lines += [f"{step.check} {step.what}: expected {step.expected}, found {step.found}" for step in shut]
    return tuple(dict.fromkeys(lines))
