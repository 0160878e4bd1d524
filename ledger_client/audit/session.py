"""One audit, from an RPC node or from an export: everything is proved before it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger_client.audit.collect import collect, collect_state
from ledger_client.audit.evidence import Evidence
from ledger_client.audit.export import read_lines, receipt_line, state_line
from ledger_client.audit.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ledger_client.audit.trust import TrustHistory
    from ledger_client.network import Network


def audit_live(
    network: Network,
    trust: TrustHistory,
    *,
    to_block: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    export: Callable[[str], None] | None = None,
) -> History:
    """Collect and prove the whole history from a node, up to `to_block` (None = its newest).

    `export` is given each line of an export as it is made; `progress` blocks done and in all. Raises
    UnreachableError; what does not hold becomes a finding.
    """
    newest = network.block_number() if to_block is None else to_block
    history = History(trust)
    for era in trust.eras:
        last = newest if era.last is None else min(era.last, newest)
        for evidence in collect(network, era.ledger, from_block=era.first, to_block=last, progress=progress):
            statements = history.add(evidence)
            if export is not None:
                export(receipt_line(evidence, statements))
        told = history.told(era)
        for state in collect_state(
            network, era.ledger, number=last, ledger_keys=told.ledger_keys, device_keys=told.device_keys
        ):
            history.add_state(state)
            if export is not None:
                export(state_line(state))
    history.finish()
    return history


def audit_export(lines: Iterable[bytes], trust: TrustHistory) -> History:
    """Prove an export again, offline. Raises MalformedError or LimitError for what is no export."""
    history = History(trust)
    for piece in read_lines(lines):
        if isinstance(piece, Evidence):
            history.add(piece)
        else:
            history.add_state(piece)
    history.finish()
    return history
