"""One audit, from an RPC node or from an export: everything is proved before it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger_client.audit.collect import collect, collect_state
from ledger_client.audit.evidence import Evidence
from ledger_client.audit.export import anchor_line, read_lines, receipt_line, state_line
from ledger_client.audit.history import History
from ledger_client.audit.statements import Act
from ledger_client.errors import UsageError
from ledger_client.witness.notes import Notes
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger.header import parse_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ledger_client.audit.trust import TrustHistory
    from ledger_client.network import Network


def audit_live(
    network: Network,
    trust: TrustHistory,
    *,
    to_block: int | None = None,
    notes: Notes | None = None,
    known: Iterable[bytes] = (),
    progress: Callable[[int, int], None] | None = None,
    export: Callable[[str], None] | None = None,
    batches: Callable[[bytes], bytes | None] | None = None,
) -> History:
    """Collect and prove the whole history from a node, up to `to_block` (None = the newest block that the
    pinned header signers vouch for).

    `notes` is asked where witnesses are pinned; `known` are the lines of an earlier export, whose evidence is
    taken again (witnesses do not keep notes for ever). `batches` gives the block of an anchor by its SHA-256,
    None where nobody holds it; without it the events that anchors commit to are not looked at. `export` is
    given each line of an export as it is made; `progress` blocks done and in all. Raises UnreachableError;
    what does not hold becomes a finding.
    """
    asked = notes or Notes((), timeout_s=1)
    newest = _newest(network, trust, asked) if to_block is None else to_block
    before = _by_place(known, trust)
    history = History(trust)
    for era in trust.eras:
        last = newest if era.last is None else min(era.last, newest)
        pieces = collect(
            network,
            era.ledger,
            from_block=era.first,
            to_block=last,
            note_at=lambda block: asked.at(block, trust.root_for(block)),
            known=before,
            progress=progress,
        )
        for evidence in pieces:
            statements = history.add(evidence)
            if export is not None:
                export(receipt_line(evidence, statements))
            for one in statements:
                if batches is not None and isinstance(one, Act) and one.name == "Anchored":
                    _add_batch(history, one, batches, export)
        told = history.told(era)
        states = collect_state(
            network,
            era.ledger,
            number=last,
            ledger_keys=told.ledger_keys,
            device_keys=told.device_keys,
            note=asked.at(last, trust.root_for(last)),
        )
        for state in states:
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
        elif isinstance(piece, bytes):
            history.add_anchor(piece)
        else:
            history.add_state(piece)
    history.finish()
    return history


def _add_batch(
    history: History,
    act: Act,
    batches: Callable[[bytes], bytes | None],
    export: Callable[[str], None] | None,
) -> None:
    block = batches(act.fields["content"])
    if block is None:
        history.miss_anchor(act.fields["root"])
        return
    history.add_anchor(block)
    if export is not None:
        export(anchor_line(block))


def _newest(network: Network, trust: TrustHistory, notes: Notes) -> int:
    """The block to end at; the node's newest where notes are needed and not to be had: they will be gaps."""
    try:
        return notes.newest(network, trust.newest).number
    except (UsageError, ProtocolError):
        return network.block_number()


def _by_place(lines: Iterable[bytes], trust: TrustHistory) -> dict[tuple[int, int], Evidence]:
    """Earlier evidence by block and index, but for what lacks the note that it needs."""
    found = {}
    for piece in read_lines(lines):
        if not isinstance(piece, Evidence):
            continue
        number = parse_header(piece.proof.header).number
        if piece.proof.note is not None or not trust.needs_note(number):
            found[number, piece.proof.index] = piece
    return found
