"""How a command sends: once, whatever became of the run before it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from ledger_client.errors import NonceTakenError, NotMinedError, RevertedError
from ledger_client.following import follow, mined
from ledger_client.network import Call
from ledger_client.transactions import ether, prepare, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger_client.cli.app import App
    from ledger_client.network import Receipt
    from ledger_client.outbox import Sent


def send_once(app: App, call: Call, *, first: Callable[[], None] | None = None) -> Receipt:
    """Prepare, show, ask, send, wait; or go on with the transaction that an earlier run sent about the same.

    `first` is done after the yes and before the transaction is sent.
    """
    sent = app.outbox.find(app.network.chain_id, app.account.address, call.key)
    if sent is not None and (found := _go_on(app, call, sent)) is not None:
        return found
    prepared = prepare(app.network, call, app.account)
    app.agree(prepared)
    if first is not None:
        first()
        # It may have taken an hour: what the ledger refuses by now shall not be paid for.
        if app.network.estimate(call, sender=app.account.address) > prepared.gas_limit:
            prepared = prepare(app.network, call, app.account)
            app.agree(prepared)
    with _leaving(app, call):
        receipt = send(app.network, prepared, app.account, outbox=app.outbox, told=app.say)
    return _done(app, call.what, receipt)


def finished(app: App, subject: str) -> Receipt | None:
    """The receipt of what an earlier run sent about a subject, if it is mined by now: for acts that cannot
    be planned again because they are done.
    """
    sent = app.outbox.find(app.network.chain_id, app.account.address, subject)
    if sent is None:
        return None
    try:
        receipt = mined(app.network, sent, Call(None, b"", sent.what, subject))
    except RevertedError:
        return None
    if receipt is None:
        return None
    app.outbox.drop(sent)
    app.say(f"found    transaction 0x{receipt.transaction.hex()}, which an earlier run sent")
    return _done(app, sent.what, receipt)


def _go_on(app: App, call: Call, sent: Sent) -> Receipt | None:
    """What became of the transaction of an earlier run; None where it must be sent anew."""
    # Asked for first: a transaction that is mined between two questions must not look lost.
    known = any(app.network.knows(transaction) for transaction in sent.hashes)
    try:
        receipt = mined(app.network, sent, call)
    except RevertedError:
        app.outbox.drop(sent)
        return None
    name = f"transaction 0x{sent.hashes[0].hex()}"
    if receipt is not None:
        app.outbox.drop(sent)
        if not _stands(app, call, sent):
            return None
        app.say(f"found    transaction 0x{receipt.transaction.hex()}, which an earlier run sent")
        return _done(app, call.what, receipt)
    if not known and app.network.used_nonces(sent.account) <= sent.nonce and _refused(app, call):
        app.outbox.drop(sent)  # nothing that should be handed to a node again
        return None
    try:
        with _leaving(app, call):
            app.say(f"found    {name}, which an earlier run sent: waiting for it")
            receipt = follow(
                app.network, sent, call=call, account=app.account, outbox=app.outbox, told=app.say
            )
    except NonceTakenError:
        return None
    return _done(app, call.what, receipt)


def _stands(app: App, call: Call, sent: Sent) -> bool:
    """Whether the ledger shows a mined act as the newest: nothing was done on its channel since, or the act
    would be refused now. A channel that was halted, resumed, and is to be halted again is another matter.
    """
    if call.epoch is not None and sent.epoch is not None and call.epoch == sent.epoch + 1:
        return True
    return _refused(app, call)


def _refused(app: App, call: Call) -> bool:
    """Whether the ledger would refuse a call now."""
    try:
        app.network.estimate(call, sender=app.account.address)
    except RevertedError:
        return True
    return False


@contextlib.contextmanager
def _leaving(app: App, call: Call) -> Iterator[None]:
    """Whoever stops waiting learns which transaction is out, in JSON too where that was asked for."""
    try:
        yield
    except (KeyboardInterrupt, NotMinedError) as error:
        sent = app.outbox.find(app.network.chain_id, app.account.address, call.key)
        if sent is not None:
            name = f"0x{sent.hashes[0].hex()}"
            if app.as_json:
                app.emit(
                    "transaction-pending", {"act": call.what, "transaction": name, "nonce": sent.nonce}, ()
                )
            if isinstance(error, KeyboardInterrupt):
                click.echo(f"transaction {name} is out, and may still be mined", err=True)
                click.echo("the same command again goes on waiting for it, and sends no second", err=True)
        raise


def _done(app: App, what: str, receipt: Receipt) -> Receipt:
    app.record(what, receipt)
    app.say(f"done     in block {receipt.block_number}, {receipt.gas_used:,} gas, {ether(receipt.cost)} ETH")
    return receipt
