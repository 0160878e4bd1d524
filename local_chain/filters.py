"""What clients wait for by polling: the filters of one node, bounded in number."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_chain.errors import ChainError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_chain.rpc.quantities import Json
    from local_chain.storage import LogQuery

MAX_FILTERS = 1_000  # then the oldest goes; geth forgets one that nobody polls for five minutes


@dataclass(slots=True)
class Filter:
    """One filter: ``next_number`` is the first height that its client was not told of.

    ``logs`` is the query of a log filter, and ``removed`` what it was told of and what is gone since, as the
    client will see it; ``told`` the transactions that the client of a pool filter knows.
    """

    next_number: int
    logs: LogQuery | None = None
    told: set[bytes] | None = None
    removed: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class FilterTable:
    """The filters by their number."""

    _filters: dict[int, Filter] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, item: Filter) -> int:
        """Keep a filter and give its number."""
        if len(self._filters) >= MAX_FILTERS:
            del self._filters[next(iter(self._filters))]
        number = next(self._numbers)
        self._filters[number] = item
        return number

    def get(self, number: int) -> Filter:
        """The filter with this number; ChainError when it was never made or was forgotten."""
        if number not in self._filters:
            raise ChainError("filter not found")
        return self._filters[number]

    def __iter__(self) -> Iterator[tuple[int, Filter]]:
        return iter(tuple(self._filters.items()))

    def remove(self, number: int) -> bool:
        """Forget a filter; whether there was one."""
        return self._filters.pop(number, None) is not None
