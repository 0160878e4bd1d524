"""The pair of contracts: put on a chain, and checked whenever a client starts.

The two name each other, so the journal's address is computed from the deployer's nonce before the ledger is
made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_client import journal as journal_module
from ledger_client import ledger as ledger_module
from ledger_client.config import checksum_address
from ledger_client.contract import artifact, creation
from ledger_client.errors import NodeRefusedError, RevertedError, UsageError, WrongLedgerError
from ledger_client.journal import Journal
from ledger_client.ledger import Ledger
from ledger_protocol import eip712
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger_client.network import Call, Network, Receipt

INTERFACE_VERSION = 1

# What a contract that lacks a function answers, by the node's kind.
_NOT_OURS = (RevertedError, NodeRefusedError, WrongLedgerError)

# The contracts take at most 16 members a role at deployment.
MAX_MEMBERS = 16


@dataclass(frozen=True, slots=True)
class Members:
    """The first members (20 bytes each) and how many must approve."""

    governors: tuple[bytes, ...]
    publishers: tuple[bytes, ...]
    guardians: tuple[bytes, ...]
    enrollers: tuple[bytes, ...]
    publish_threshold: int = 1
    govern_threshold: int = 1

    def __post_init__(self) -> None:
        for role in ("governors", "publishers", "guardians", "enrollers"):
            members = getattr(self, role)
            if not 1 <= len(members) <= MAX_MEMBERS or len(set(members)) != len(members):
                raise UsageError(role, expected=f"1 to {MAX_MEMBERS} distinct addresses", got=len(members))
        for role, threshold in (("publishers", self.publish_threshold), ("governors", self.govern_threshold)):
            if not 1 <= threshold <= len(getattr(self, role)):
                raise UsageError(
                    f"threshold of {role}", expected=f"1 to {len(getattr(self, role))}", got=threshold
                )


@dataclass(frozen=True, slots=True)
class Pair:
    """A deployed pair: addresses (20 bytes), the ledger's code hash, and the block that created it with its
    time.
    """

    chain_id: int
    ledger: bytes
    journal: bytes
    code_hash: bytes
    from_block: int
    from_time: int


def deploy_pair(
    network: Network, members: Members, *, deployer: bytes, send: Callable[[Call], Receipt]
) -> Pair:
    """Deploy both contracts. `send` signs a call as `deployer` (20 bytes), sends it and waits; it may ask
    first.

    Raises WrongLedgerError where the result is not the pair that was meant.
    """
    nonce = network.nonce(deployer)
    journal_address = created_address(deployer, nonce + 1)
    first = creation(
        network,
        artifact(ledger_module.ARTIFACT),
        journal_address,
        list(members.governors),
        list(members.publishers),
        list(members.guardians),
        list(members.enrollers),
        members.publish_threshold,
        members.govern_threshold,
        what="deploy FirmwareLedger",
    )
    receipt = _create(first, created_address(deployer, nonce), send)
    ledger_address = receipt.contract or b""
    second = creation(network, artifact(journal_module.ARTIFACT), ledger_address, what="deploy UpdateJournal")
    _create(second, journal_address, send)
    code_hash = check_new_pair(network, ledger=ledger_address, journal=journal_address)
    return Pair(
        chain_id=network.chain_id,
        ledger=ledger_address,
        journal=journal_address,
        code_hash=code_hash,
        from_block=receipt.block_number,
        from_time=network.block_time(receipt.block_number),
    )


def check_new_pair(network: Network, *, ledger: bytes, journal: bytes) -> bytes:
    """Check that two addresses hold this program's own contracts, byte for byte, and return the ledger's code
    hash: devices will believe that code for years, so a node's word for it is not enough.
    """
    for name, address, other in (
        (ledger_module.ARTIFACT, ledger, journal),
        (journal_module.ARTIFACT, journal, ledger),
    ):
        domain = eip712.domain_separator(network.chain_id, address)
        word = eip712.address_word(other)
        expected = artifact(name).code({"DOMAIN": domain, "journal": word, "ledger": word})
        found = network.code(address)
        if found != expected:
            raise WrongLedgerError(
                f"{checksum_address(address)} is not the {name} of this program",
                expected=f"code hash {keccak256(expected).hex()}",
                got=keccak256(found).hex() if found else "no code there",
                hint="deployed by another version, or the node shows another contract: ask another node",
            )
    return check_pair(network, ledger=ledger, journal=journal)


def check_pair(
    network: Network, *, ledger: bytes, journal: bytes | None, code_hash: bytes | None = None
) -> bytes:
    """Check that the contracts are a pair of ours, and return the ledger's code hash.

    `code_hash` is the trust root's, where one is at hand. What is checked here is what a node says: it
    catches mistakes, not lies.
    """
    where = checksum_address(ledger)
    code = network.code(ledger)
    if not code:
        raise WrongLedgerError(
            "this is not the ledger you configured",
            expected=f"a contract at {where}",
            got=f"none there on chain {network.chain_id}",
        )
    found = keccak256(code)
    if code_hash is not None and found != code_hash:
        raise WrongLedgerError(
            "this is not the ledger you configured",
            expected=f"code hash {code_hash.hex()} at {where}",
            got=found.hex(),
            hint="the trust root names another contract, or the node another chain",
        )
    _check_version(Ledger(network, ledger), where)
    try:
        named = Ledger(network, ledger).journal()
    except _NOT_OURS as error:  # a contract of ours, but the other one
        raise WrongLedgerError(
            "this is not the ledger you configured", expected=f"a FirmwareLedger at {where}", got=error
        ) from error
    if journal is not None and named != journal:
        raise WrongLedgerError(
            "this is not the pair you configured",
            expected=f"journal {checksum_address(journal)}",
            got=f"{checksum_address(named)}, named by the ledger at {where}",
        )
    if not network.code(named):
        raise WrongLedgerError(
            f"the ledger at {where} names a journal that is not deployed", got=checksum_address(named)
        )
    _check_version(Journal(network, named), checksum_address(named))
    try:
        other = Journal(network, named).ledger()
    except _NOT_OURS as error:
        raise WrongLedgerError(
            "this is not a pair", expected=f"an UpdateJournal at {checksum_address(named)}", got=error
        ) from error
    if other != ledger:
        raise WrongLedgerError(
            "this is not a pair", expected=f"a journal of {where}", got=f"one of {checksum_address(other)}"
        )
    return found


def created_address(deployer: bytes, nonce: int) -> bytes:
    """Where a contract that `deployer` creates with `nonce` will be (CREATE, yellow paper §7)."""
    return keccak256(rlp.encode([deployer, rlp.encode_scalar(nonce)]))[12:]


def _create(call: Call, expected: bytes, send: Callable[[Call], Receipt]) -> Receipt:
    receipt = send(call)
    if receipt.contract != expected:
        raise WrongLedgerError(
            f"{call.what} landed elsewhere",
            expected=checksum_address(expected),
            got=checksum_address(receipt.contract or bytes(20)),
            hint="another transaction of this account came between; deploy again",
        )
    return receipt


def _check_version(contract: Ledger | Journal, where: str) -> None:
    try:
        version = contract.interface_version()
    except _NOT_OURS as error:
        raise WrongLedgerError("this is not a contract of fwledger", got=f"{where} ({error})") from error
    if version != INTERFACE_VERSION:
        raise WrongLedgerError(
            f"{where}: interface version",
            expected=INTERFACE_VERSION,
            got=version,
            hint="use a client that speaks it",
        )
