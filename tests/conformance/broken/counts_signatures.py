"""Counts signatures, not the keys that made them."""

import itertools

from device_verifier import release
from ledger_protocol.errors import QuorumError, SignatureError
from ledger_protocol.release import envelope, signing, trust_root
from tests.conformance.broken.serving import serve


def decode_signatures(fields):
    found = []
    for item in fields.groups("signatures", max_count=signing.MAX_SIGNATURES):
        found.append(signing.Signature(item.octets("keyid", size=32), item.octets("sig", size=64)))
        item.end()
    if any(one.key_id > other.key_id for one, other in itertools.pairwise(found)):
        raise SignatureError("order of signatures")
    return tuple(found)


def verify_threshold(payload_type, payload, signatures, *, keys, threshold):
    by_id = {key.key_id: key for key in keys}
    valid = []
    for signature in signatures:
        try:
            by_id[signature.key_id].verify(payload_type, payload, signature.sig)
        except (KeyError, SignatureError):
            continue
        valid.append(signature.key_id)
    if len(valid) < threshold:
        raise QuorumError("signatures")
    return frozenset(valid)


envelope.decode_signatures = trust_root.decode_signatures = decode_signatures
release.verify_threshold = trust_root.verify_threshold = verify_threshold

serve()
