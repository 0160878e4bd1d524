"""The `fwledger` command: one module a noun. They parse and print; what they do is in `ledger_client`."""
