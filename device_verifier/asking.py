"""Ask several sources the same thing at once, so that a slow or silent one delays nobody but itself."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from time import monotonic
from typing import Final, Protocol, TypeVar

from device_verifier.errors import DeviceError, SourceUnreachable
from device_verifier.sources import Abandonable
from ledger_protocol.report.reasons import Reason

__all__ = ["GRACE_S", "ask_all"]

# Seconds that the others still get once one source has answered: enough for a far node, short for a person.
GRACE_S: Final = 10.0
# Sources are configured by hand; more than this at once is a mistake, and a thread each.
MAX_AT_ONCE: Final = 16


class Named(Protocol):
    """Whoever can be asked and told of."""

    @property
    def name(self) -> str:
        """How messages call it."""
        ...


S = TypeVar("S", bound=Named)
T = TypeVar("T")


def ask_all(
    sources: Sequence[S],
    ask: Callable[[S], T],
    *,
    grace_s: float = GRACE_S,
    enough: Callable[[Sequence[T]], bool] = bool,
) -> list[tuple[S, T | DeviceError]]:
    """Return what each source answered, or why it did not, in the order of `sources`.

    When the answers so far are `enough` (one is, by default), the others get `grace_s` more seconds; those
    still silent then are broken off. Errors that are not ours (a bug) are raised.
    """
    if not sources:
        return []
    executor = ThreadPoolExecutor(max_workers=min(len(sources), MAX_AT_ONCE), thread_name_prefix="ask")
    try:
        futures = [executor.submit(ask, source) for source in sources]
        _wait_for_enough(futures, grace_s, enough)
        in_time = [future.done() for future in futures]
    finally:
        for source in sources:
            if isinstance(source, Abandonable):
                source.abandon()
        executor.shutdown(wait=True, cancel_futures=True)
    # What a source had in hand when it was broken off counts: a long walk over trust roots takes several
    # checks.
    answers: list[tuple[S, T | DeviceError]] = []
    for source, future, done in zip(sources, futures, in_time, strict=True):
        outcome = _outcome(source, future, in_time=done)
        answers.append((source, outcome))
    return answers


def _wait_for_enough(
    futures: Sequence[Future[T]], grace_s: float, enough: Callable[[Sequence[T]], bool]
) -> None:
    """Wait until all have ended, or `grace_s` after those that answered well were enough."""
    pending, until = set(futures), None
    answers: list[T] = []
    while pending:
        left = None if until is None else max(0.0, until - monotonic())
        done, pending = wait(pending, left, FIRST_COMPLETED)
        if not done:
            return
        answers += [future.result() for future in done if future.exception() is None]
        if until is None and enough(answers):
            until = monotonic() + grace_s


def _outcome(source: Named, future: Future[T], *, in_time: bool) -> T | DeviceError:
    error = CancelledError() if future.cancelled() else future.exception()
    if error is None:
        return future.result()
    if not in_time and isinstance(error, DeviceError | CancelledError):
        return SourceUnreachable(
            f"{source.name} is slower than the others",
            reason=Reason.SOURCE_UNREACHABLE,
            expected="an answer soon after the others'",
            got="nothing yet",
            hint="the others were used; remove it if this happens always",
        )
    if isinstance(error, DeviceError):
        return error
    raise error
