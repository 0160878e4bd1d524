"""Proofs assembled from a real chain process, by every way that a node may offer, and from nodes that lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ledger_client.errors import NodeRefusedError
from ledger_client.network import Network
from ledger_client.proofs import block_receipt_proof, ledger_proof, raw_header, receipt_proof
from ledger_protocol.ledger.proof import EMPTY_CODE_HASH, verify_words
from ledger_protocol.ledger.qbft import verify_seals
from ledger_protocol.ledger.receipt_proof import verify_receipt
from ledger_protocol.release.trust_root import QbftTrust, Validator
from tests.support.chain import RunningChain, chain_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACCOUNT = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


@pytest.fixture(scope="module", params=["berlin", "london", "shanghai", "cancun", "prague"])
def chain(request: pytest.FixtureRequest) -> Iterator[RunningChain]:
    with chain_process("--fork", request.param) as running:
        for number in range(3):
            running.rpc(
                "eth_sendTransaction", {"from": ACCOUNT, "to": "0x" + f"{number + 1:040x}", "value": "0x1"}
            )
        yield running


@pytest.fixture
def network(chain: RunningChain) -> Network:
    return Network([chain.url], chain_id=chain.chain_id, timeout_s=20, receipt_timeout_s=20)


def bend(network: Network, method: str, change: Callable[[Any], Any]) -> None:
    """Let the node answer one method otherwise; `change` may raise NodeRefusedError to refuse it."""
    plain = network.rpc

    def bent(asked: str, *params: object) -> Any:
        answer = plain(asked, *params)
        return change(answer) if asked == method else answer

    network.rpc = bent  # type: ignore[method-assign]


def refuse(_: object) -> Any:
    raise NodeRefusedError("the node refused: no such method")


def trust(chain: RunningChain) -> QbftTrust:
    return QbftTrust(tuple(Validator(v.address, v.public_key) for v in chain.validators), 4)


def test_a_header_rebuilt_from_json_is_the_sealed_one(chain: RunningChain, network: Network) -> None:
    for number in range(network.block_number() + 1):
        network.rpc = Network.rpc.__get__(network)  # type: ignore[method-assign]
        raw = raw_header(network, number)
        bend(network, "debug_getRawHeader", refuse)
        assert raw_header(network, number) == raw
    assert verify_seals(raw, trust(chain)).number == number


def test_receipts_prove_with_and_without_the_call_for_a_whole_block(
    chain: RunningChain, network: Network
) -> None:
    number = network.block_number()
    proof = block_receipt_proof(network, number, 0)
    assert verify_receipt(proof, header=verify_seals(proof.header, trust(chain))).succeeded
    bend(network, "eth_getBlockReceipts", refuse)
    assert block_receipt_proof(network, number, 0) == proof


def test_receipts_that_are_not_the_blocks_are_refused(network: Network) -> None:
    bend(
        network,
        "eth_getBlockReceipts",
        lambda answer: [{**entry, "cumulativeGasUsed": "0x1"} for entry in answer],
    )
    with pytest.raises(NodeRefusedError, match="are not the block's: expected receipts root"):
        block_receipt_proof(network, network.block_number(), 0)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        [],
        [None],
        [{}],
        [{"logs": 1}],
        "0x",
        [{"transactionIndex": "0x0", "logs": [], "status": "y"}],
    ],
)
def test_receipts_of_a_wrong_form_are_refused(network: Network, answer: object) -> None:
    bend(network, "eth_getBlockReceipts", lambda _: answer)
    with pytest.raises(NodeRefusedError):
        block_receipt_proof(network, network.block_number(), 0)


@pytest.mark.parametrize(
    "answer", [None, {}, "0x", {"storageProof": 1}, {"storageProof": [], "accountProof": [1]}]
)
def test_a_state_proof_of_a_wrong_form_is_refused(network: Network, answer: object) -> None:
    bend(network, "eth_getProof", lambda _: answer)
    with pytest.raises(NodeRefusedError):
        ledger_proof(network, ledger=bytes.fromhex(ACCOUNT[2:]), keys=[bytes(32)])


@pytest.mark.parametrize("answer", [None, "0xzz", 7, "f9"])
def test_a_raw_header_of_a_wrong_form_is_made_up_for_by_the_json(network: Network, answer: object) -> None:
    good = raw_header(network, 1)
    bend(network, "debug_getRawHeader", lambda _: answer)
    assert raw_header(network, 1) == good


@pytest.mark.parametrize("answer", [None, [], {}, {"parentHash": 1}, {"parentHash": "0xzz"}])
def test_a_block_of_a_wrong_form_is_refused(network: Network, answer: object) -> None:
    bend(network, "debug_getRawHeader", refuse)
    # The second bend sees what the first lets through.
    bend(network, "eth_getBlockByNumber", lambda _: answer)
    with pytest.raises(NodeRefusedError):
        raw_header(network, 1)


def test_a_state_proof_holds_at_an_old_height_too(chain: RunningChain, network: Network) -> None:
    for number in (1, network.block_number()):
        proof = ledger_proof(network, ledger=bytes.fromhex(ACCOUNT[2:]), keys=[bytes(32)], block=number)
        assert proof.header is not None
        header = verify_seals(proof.header, trust(chain))
        words = verify_words(
            header.state_root,
            proof,
            account=bytes.fromhex(ACCOUNT[2:]),
            code_hash=EMPTY_CODE_HASH,
            keys=[bytes(32)],
        )
        assert (header.number, words) == (number, {bytes(32): 0})


def test_a_transaction_that_nobody_mined_has_no_proof(network: Network) -> None:
    with pytest.raises(NodeRefusedError, match="knows no mined transaction"):
        receipt_proof(network, b"\x01" * 32)
