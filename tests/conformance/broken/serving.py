"""Serve our own device with a defect in it: each module beside this one patches the real code, then calls `serve`.

What is pure and costs most is remembered between cases here, so that thirteen clients fit into one test run.
"""

import sys
from functools import lru_cache

from device_verifier import conformance, memory, trusted_roots
from device_verifier import identity as device_identity
from ledger_protocol.release import trust_root
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot

_REMEMBERED = 512


def serve() -> None:
    """Answer the suite until it hangs up."""
    TrustRoot.decode = staticmethod(lru_cache(_REMEMBERED)(TrustRoot.decode))
    SignedTrustRoot.decode = staticmethod(lru_cache(_REMEMBERED)(SignedTrustRoot.decode))
    first = lru_cache(_REMEMBERED)(trust_root.verify_first)
    memory.verify_first = trusted_roots.verify_first = trust_root.verify_first = first
    device_identity.serialization = _Keys
    sys.exit(conformance.main(["serve"]))


class _Keys:
    load_pem_private_key = staticmethod(
        lru_cache(_REMEMBERED)(device_identity.serialization.load_pem_private_key)
    )
