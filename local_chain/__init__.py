"""The embedded development chain: py-evm, sealed like a QBFT network, served over JSON-RPC."""
