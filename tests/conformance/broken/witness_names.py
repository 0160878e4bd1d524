"""Counts witnesses by name, not by public key."""

from device_verifier import headers
from ledger_protocol.errors import QuorumError
from ledger_protocol.ledger import witness_note
from ledger_protocol.release import root_document
from ledger_protocol.release.witness_key import WitnessKey
from tests.conformance.broken.serving import serve


def verify_note(data, trust):
    note = witness_note.WitnessNote.decode(data)
    if note.checkpoint.origin != trust.origin:
        return honest(data, trust)
    keys = [WitnessKey.parse(vkey) for vkey in trust.keys]
    times = {}
    for key in keys:
        for point, time in witness_note.signer_times(note, [key]).items():
            times[key.name, point] = time
    if len(times) < trust.threshold:
        raise QuorumError("note")
    return witness_note.VerifiedNote(
        note.checkpoint, sorted(times.values(), reverse=True)[trust.threshold - 1]
    )


def distinct(values, *, where):
    if where != "public keys of witnesses":
        unique(values, where=where)


honest, headers.verify_note = headers.verify_note, verify_note
unique, root_document.distinct = root_document.distinct, distinct

serve()
