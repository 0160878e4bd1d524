"""One audit, from an RPC node or from an export: everything is proved before it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger_client.audit.collect import StateEvidence, collect, collect_state
from ledger_client.audit.evidence import Evidence
from ledger_client.audit.export import read_lines, receipt_line, state_line
from ledger_client.audit.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
    ledger = trust.newest.ledger
    newest = network.block_number() if to_block is None else to_block
    history = History(trust)
    for evidence in collect(network, trust.roots[0].ledger, to_block=newest, progress=progress):
        told = history.add(evidence)
        if export is not None:
            export(receipt_line(evidence, told))
    for device in (None, *history.devices):
        state = collect_state(
            network,
            ledger,
            number=newest,
            channels=history.channels if device is None else (),
            groups=history.groups if device is None else (),
            releases=history.revoked if device is None else (),
            device=device,
        )
        history.close(state, device=device)
        if export is not None:
            export(state_line(state, device=device))
    return history


def audit_export(lines: Iterable[str], trust: TrustHistory) -> History:
    """Prove an export again, offline. Raises MalformedError for what is no export."""
    history = History(trust)
    for piece in _pieces(lines):
        if isinstance(piece, Evidence):
            history.add(piece)
        else:
            history.close(piece[0], device=piece[1])
    return history


def _pieces(lines: Iterable[str]) -> Iterator[Evidence | tuple[StateEvidence, bytes | None]]:
    return read_lines(line for line in lines if line.strip())
