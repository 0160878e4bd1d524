"""Waiting for a transaction that is out: looked for under all its versions, handed to the nodes again when
they forgot it, and offered more when it is stuck.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ledger_client.errors import (
    NodeRefusedError,
    NonceTakenError,
    NotMinedError,
    RevertedError,
    UnreachableError,
)
from ledger_client.network import Fees

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger_client.network import Call, Network, Receipt
    from ledger_client.outbox import Outbox, Sent
    from ledger_client.signers import Account

# A receipt is asked for often at first (a dev chain mines at once), then each second (block times are
# seconds).
_FIRST_POLL_S = 0.02
_LAST_POLL_S = 1.0
# How often the nodes are asked whether they still hold it (seconds): a restarted node has an empty pool.
_CARE_S = 5.0
# So many looks in a row must find a transaction lost before it is believed: behind one name stand many nodes,
# and one that counts a mined transaction may be asked before one that has not seen it.
_LOST_LOOKS = 3
# Nodes replace a waiting transaction for 10 % more (geth, anvil, Besu) or 12.5 % (Nethermind's old rule).
_RAISE_PERCENT = 15


def follow(
    network: Network,
    sent: Sent,
    *,
    call: Call,
    account: Account,
    outbox: Outbox | None,
    told: Callable[[str], None] | None = None,
    now_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Receipt:
    """Wait until a transaction is mined, in whichever version.

    A node that cannot be reached meanwhile, or that does not know yet (geth while it indexes), is asked
    again: the transaction is out, and whoever sent it must learn its hash. Raises the contract's refusal,
    NonceTakenError where another took its place, NotMinedError in the end.
    """
    say = told or (lambda _: None)
    begun_s = cared_s = raised_s = now_s()
    pause_s = _FIRST_POLL_S
    lost = 0
    while True:
        trouble = ""
        try:
            found = mined(network, sent, call)
            if found is not None:
                if outbox is not None:
                    outbox.drop(sent)
                return found
            if now_s() - cared_s >= min(_CARE_S, network.raise_fee_after_s):
                cared_s = now_s()
                used = network.used_nonces(sent.account)
                known = any(network.knows(transaction) for transaction in sent.hashes)
                lost = lost + 1 if used > sent.nonce and not known else 0
                if lost >= _LOST_LOOKS and mined(network, sent, call) is None:
                    raise _taken(sent, outbox)
                if not known and not lost:
                    say("the nodes forgot it: handing it to them again")
                    with contextlib.suppress(NodeRefusedError):
                        network.send_raw(sent.signed[-1])
                # Behind an older one of the same account, more money would buy nothing.
                if used == sent.nonce and now_s() - raised_s >= network.raise_fee_after_s:
                    raised_s = now_s()
                    sent = _raised(network, sent, account, outbox, say)
        except RevertedError:
            if outbox is not None:
                outbox.drop(sent)
            raise
        except NotMinedError:
            raise
        except UnreachableError as error:
            trouble = f" ({error})"
        if now_s() - begun_s > network.receipt_timeout_s:
            transaction = sent.hashes[0]
            raise NotMinedError(
                f"no receipt for transaction 0x{transaction.hex()} after"
                f" {network.receipt_timeout_s:g} s{trouble}",
                transaction=transaction,
                hint="it may still be mined; the same command again goes on waiting, and sends no second",
            )
        sleep(pause_s)
        pause_s = min(pause_s * 1.6, _LAST_POLL_S)


def mined(network: Network, sent: Sent, call: Call) -> Receipt | None:
    """The receipt of whichever version is mined, None where none is. Raises the contract's refusal."""
    for transaction in sent.hashes:
        found = network.receipt(transaction, call=call, sender=sent.account)
        if found is not None:
            return found
    return None


def _taken(sent: Sent, outbox: Outbox | None) -> NonceTakenError:
    if outbox is not None:
        outbox.drop(sent)
    return NonceTakenError(
        f"another transaction of the account was mined under nonce {sent.nonce}",
        transaction=sent.hashes[0],
        hint="the same command again sends it under the next nonce",
    )


def _raised(
    network: Network, sent: Sent, account: Account, outbox: Outbox | None, say: Callable[[str], None]
) -> Sent:
    """The same with a higher fee, handed to the nodes; as it was where it pays all that it may."""
    now = network.fees()
    least = _more(sent.max_fee)
    max_fee = min(max(least, now.max_fee), sent.fee_limit)
    if not sent.max_fee or max_fee < least:
        return sent  # gas is free here, or this is the limit that was agreed to
    tip = None if sent.tip is None else min(max(_more(sent.tip), now.tip or 0), max_fee)
    if max_fee * int(sent.fields["gas"]) > network.balance(sent.account):
        return sent
    raw = account.sign_transaction(sent.fields | Fees(max_fee, tip).fields())
    dearer = replace(sent, max_fee=max_fee, tip=tip, signed=(*sent.signed, raw))
    if outbox is not None:
        outbox.put(dearer)  # before it is out: a run that dies here must know of it
    # Whose answer is lost may have been taken: from here on it is looked for, whatever the node says.
    with contextlib.suppress(UnreachableError):
        network.send_raw(raw)
        say(
            f"still waiting: the fee is raised to {max_fee} wei a gas, transaction 0x{dearer.hashes[0].hex()}"
        )
    return dearer


def _more(wei: int) -> int:
    return wei + -(-wei * _RAISE_PERCENT // 100)
