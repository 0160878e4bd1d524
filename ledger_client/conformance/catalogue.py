"""Every case of the suite, by id, in the order of the areas."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ledger_client.conformance import cases
from ledger_client.conformance.case import Case
from ledger_client.conformance.scenario import registered

__all__ = ["AREAS", "CASES"]

AREAS: Final = tuple(cases.__all__)
CASES: Final[Mapping[str, Case]] = MappingProxyType(dict(registered()))
