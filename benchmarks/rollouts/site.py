"""A chain with the pair of contracts on it, a trust root announced, and the fleet enrolled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from benchmarks.rollouts.on_model import CHANNEL, GROUP
from ledger_client.acting import carry_out
from ledger_client.config import checksum_address
from ledger_client.deploy import Members, Pair, deploy_pair
from ledger_client.journal import MAX_ENROLMENTS, Enrolment, Journal
from ledger_client.ledger import Ledger
from ledger_client.network import Call, Network, Receipt
from ledger_client.signers import Account, dev_account
from ledger_client.trust import announce_act, first_root, key_set
from ledger_protocol.release.signing import TRUST_ROOT_TYPE, PublicKey, sign
from ledger_protocol.release.trust_root import SignedTrustRoot

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.rollouts.plan import Fleet
    from ledger_client.acts import Act
    from local_chain.library import LocalChain

DEADLINE_S = 86_400
_GAS = 16_000_000  # what a batch of 512 needs twice over, under EIP-7825's bound
_MAX_FEE_WEI = 100 * 10**9
_TIMEOUT_S = 120.0


class Payer:
    """Sends what one account signs, with a fixed limit of gas: an estimate would run every batch twice."""

    def __init__(self, chain: LocalChain) -> None:
        self.chain = chain
        self.network = Network([chain.url], chain_id=None, timeout_s=_TIMEOUT_S, receipt_timeout_s=_TIMEOUT_S)
        self.account: Account = dev_account(0, chain_id=self.network.chain_id)
        self.gas = 0

    def send(self, call: Call) -> Receipt:
        """Send a call in a block of its own. The receipt's logs are the node's JSON."""
        nonce: Any = self.chain.rpc("eth_getTransactionCount", self.account.text, "latest")
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self.network.chain_id,
            "nonce": int(nonce, 16),
            "gas": _GAS,
            "maxFeePerGas": _MAX_FEE_WEI,
            "maxPriorityFeePerGas": 0,
            "value": 0,
            "data": "0x" + call.data.hex(),
        }
        if call.to is not None:
            fields["to"] = checksum_address(call.to)
        digest: Any = self.chain.rpc(
            "eth_sendRawTransaction", "0x" + self.account.sign_transaction(fields).hex()
        )
        found: Any = self.chain.rpc("eth_getTransactionReceipt", digest)
        if int(found["status"], 16) != 1:
            raise RuntimeError(f"{call.what} was refused on the chain")
        self.gas += int(found["gasUsed"], 16)
        return Receipt(
            transaction=bytes.fromhex(digest[2:]),
            block_number=int(found["blockNumber"], 16),
            gas_used=int(found["gasUsed"], 16),
            price=int(found["effectiveGasPrice"], 16),
            contract=bytes.fromhex(found["contractAddress"][2:]) if found["contractAddress"] else None,
            logs=tuple(found["logs"]),
        )

    def send_at(self, at_s: int, call: Call) -> Receipt:
        """Send a call in a block of this time."""
        self.chain.rpc("evm_setNextBlockTimestamp", hex(at_s))
        return self.send(call)


@dataclass
class Site:
    """What a scenario begins with. `keys` are those of the devices that have signed."""

    payer: Payer
    pair: Pair
    trust_root: bytes
    fleet: Fleet
    keys: dict[int, ec.EllipticCurvePrivateKey] = field(default_factory=dict)
    snapshot: str = ""

    def __post_init__(self) -> None:
        self.chain = self.payer.chain
        self.ledger = Ledger(self.payer.network, self.pair.ledger)
        self.journal = Journal(self.payer.network, self.pair.journal)

    def carry_out(self, act: Act) -> Call:
        """Approve an act as its only member."""
        return carry_out(self.ledger, act, [], account=self.payer.account)

    def key(self, device: int) -> ec.EllipticCurvePrivateKey:
        """A device's key, which takes two milliseconds to make."""
        if device not in self.keys:
            scalar = int.from_bytes(self.fleet.secrets[device], "big")
            self.keys[device] = ec.derive_private_key(scalar, ec.SECP256K1())
        return self.keys[device]

    def back(self) -> None:
        """Forget everything since the fleet was enrolled."""
        if self.snapshot:
            self.chain.rpc("evm_revert", self.snapshot)
        self.snapshot = str(self.chain.rpc("evm_snapshot"))


def found_site(chain: LocalChain, fleet: Fleet, *, tell: Callable[[str], None]) -> Site:
    """Deploy the pair, announce a trust root, enrol the fleet in a group that follows the channel."""
    payer = Payer(chain)
    who = (payer.account.address,)
    pair = deploy_pair(payer.network, Members(who, who, who, who), deployer=who[0], send=payer.send)
    site = Site(payer, pair, _trust_root(pair, chain, issued_at=payer.network.block_time()), fleet)
    deadline = payer.network.block_time() + DEADLINE_S
    payer.send(site.carry_out(announce_act(site.ledger, site.trust_root, deadline=deadline)))
    joins = site.ledger.new_act(
        "AssignGroup", group=GROUP, leaves=bytes(32), channel=CHANNEL, epoch=0, deadline=deadline
    )
    payer.send(site.carry_out(joins))
    for start in range(0, len(fleet.addresses), MAX_ENROLMENTS):
        some = fleet.addresses[start : start + MAX_ENROLMENTS]
        serials = [hashlib.sha256(b"serial of " + address).digest() for address in some]
        payer.send(site.journal.enrol([Enrolment(a, GROUP, c) for a, c in zip(some, serials, strict=True)]))
        if start % (20 * MAX_ENROLMENTS) == 0:
            tell(f"enrolled {start + len(some):,} of {len(fleet.addresses):,} devices")
    return site


def _trust_root(pair: Pair, chain: LocalChain, *, issued_at: int) -> bytes:
    """What the devices' factory images hold, signed."""
    root_key = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"root key").digest())
    keys = key_set([PublicKey.from_private(root_key)], 1, what="keys")
    root = first_root(
        pair,
        root_keys=keys,
        release_keys=keys,
        validators=chain.validators,
        min_validators=len(chain.validators),
        issued_at=issued_at,
        expires=None,
        max_checkpoint_age_s=None,
    )
    signed = SignedTrustRoot(root.encode())
    return signed.with_signature(sign(root_key, TRUST_ROOT_TYPE, signed.document)).encode()
