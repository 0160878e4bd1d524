"""Two thirds, rounded down: two of four validators are enough."""

from ledger_protocol.ledger import qbft
from tests.conformance.broken.serving import serve

qbft.quorum = lambda validators: 2 * validators // 3

serve()
