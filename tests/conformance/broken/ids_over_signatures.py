"""Knows a release by its envelope: another signature makes another release, and revocations miss it."""

from device_verifier import trusted_ledger
from device_verifier.trusted_ledger import TrustedLedger
from ledger_protocol.errors import ProofError
from tests.conformance.broken.serving import serve


def revocation(self, storage_root, release):
    envelope = self._hints[0][4:] if self._hints else release
    try:
        return honest(self, storage_root, envelope)
    except ProofError:
        return None


honest, TrustedLedger._revocation = TrustedLedger._revocation, revocation
assert trusted_ledger.TrustedLedger is TrustedLedger

serve()
