"""After the boot: may this slot stay? (V12)"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from device_verifier.commands import CommandResult, run_command
from ledger_protocol.report.reasons import Reason

__all__ = ["HealthCheck", "HealthReport", "HealthResult", "check_health"]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A command that returns 0 while the device works; `timeout_s` seconds are its limit."""

    name: str
    command: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class HealthResult:
    """What one check found; `detail` is empty or the end of its output."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All checks' results. `reason` is None if all passed, `health-failed`, or `connectivity-lost` if only
    that did.
    """

    results: tuple[HealthResult, ...]
    reason: Reason | None

    @property
    def healthy(self) -> bool:
        """Whether every check passed."""
        return self.reason is None

    @property
    def failed(self) -> tuple[HealthResult, ...]:
        """The checks that did not pass."""
        return tuple(result for result in self.results if not result.passed)


def check_health(
    checks: Sequence[HealthCheck],
    *,
    update_path: Callable[[], str],
    environment: Mapping[str, str],
    more: Iterable[HealthResult] = (),
) -> HealthReport:
    """Run all `checks`, then the built-in one: can this device still be updated?

    `update_path()` returns "" if it can, else why not; `more` are results that others collected (hooks).
    Local health decides first: a device that is both ill and cut off has failed, one that is only cut off
    is to be tried again.
    """
    results = list(more)
    for check in checks:
        result = run_command(check.command, timeout_s=check.timeout_s, environment=environment)
        results.append(HealthResult(check.name, result.passed, _detail(result)[-1000:]))
    ill = not all(result.passed for result in results)
    cut_off = update_path()
    results.append(HealthResult("update-path", not cut_off, cut_off))
    if ill:
        return HealthReport(tuple(results), Reason.HEALTH_FAILED)
    return HealthReport(tuple(results), Reason.CONNECTIVITY_LOST if cut_off else None)


def _detail(result: CommandResult) -> str:
    said = result.output.strip()
    if result.passed or result.exit_code is None:
        return said
    return f"exit code {result.exit_code}: {said}" if said else f"exit code {result.exit_code}"
