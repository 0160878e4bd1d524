"""Every case of the suite, by id, in the order of the areas."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ledger_client.conformance import cases  # noqa: F401 - importing it registers them
from ledger_client.conformance.case import Case
from ledger_client.conformance.scenario import registered

__all__ = ["CASES"]

CASES: Final[Mapping[str, Case]] = MappingProxyType(dict(registered()))
