"""`python -m ledger_client.content.node`: the node alone, without the rest of the command line."""

from __future__ import annotations

import sys

from ledger_client.cli.ipfs import up
from ledger_client.errors import ClientError


def main() -> None:
    """Run `fwledger ipfs up`."""
    try:
        up(prog_name="python -m ledger_client.content.node")
    except ClientError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
