"""A staging chain: sealed by the very same validators, with the same contracts at the same addresses."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ledger_client.config import AccountConfig, ChainConfig
from ledger_client.deploy import Members, deploy_pair
from ledger_client.network import connect
from ledger_client.signers import open_account
from ledger_client.transactions import prepare, send

if TYPE_CHECKING:
    from examples.demo.attacking.lab import Lab
    from ledger_client.network import Call, Receipt

CHAIN_ID = 1_337
# So far above the real chain that its height is never what the device refuses.
EXTRA_BLOCKS = 256


def start_staging(lab: Lab) -> str:
    """Start it and deploy there, by the account and the nonce of the real one; its RPC URL."""
    world = lab.world
    state = world.folder / "chain-staging"
    state.mkdir()
    shutil.copy(world.folder / "chain-1" / "validators.json", state)
    node = world.stage.serve(
        "staging", "fwledger-chain", "up", "--port", "0", "--state", str(state), "--chain-id", str(CHAIN_ID)
    )
    url: str = node.ready["url"]
    network = connect(ChainConfig(rpc=(url,)))
    account = open_account(AccountConfig(dev_account=0), chain_id=CHAIN_ID)

    def pay(call: Call) -> Receipt:
        return send(network, prepare(network, call, account), account)

    only = (account.address,)
    deploy_pair(
        network,
        Members(governors=only, publishers=only, guardians=only, enrollers=only),
        deployer=account.address,
        send=pay,
    )
    network.rpc("hardhat_mine", hex(EXTRA_BLOCKS))
    network.close()
    return url
