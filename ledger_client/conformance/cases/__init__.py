"""All cases, by what they are about. Importing this package registers them."""

from ledger_client.conformance.cases import headers

__all__ = ["headers"]
