"""Serve our own device with a defect in it: each module beside this one patches the real code, then calls `serve`.

What is pure and costs most is remembered here, and one source is asked without a thread of its own, so that fifteen
clients fit into one test run.
"""

import sys
from functools import lru_cache

from device_verifier import asking, conformance, inquiry, memory, trusted_roots
from device_verifier import identity as device_identity
from device_verifier.errors import DeviceError
from ledger_protocol.ledger import secp256k1
from ledger_protocol.release import signing, trust_root
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot

_remembered = lru_cache(4_096)


def serve() -> None:
    """Answer the suite until it hangs up."""
    TrustRoot.decode = staticmethod(_remembered(TrustRoot.decode))
    SignedTrustRoot.decode = staticmethod(_remembered(SignedTrustRoot.decode))
    first = _remembered(trust_root.verify_first)
    memory.verify_first = trusted_roots.verify_first = trust_root.verify_first = first
    secp256k1.PublicKey.has_signed = _remembered(secp256k1.PublicKey.has_signed)
    signing.PublicKey.verify = _remembered(signing.PublicKey.verify)
    device_identity.serialization = _Keys
    inquiry.ask_all = _ask_all
    sys.exit(conformance.main(["serve"]))


def _ask_all(sources, ask, **options):
    if len(sources) != 1:
        return asking.ask_all(sources, ask, **options)
    try:
        return [(sources[0], ask(sources[0]))]
    except DeviceError as error:
        return [(sources[0], error)]


class _Keys:
    load_pem_private_key = staticmethod(_remembered(device_identity.serialization.load_pem_private_key))
