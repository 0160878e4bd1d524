"""Arms what it decided on before the download, whatever the ledger says by now (no V11)."""

from device_verifier import updater
from tests.conformance.broken.serving import serve

updater._decide_again = lambda *_args, **_options: None

serve()
