"""The history as NDJSON that proves itself: each line carries its evidence, and needs only the trust root to
check.

Lines, by `schema`: `fwledger/audit-receipt/1` (a proven receipt with its statements),
`fwledger/audit-anchor/1` (the batch of an anchor in a line before it), `fwledger/audit-state/1` (the words at
the end). Statements are there for people and other programs; a reader proves the evidence anew and
never
believes them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

from ledger_client.audit.collect import StateEvidence
from ledger_client.audit.evidence import Evidence
from ledger_client.audit.statements import Act, DeviceEvent
from ledger_client.json_text import parse_json
from ledger_protocol.errors import LimitError, MalformedError, ProtocolError
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.ledger.receipt_proof import ReceiptProof
from ledger_protocol.limits import MAX_PROOF_BYTES, MAX_RECEIPT_PROOF_BYTES, MAX_U64

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ledger_client.audit.statements import Statement

RECEIPT_SCHEMA = "fwledger/audit-receipt/1"
ANCHOR_SCHEMA = "fwledger/audit-anchor/1"
STATE_SCHEMA = "fwledger/audit-state/1"
# A line holds a proof and a transaction's input in hex, and the statements; inputs of batches are about 100
# kB (bytes).
MAX_LINE_BYTES = 2 * (MAX_PROOF_BYTES + MAX_RECEIPT_PROOF_BYTES) + (4 << 20)


def receipt_line(evidence: Evidence, told: Iterable[Statement]) -> str:
    """Give the line of one receipt, without the line's end."""
    return _line(
        {
            "schema": RECEIPT_SCHEMA,
            "statements": [statement_json(statement) for statement in told],
            "proof": evidence.proof.encode().hex(),
            "calldata": evidence.calldata.hex(),
        }
    )


def anchor_line(batch: bytes) -> str:
    """Give the line of an anchor's batch, its block as it is."""
    return _line({"schema": ANCHOR_SCHEMA, "batch": batch.hex()})


def state_line(state: StateEvidence) -> str:
    """Give the line of a proof of words at the end."""
    return _line({"schema": STATE_SCHEMA, "block": state.number, "proof": state.proof.encode().hex()})


def read_lines(lines: Iterable[bytes]) -> Iterator[Evidence | StateEvidence | bytes]:
    """Give the evidence of an export: receipts, batches of anchors (as bytes), then states. Empty lines are
    passed over.

    Each of `lines` may be cut after MAX_LINE_BYTES + 1 bytes (`bounded_lines`). Raises MalformedError or
    LimitError, naming the line.
    """
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE_BYTES:
            raise LimitError(
                f"line {number}: too long", expected=f"at most {MAX_LINE_BYTES} bytes", got="more"
            )
        if not line.strip():
            continue
        try:
            piece = _evidence(parse_json(line))
        except LimitError as error:
            raise LimitError(f"line {number}: {error}") from error
        except ProtocolError as error:
            raise MalformedError(f"line {number}: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MalformedError(
                f"line {number}: not a line of an export",
                expected=f"{RECEIPT_SCHEMA} or {STATE_SCHEMA}",
                got=error,
                hint="is the file whole? `fwledger audit export` makes a new one",
            ) from error
        yield piece


def bounded_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Give a file's lines, none longer than MAX_LINE_BYTES + 1 bytes, whatever the file holds."""
    return iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b"")


def statement_json(statement: Statement) -> dict[str, Any]:
    """Give a statement as JSON values: hashes and addresses as 0x hex, times in Unix s, labelled."""
    place = {
        "block": statement.place.block,
        "transaction": statement.place.index,
        "log": statement.place.log,
        "ledger_time": statement.place.time,
    }
    if isinstance(statement, Act):
        return {"statement": statement.name, **place, **{k: _json(v) for k, v in statement.fields.items()}}
    return {"statement": "DeviceEvent", **place, **_event_json(statement)}


def _event_json(event: DeviceEvent) -> dict[str, Any]:
    return {
        "device": _json(event.device),
        "release": _json(event.release),
        "sequence": event.sequence,
        "kind": event.kind.name.lower(),
        "device_time": event.device_time,
        "detail": _json(event.detail),
        "group": event.group,
        "voted": event.voted,
    }


def _evidence(document: dict[str, Any]) -> Evidence | StateEvidence | bytes:
    if document["schema"] == RECEIPT_SCHEMA:
        proof = ReceiptProof.decode(bytes.fromhex(document["proof"]))
        return Evidence(proof, bytes.fromhex(document["calldata"]))
    if document["schema"] == ANCHOR_SCHEMA:
        return bytes.fromhex(document["batch"])
    if document["schema"] == STATE_SCHEMA:
        number = document["block"]
        if type(number) is not int or not 0 <= number <= MAX_U64:
            raise ValueError(f"block {str(number)[:40]}")
        return StateEvidence(number, LedgerProof.decode(bytes.fromhex(document["proof"])))
    raise ValueError(str(document["schema"])[:80])


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple | list):
        return [_json(item) for item in value]
    return hex(value) if isinstance(value, int) and value > 1 << 53 else value


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), sort_keys=True)
