"""Believes any contract at the ledger's address."""

from dataclasses import replace

from device_verifier import trusted_ledger
from device_verifier.trusted_ledger import TrustedLedger
from ledger_protocol.ledger.proof import prove_account
from tests.conformance.broken.serving import serve

pinned = {}


def prove(state_root, nodes, address):
    account = prove_account(state_root, nodes, address)
    return None if account is None else replace(account, code_hash=pinned["code"])


def prove_ledger(self):
    pinned["code"] = self.root.ledger.code_hash
    return honest(self)


trusted_ledger.prove_account = prove
honest, TrustedLedger._prove_account = TrustedLedger._prove_account, prove_ledger

serve()
