"""Our blocks against py-evm's own chain, which executes, pays and merkelizes the same transactions by its own code."""

from __future__ import annotations

import random

import pytest
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.vm.forks.paris import ParisVM
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.shanghai import ShanghaiVM

from local_chain.transactions import contract_address
from tests.chain.test_chain_proofs import encoded, octets

VMS = {"paris": ParisVM, "shanghai": ShanghaiVM, "prague": PragueVM}
BLOCKS = 6
# PUSH20 0x99..99, SELFDESTRUCT: a creation that destroys itself, and a contract that destroys itself when called.
SUICIDE = bytes.fromhex("73" + "99" * 20 + "ff")
SUICIDAL = bytes.fromhex("6016600c60003960166000f3") + SUICIDE


class Peer:
    """py-evm's chain with the same genesis, fed with the same blocks."""

    def __init__(self, node, fork: str) -> None:
        genesis = node.chain.genesis
        configured = MiningChain.configure(vm_configuration=((0, VMS[fork]),), chain_id=genesis.chain_id)
        state = {
            at: {"balance": balance, "nonce": 0, "code": b"", "storage": {}}
            for at, balance in genesis.balances.items()
        }
        params = {"difficulty": 0, "gas_limit": genesis.gas_limit, "timestamp": genesis.timestamp}
        self.chain = configured.from_genesis(AtomicDB(), params, state)

    def extend(self, header, raws: list[bytes]):
        """Execute a block with our header's circumstances; gives py-evm's header and receipts."""
        parent = self.chain.get_canonical_head()
        draft = self.chain.create_header_from_parent(
            parent, timestamp=header.timestamp, coinbase=header.coinbase, gas_limit=header.gas_limit
        ).copy(mix_hash=header.mix_hash)
        vm = self.chain.get_vm(draft)
        transactions = [vm.get_transaction_builder().decode(raw) for raw in raws]
        filled_header, receipts, _ = vm.apply_all_transactions(transactions, draft)
        filled = vm.set_block_transactions_and_withdrawals(
            vm.get_block(), filled_header, transactions, receipts
        )
        block = vm.mine_block(filled).block
        self.chain.chaindb.persist_block(block)
        return block.header, receipts


def some_transactions(node, box: dict, draw: random.Random, contracts: list[bytes]) -> list[bytes]:
    """A block's worth of transfers, creations, calls that store, clear, revert, run out of gas, and self-destructs."""
    nonces = {
        index: node.chain.account(account.address).nonce
        for index, account in enumerate(node.node.accounts.values())
    }
    raws = []
    for _ in range(draw.randint(1, 12)):
        account = draw.randrange(10)
        nonce = nonces[account]
        nonces[account] += 1
        sender = list(node.node.accounts)[account]
        box_at = draw.choice(contracts)
        kind = draw.choice([0, 1, 2])
        fields = draw.choice(
            [
                {"to": bytes([draw.randrange(256)]) * 20, "value": draw.randrange(10**18)},
                {"to": b"\x00" * 19 + bytes([draw.randrange(1, 10)]), "value": 0, "data": draw.randbytes(draw.randrange(200))},
                {"to": box_at, "value": draw.randrange(3), "data": encoded("store(uint256,uint256)", draw.randrange(9), draw.randrange(9, 30))},
                {"to": box_at, "value": 0, "gas": 2_000_000, "data": encoded("spend(uint256)", draw.randrange(30))},
                {"to": box_at, "value": 0, "gas": 2_000_000, "data": encoded("forget(uint256)", draw.randrange(30))},
                {"to": box_at, "value": 0, "gas": 60_000, "data": encoded("spend(uint256)", 30)},
                {"to": box_at, "value": 0, "data": encoded("fail_silently()")},
                {"to": None, "value": 5, "gas": 200_000, "data": SUICIDE},
                {"to": None, "value": 5, "gas": 200_000, "data": SUICIDAL},
                {"to": None, "value": 0, "gas": 1_500_000, "data": octets(box["bytecode"])},
            ]
        )  # fmt: skip
        if fields["to"] is None:
            contracts.append(contract_address(sender, nonce))
        if kind:
            fields["access_list"] = ((box_at, (0, draw.randrange(5))),)
            fields["gas"] = fields.get("gas", 100_000) + 10_000
        raws.append(node.signed(account=account, nonce=nonce, kind=kind, **fields))
    return raws


@pytest.mark.parametrize("fork", sorted(VMS))
@pytest.mark.parametrize("seed", range(4))
def test_blocks_have_the_state_receipts_and_gas_that_py_evms_own_chain_gives(
    make_node, box, fork: str, seed: int
) -> None:
    node, draw = make_node(fork=fork), random.Random(seed)
    peer = Peer(node, fork)
    assert peer.chain.get_canonical_head().state_root == node.chain.head.header.state_root
    contracts = [contract_address(next(iter(node.node.accounts)), 0)]
    blocks = [[node.signed(to=None, value=0, gas=1_500_000, data=octets(box["bytecode"]))]]
    failures = 0
    for number in range(BLOCKS):
        raws = blocks[0] if number == 0 else some_transactions(node, box, draw, contracts)
        for raw in raws:
            node.chain.submit(raw)
        block = node.chain.mine(allow_empty=False)
        theirs, receipts = peer.extend(block.header, list(block.transactions))
        ours = block.header
        mined = node.chain.store.transactions(block.number)
        assert len(mined) == len(raws)
        assert [item.receipt for item in mined] == [receipt.encode() for receipt in receipts]
        assert (ours.state_root, ours.receipts_root, ours.transactions_root) == (
            theirs.state_root, theirs.receipt_root, theirs.transaction_root,
        )  # fmt: skip
        assert (ours.gas_used, ours.base_fee, ours.logs_bloom) == (
            theirs.gas_used, theirs.base_fee_per_gas, theirs.bloom.to_bytes(256, "big"),
        )  # fmt: skip
        failures += sum(not item.succeeded for item in mined)
    assert failures, "the blocks must hold failing transactions too"
