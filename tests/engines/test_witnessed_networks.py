"""Networks without seals that we check: anvil, and three geth nodes that fork and join again.

Nothing that is specific to their consensus is in the product: a witness counts blocks, and k of n agree.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from device_verifier.errors import NotTrusted
from device_verifier.trusted_ledger import TrustedLedger
from ledger_client.errors import ClientError, NotTrustedError
from ledger_client.witness.notes import Notes
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.ledger.witness_note import WitnessNote
from ledger_protocol.report.reasons import Reason
from tests.support.chain import wait_until
from tests.support.clique import clique_network
from tests.support.engines import anvil_process
from tests.support.witnessed import NAMES, World, witnessed
from tests.support.witnessed_story import Story

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.clique import CliqueNode
    from tests.support.engines import Http
    from tests.support.ipfs import IpfsNode

# Deeper than what three sealers can take back: one of them seals one block alone.
FINAL = "depth:2"
# A fork needs the right moment; each attempt takes about four blocks.
ATTEMPTS = 12


@pytest.fixture(scope="module")
def anvil() -> Iterator[Http]:
    with anvil_process() as rpc:
        yield rpc


@pytest.mark.engines("anvil")
def test_devices_believe_a_header_of_anvil_by_two_notes_of_three_and_not_by_one(
    tmp_path: Path, anvil: Http
) -> None:
    made = witnessed(tmp_path / "maker", anvil.url, "--final", FINAL, "--no-seals")
    anvil("anvil_mine", "0x5")
    world = World(anvil.url, made, states=tmp_path)
    for name in NAMES[:2]:
        world.witness(name, out=tmp_path / name).step()
    assert "expected at least 2 of 3, got 1" in made.refused(
        "witness", "collect", tmp_path / NAMES[0], "--out", "one.note", code=1
    )
    made.run("witness", "collect", tmp_path / NAMES[0], tmp_path / NAMES[1], "--out", "two.note")
    made.run("proof", "channel", "stable", "--note", "two.note", "--out", "stable.proof")
    proof = LedgerProof.decode((made.path / "stable.proof").read_bytes())
    final = int(anvil("eth_blockNumber"), 16) - 2
    root = (made.path / "trust-root.cbor").read_bytes()
    believed = TrustedLedger(trust_root=root, floor=None, now_s=None).update_header(proof.encode())
    block = anvil("eth_getBlockByNumber", hex(final), False)
    assert (believed.number, "0x" + believed.hash.hex()) == (final, block["hash"])
    lone = WitnessNote.decode((tmp_path / NAMES[0] / "newest.note").read_bytes()).encode()
    with pytest.raises(NotTrusted) as caught:
        TrustedLedger(trust_root=root, floor=None, now_s=None).update_header(
            replace(proof, note=lone).encode()
        )
    assert caught.value.reason is Reason.NOTE_QUORUM


@pytest.mark.engines("anvil")
def test_a_shallow_reorganisation_of_anvil_changes_no_note_and_a_deep_one_ends_them(
    tmp_path: Path, anvil: Http
) -> None:
    made = witnessed(tmp_path / "maker", anvil.url, "--final", FINAL, "--no-seals")
    anvil("anvil_mine", "0x5")
    world = World(anvil.url, made, states=tmp_path)
    one = world.witness()
    one.step()
    signed = one.store.newest()
    assert signed is not None
    head = int(anvil("eth_blockNumber"), 16)
    before = anvil("eth_getBlockByNumber", hex(head), False)["hash"]
    anvil("anvil_reorg", 2, [])
    assert anvil("eth_getBlockByNumber", hex(head), False)["hash"] != before
    anvil("anvil_mine", "0x3")
    assert one.step() == [signed.number + 1, signed.number + 2, signed.number + 3]
    newest = one.store.newest()
    assert newest is not None
    anvil("anvil_reorg", 4, [])  # below what is final by the rule: two signed blocks are gone
    anvil("anvil_mine", "0x3")
    with pytest.raises(NotTrustedError, match="was signed as final"):
        one.step()
    assert one.store.newest() == newest


@pytest.fixture(scope="module")
def network() -> Iterator[list[CliqueNode]]:
    with clique_network(3) as nodes:
        yield nodes


@pytest.mark.engines("geth")
def test_three_geth_nodes_as_a_chain_whose_blocks_witnesses_note(
    tmp_path: Path, network: list[CliqueNode], embedded_node: IpfsNode
) -> None:
    made = witnessed(
        tmp_path / "maker",
        network[0].url,
        *("--final", FINAL, "--no-seals"),
        ipfs=embedded_node.api,
        gateway=embedded_node.gateway,
    )

    def advance() -> None:
        before = min(node.height for node in network)
        wait_until(lambda: min(node.height for node in network) > before, "every node has another block")

    own = dict(zip(NAMES, (node.url for node in network), strict=True))
    Story(made, network[0].url, embedded_node, tmp_path, advance, nodes=own).play()


@pytest.mark.engines("geth")
def test_a_witness_signs_one_hash_a_height_while_its_node_forks_and_comes_back(
    tmp_path: Path, network: list[CliqueNode]
) -> None:
    alone, *others = network
    made = witnessed(tmp_path / "maker", network[1].url, "--final", FINAL, "--no-seals")
    own = dict(zip(NAMES, (node.url for node in network), strict=True))
    world = World(network[1].url, made, states=tmp_path, nodes=own)
    watchers = {name: world.witness(name, out=tmp_path / name) for name in NAMES}
    told: dict[str, dict[int, set[bytes]]] = {name: {} for name in NAMES}
    heights: dict[str, list[int]] = {name: [] for name in NAMES}

    def look() -> None:
        """Let every witness step, and keep what each has told, as a collector sees it."""
        for name, witness in watchers.items():
            try:
                witness.step()
            except ClientError:
                continue  # its node is in the middle of a reorganisation: nothing is signed
            newest = witness.store.newest()
            if newest is not None:
                heights[name].append(newest.number)
                for number in range(max(newest.number - 8, 0), newest.number + 1):
                    if (signed := witness.store.at(number)) is not None:
                        told[name].setdefault(number, set()).add(
                            WitnessNote.decode(signed.note).checkpoint.hash
                        )

    forked_at, orphan = fork(alone, others, network, look)
    alone.join(network)

    def rejoined() -> bool:
        look()
        return alone.height > forked_at and alone.hash_at(forked_at) == others[0].hash_at(forked_at)

    wait_until(rejoined, "the lonely node took the others' chain")
    assert alone.hash_at(forked_at) != orphan  # a block that it had held for the newest is gone

    def everybody_is_past_it() -> bool:
        look()
        return all(len(seen) > 0 and seen[-1] > forked_at for seen in heights.values())

    wait_until(everybody_is_past_it, "every witness signed blocks above the fork")
    for name in NAMES:
        assert heights[name] == sorted(heights[name])
        for number, hashes in told[name].items():
            assert [f"0x{one.hex()}" for one in hashes] == [others[0].hash_at(number)]
    note = Notes([str(tmp_path / name) for name in NAMES], timeout_s=5).at(forked_at, world.app().root.root)
    assert note is not None
    assert "0x" + WitnessNote.decode(note).checkpoint.hash.hex() == others[0].hash_at(forked_at)


def fork(
    alone: CliqueNode, others: list[CliqueNode], network: list[CliqueNode], look: object
) -> tuple[int, str]:
    """Cut a node off just before its turn, until it has sealed a block that nobody else has; where and which."""
    order = sorted(int(node.address, 16) for node in network).index(int(alone.address, 16))
    for _ in range(ATTEMPTS):
        wait_until(lambda: (alone.height + 1) % len(network) == order, "the node's turn is next")
        alone.isolate(network)
        start = max(node.height for node in others)

        def apart(start: int = start) -> bool:
            look()  # type: ignore[operator]
            return min(node.height for node in others) >= start + 3

        wait_until(apart, "the others went on without it")
        number = alone.height
        mine, theirs = alone.hash_at(number), others[0].hash_at(number)
        if mine is not None and mine != theirs:
            return number, mine
        alone.join(network)
        wait_until(
            lambda: alone.height >= max(node.height for node in others) - 1,
            "the node caught up with the others",
        )
    raise AssertionError(f"no fork in {ATTEMPTS} attempts")
