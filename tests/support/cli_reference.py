"""docs/reference/cli.md and chain.md are what `fwledger ... --help` and `fwledger-chain ... --help` print. To
write them anew:

python -m tests.support.cli_reference
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger_client.cli.main import cli
from local_chain.cli import main as chain_cli

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
CHAIN_REFERENCE = REFERENCE.with_name("chain.md")
WIDTH = 100

HEAD = """\
# The `fwledger` command

What `--help` prints, for reading in one place; a test compares it with the command. Every command takes `--json`,
talks on standard error, and ends with 0 (done), 1 (not trusted or refused), 2 (usage) or 3 (chain or content
unreachable).
"""


CHAIN_HEAD = """\
# The `fwledger-chain` command

What `--help` prints; a test compares it with the command. It is a development chain: real EVM, real QBFT seals, one
process, known keys. `up` and `follow` print an address when they answer; Ctrl-C ends them.

`up` shows ten rich accounts, what seals and where the state is; then a line for each block, and one for each transaction or
request that failed, with its reason. `--silent` shows nothing. `--json-log` writes a JSON object a line instead: `ready` first
(what `--ready-file` holds), then `block`, `transaction` (`error` is null when it succeeded), `failure` (`method`, `code`,
`message`) and, where they came faster than they were read, `missed`. No block waits for whoever reads.

[rpc.md](rpc.md) lists the methods. Tests drive the chain with web3.py, viem, ethers and cast. Every block carries the seals of
its validators in long extra data, as on every QBFT network: plain web3.py raises `ExtraDataLengthError` there and wants its
`ExtraDataToPOAMiddleware`, which our own client sets. `--seal none` leaves the extra data empty, for tools that have no such
switch: nobody can verify such a chain, so no device accepts a release from it and no follower copies it.

In Python, with the extra `chain` (and `chain-web3` for the last two lines):

```python
from local_chain.library import LocalChain
from local_chain.opening import Settings

with LocalChain(Settings(sealed=False)) as chain:  # settings as the options of `up`; none: a sealed chain
    chain.rpc("eth_blockNumber")  # without a socket; chain.url and chain.ws_url are for others

    from web3 import Web3
    from local_chain.web3_provider import LocalChainProvider

    Web3(LocalChainProvider(chain)).eth.get_block("latest")
```

In a pytest the fixture `fwledger_chain` is such a chain, sealed and fresh for each test.
"""


def commands(
    group: click.Group, path: tuple[str, ...], parent: click.Context | None
) -> Iterator[tuple[str, str]]:
    """Every command's words and help text, depth first."""
    context = _context(group, path[-1], parent)
    yield " ".join(path), group.get_help(context)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name), context)
        else:
            yield " ".join((*path, name)), command.get_help(_context(command, name, context))


def reference() -> str:
    """The page of `fwledger`."""
    return _page(HEAD, cli, "fwledger")


def chain_reference() -> str:
    """The page of `fwledger-chain`."""
    return _page(CHAIN_HEAD, chain_cli, "fwledger-chain")


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    """As the command itself makes one, or the page would depend on whether it ran before: click keeps help options."""
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    return click.Context(command, info_name=name, parent=parent, **settings)


def _page(head: str, group: click.Group, name: str) -> str:
    parts = [head]
    for words, text in commands(group, (name,), None):
        body = "\n".join(line.rstrip() for line in text.splitlines())
        parts.append(f"## {words}\n\n```text\n{body}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    REFERENCE.parent.mkdir(parents=True, exist_ok=True)
    REFERENCE.write_text(reference(), encoding="utf-8")
    CHAIN_REFERENCE.write_text(chain_reference(), encoding="utf-8")
