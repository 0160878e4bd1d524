"""Remembers no height: any authentic header will do."""

from device_verifier import headers, trusted_ledger
from device_verifier.store import Change
from tests.conformance.broken.serving import serve


def refuse_old(header, root, *, floor, **options):
    headers.refuse_old(header, root, floor=None, **options)


def raise_floor(self, floor):
    self._db.execute("DELETE FROM floor")
    honest(self, floor)


trusted_ledger.refuse_old = refuse_old
honest, Change.raise_floor = Change.raise_floor, raise_floor

serve()
