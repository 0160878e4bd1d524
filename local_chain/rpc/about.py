"""Methods that tell who this node is."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import TYPE_CHECKING

from ledger_protocol.keccak import keccak256
from local_chain.errors import ChainError
from local_chain.headers import next_base_fee
from local_chain.rpc.quantities import Json, data, hex_data, hex_quantity
from local_chain.rpc.registry import method

if TYPE_CHECKING:
    from local_chain.node import Node


@method("web3_clientVersion")
def client_version(node: Node) -> Json:
    """Name, version, rules, platform."""
    try:
        version = importlib.metadata.version("fwledger")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree that is not installed
        version = "0-source"
    return f"fwledger-chain/v{version}/{node.chain.genesis.fork.label}/{platform.system().lower()}"


@method("web3_sha3", data)
def sha3(_node: Node, octets: bytes) -> Json:
    """Keccak-256."""
    return hex_data(keccak256(octets))


@method("net_version")
def network_version(node: Node) -> Json:
    """The chain id in decimal."""
    return str(node.chain.genesis.chain_id)


@method("eth_chainId")
def chain_id(node: Node) -> Json:
    """The chain id."""
    return hex_quantity(node.chain.genesis.chain_id)


@method("net_listening")
def listening(_node: Node) -> Json:
    """It listens: it answered."""
    return True


@method("net_peerCount")
def peer_count(_node: Node) -> Json:
    """This node has no peers; a follower has one upstream, which is no peer."""
    return hex_quantity(0)


@method("eth_syncing")
def syncing(_node: Node) -> Json:
    """A node serves only what it has executed."""
    return False


@method("eth_mining")
def mining(node: Node) -> Json:
    """Whether this node seals."""
    return node.chain.sealer is not None


@method("anvil_nodeInfo", privileged=True)
def node_info(node: Node) -> Json:
    """Head, rules and fees in anvil's form: foundry's tools choose their EVM's rules by it."""
    head, genesis = node.chain.head, node.chain.genesis
    base_fee = next_base_fee(head.header) or 0
    return {
        "currentBlockNumber": hex_quantity(head.number),
        "currentBlockTimestamp": head.header.timestamp,
        "currentBlockHash": hex_data(head.hash),
        "hardFork": genesis.fork.label,
        "transactionOrder": "fifo",
        "environment": {
            "baseFee": hex_quantity(base_fee),
            "chainId": genesis.chain_id,
            "gasLimit": hex_quantity(genesis.gas_limit),
            "gasPrice": hex_quantity(base_fee),
        },
        "forkConfig": {"forkUrl": None, "forkBlockNumber": None, "forkRetryBackoff": None},
    }


@method("fwledger_genesis")
def genesis(node: Node) -> Json:
    """The document from which a follower makes the same first block."""
    return node.chain.genesis.to_json()


@method("fwledger_validators")
def validators(node: Node) -> Json:
    """Address and uncompressed public key of each validator, for a trust root to pin."""
    return [
        {"address": hex_data(item.address), "publicKey": hex_data(item.public_key)}
        for item in node.identities
    ]


@method("fwledger_promote", privileged=True)
def promote(node: Node) -> Json:
    """Make a follower that holds the validators' keys seal from now on."""
    if node.promote is None:
        raise ChainError("this node cannot be promoted: it seals already, or was started without --keys")
    node.promote()
    return True
