"""Seals, state proofs and receipt proofs of a real chain process, under the oldest and the newest rules
that it plays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from ledger_protocol.errors import ProofError, QuorumError
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.proof import LedgerProof, account_storage_root, proof_from_rpc, verify_words
from ledger_protocol.ledger.receipt_proof import (
    Log,
    Receipt,
    ReceiptProof,
    build_receipt_proof,
    receipts_root,
    verify_receipt,
)
from ledger_protocol.release.trust_root import QbftTrust, Validator
from tests.support.chain import RunningChain, chain_process

if TYPE_CHECKING:
    from ledger_protocol.ledger.header import Header

TOPIC, WORD_1 = bytes(range(32)), b"\x01" + bytes(31)
# Stores 0x2a in slot 0 and 1 << 248 in slot 1, writes one log with TOPIC, and leaves one byte of code.
CREATION = b"".join(
    (
        bytes.fromhex("602a600055"),
        b"\x7f" + WORD_1 + bytes.fromhex("600155"),
        b"\x7f" + TOPIC + bytes.fromhex("60006000a1"),
        bytes.fromhex("60016000f3"),
    )
)
WORDS = {bytes(32): 0x2A, (1).to_bytes(32, "big"): 1 << 248, (2).to_bytes(32, "big"): 0}
ABSENT = b"\x99" * 20
TRANSACTIONS = 5


def unhex(text: object) -> bytes:
    return bytes.fromhex(str(text).removeprefix("0x"))


@dataclass
class Block:
    """A sealed block of several deployments, and all that a client asks its node about it."""

    chain: RunningChain
    trust: QbftTrust
    raw_header: bytes
    receipts: list[dict]
    encoded: list[bytes]

    def verified(self) -> Header:
        return qbft.verify_seals(self.raw_header, self.trust)


@pytest.fixture(scope="module", params=["berlin", "prague"])
def block(request):
    # Only evm_mine seals in this time, so that one block holds all; every block is sealed in a later round.
    with chain_process("--fork", request.param, "--block-time", "3600", "--round-jitter", "1") as chain:
        sender = chain.rpc("eth_accounts")[0]
        asked = {"from": sender, "data": "0x" + CREATION.hex(), "gas": hex(500_000), "gasPrice": hex(10**10)}
        hashes = [chain.rpc("eth_sendTransaction", asked) for _ in range(TRANSACTIONS)]
        chain.rpc("evm_mine")
        receipts = [chain.rpc("eth_getTransactionReceipt", tx) for tx in hashes]
        receipts.sort(key=lambda receipt: int(receipt["transactionIndex"], 16))
        pinned = tuple(Validator(address=v.address, public_key=v.public_key) for v in chain.validators)
        yield Block(
            chain=chain,
            trust=QbftTrust(validators=pinned, min_validators=4),
            raw_header=unhex(chain.rpc("debug_getRawHeader", receipts[0]["blockNumber"])),
            receipts=receipts,
            encoded=[from_json(receipt).encode() for receipt in receipts],
        )


def from_json(receipt: dict) -> Receipt:
    return Receipt(
        type=int(receipt["type"], 16),
        succeeded=receipt["status"] == "0x1",
        cumulative_gas_used=int(receipt["cumulativeGasUsed"], 16),
        bloom=unhex(receipt["logsBloom"]),
        logs=tuple(
            Log(unhex(log["address"]), tuple(map(unhex, log["topics"])), unhex(log["data"]))
            for log in receipt["logs"]
        ),
    )


def test_other_validators_did_not_seal_it(block):
    pinned = block.trust.validators
    with chain_process("--seed", "others") as other:
        others = tuple(Validator(address=v.address, public_key=v.public_key) for v in other.validators)
    assert not set(others) & set(pinned)
    with pytest.raises(QuorumError):
        qbft.verify_seals(block.raw_header, replace(block.trust, validators=others))
    with pytest.raises(QuorumError):
        qbft.verify_seals(block.raw_header, replace(block.trust, validators=(*others[:2], *pinned[:2])))


def test_the_header_is_sealed_in_a_later_round_and_has_the_blocks_hash(block):
    header = block.verified()
    told = block.chain.rpc("eth_getBlockByNumber", block.receipts[0]["blockNumber"], False)
    assert qbft.parse_extra(header.extra_data).round > 0
    assert qbft.block_hash(header) == unhex(told["hash"]) != qbft.seal_digest(header)
    assert len(told["transactions"]) == TRANSACTIONS


def test_words_of_a_contract_are_proved_present_and_absent(block):
    header = block.verified()
    for receipt in block.receipts:
        address = unhex(receipt["contractAddress"])
        answers = [
            block.chain.rpc(
                "eth_getProof", "0x" + who.hex(), ["0x" + key.hex() for key in WORDS], receipt["blockNumber"]
            )
            for who in (address, ABSENT)
        ]
        proof = LedgerProof.decode(proof_from_rpc(block.raw_header, *answers).encode())
        code_hash = unhex(answers[0]["codeHash"])
        keys = list(WORDS)
        found = verify_words(header.state_root, proof, account=address, code_hash=code_hash, keys=keys)
        assert found == WORDS
        assert account_storage_root(header.state_root, proof, account=ABSENT) is None


def test_every_receipt_is_proved_with_its_log(block):
    header = block.verified()
    assert receipts_root(block.encoded) == header.receipts_root
    for index, receipt in enumerate(block.receipts):
        nodes = build_receipt_proof(block.encoded, index)
        proof = ReceiptProof(header=block.raw_header, index=index, nodes=nodes)
        shown = verify_receipt(ReceiptProof.decode(proof.encode()), header=header)
        assert shown.succeeded
        assert shown.logs == (Log(unhex(receipt["contractAddress"]), (TOPIC,), b""),)


def test_a_receipt_that_was_made_up_is_not_proved(block):
    forged = list(block.encoded)
    forged[2] = replace(from_json(block.receipts[2]), succeeded=False).encode()
    proof = ReceiptProof(header=block.raw_header, index=2, nodes=build_receipt_proof(forged, 2))
    with pytest.raises(ProofError):
        verify_receipt(proof, header=block.verified())
