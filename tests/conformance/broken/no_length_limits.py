"""Reads whatever it is sent, however long."""

from device_verifier import inquiry
from device_verifier.sources import directory, rpc
from device_verifier.sources.http import HttpClient
from ledger_protocol import limits
from ledger_protocol.content import dag_cbor
from ledger_protocol.ledger import header, merkle_patricia, proof, qbft, witness_note
from ledger_protocol.release import signing, trust_root
from tests.conformance.broken.serving import serve

ENDLESS = 2**30

decode, get, post = dag_cbor.decode, HttpClient.get, HttpClient.post
dag_cbor.decode = lambda data, *, max_bytes: decode(data, max_bytes=ENDLESS)
HttpClient.get = lambda self, path, *, max_bytes, headers=None: get(
    self, path, max_bytes=ENDLESS, headers=headers
)
HttpClient.post = lambda self, path, body, *, max_bytes, content_type: post(
    self, path, body, max_bytes=ENDLESS, content_type=content_type
)
for module, names in (
    (directory, ("MAX_PROOF_BYTES", "MAX_TRUST_ROOT_BYTES")),
    (inquiry, ("MAX_ENVELOPE_BYTES", "MAX_MANIFEST_BYTES")),
    (merkle_patricia, ("MAX_NODES", "MAX_STATE_NODE_BYTES")),
    (proof, ("MAX_NODES", "MAX_STATE_NODE_BYTES", "MAX_ENVELOPES", "MAX_NOTE_BYTES", "MAX_HEADER_BYTES")),
    (qbft, ("MAX_LISTED", "MAX_SEALS")),
    (witness_note, ("MAX_NOTE_BYTES", "MAX_WITNESSES")),
    (signing, ("MAX_SIGNATURES",)),
    (header, ("MAX_HEADER_BYTES",)),
    (trust_root, ("MAX_TRUST_ROOT_BYTES",)),
    (rpc, ("MAX_ANSWER_BYTES",)),
    (limits, ("MAX_TRUST_ROOT_BYTES", "MAX_VALIDATORS")),
):
    for name in names:
        assert hasattr(module, name)
        setattr(module, name, ENDLESS)
merkle_patricia.NodeSet.__init__.__kwdefaults__.update(max_nodes=ENDLESS, max_node_bytes=ENDLESS)

serve()
