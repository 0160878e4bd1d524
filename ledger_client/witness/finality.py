"""Which blocks a witness holds for final, by the rule that the trust root pins, and what it says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger_client.errors import NodeRefusedError, NotTrustedError
from ledger_client.proofs import raw_header
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.witness_note import Checkpoint, noted_hash

if TYPE_CHECKING:
    from ledger_client.network import Network
    from ledger_protocol.release.trust_root import HeaderTrust

SEALS, FINALIZED, DEPTH = "seals", "finalized", "depth:"


def newest_final(network: Network, rule: str) -> int | None:
    """The height of the newest block that is final by `rule` (`seals`, `finalized`, `depth:N`), by what the
    node says; None where no block is final yet.

    Under `seals` every block counts whose seals hold, which `checkpoint` checks. Raises NodeRefusedError
    where the node knows no finalized block.
    """
    if rule == SEALS:
        return network.block_number()
    if rule.startswith(DEPTH):
        height = network.block_number() - int(rule.removeprefix(DEPTH))
        return height if height >= 0 else None
    if rule != FINALIZED:
        raise ValueError(f"no rule of finality: {rule}")
    block = network.rpc("eth_getBlockByNumber", FINALIZED, False)
    try:
        return int(block["number"], 16)
    except (TypeError, KeyError, ValueError):
        raise NodeRefusedError(
            "the node names no finalized block", hint="chains without finality need the rule depth:N"
        ) from None


def checkpoint(network: Network, number: int, *, origin: str, trust: HeaderTrust) -> tuple[Checkpoint, bytes]:
    """What there is to sign of a block, and its parent's hash.

    Where the trust root pins validators their seals are checked. Raises NotTrustedError where they do not
    hold, or where the header is not the one whose number and hash the node names.
    """
    raw = raw_header(network, number)
    try:
        header = parse_header(raw) if trust.qbft is None else qbft.verify_seals(raw, trust.qbft)
    except ProtocolError as error:
        raise NotTrustedError(f"block {number} is not signed: {error}", hint=error.hint) from error
    named = network.rpc("eth_getBlockByNumber", hex(number), False)
    told = named.get("hash") if isinstance(named, dict) else None
    block_hash = noted_hash(header)
    if header.number != number or told != "0x" + block_hash.hex():
        raise NotTrustedError(
            f"block {number} of the node",
            expected=f"a header of hash {told}",
            got=f"block {header.number} of hash 0x{block_hash.hex()}",
            hint="the node contradicts itself; a reorganisation may be under way",
        )
    made = Checkpoint(
        origin=origin,
        number=number,
        hash=block_hash,
        state_root=header.state_root,
        time=header.timestamp,
    )
    return made, header.parent_hash
