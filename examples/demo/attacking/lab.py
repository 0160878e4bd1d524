"""A channel for the attacks alone, so that the story's own stays sound: its releases, its victim, its keys.

Publishing here skips the checks of `fwledger release publish`: whoever holds the publisher's account can.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from examples.demo.world import COMPATIBLE
from ledger_client.acting import carry_out
from ledger_client.acts import Rollout
from ledger_client.cli.app import App
from ledger_client.content.ipfs import IpfsClient
from ledger_client.content.node.store import BlockStore
from ledger_client.firmware_keys import open_signer
from ledger_client.images import ImageSpec, import_component
from ledger_client.publishing import push_release
from ledger_client.releases import new_release, sign_release
from ledger_client.signers import dev_account
from ledger_client.transactions import prepare, send
from ledger_protocol.content.cid import DAG_PB
from ledger_protocol.content.unixfs import decode_node
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.release.manifest import Manifest, channel_id
from local_chain.sealing import read_keys

if TYPE_CHECKING:
    from examples.demo.world import World
    from ledger_client.ledger import Ledger
    from ledger_client.network import Call, Receipt
    from ledger_client.releases import Release
    from ledger_protocol.content.cid import Cid
    from ledger_protocol.release.trust_root import LedgerRef

LAB, GROUP = "lab", 3
IMAGE_BYTES = 192 * 1024
SLOT_BYTES = 256 * 1024
STRANGER = 7  # of the development chain's accounts: it holds money and no role
CREATED_S = 1_700_000_000


@dataclass(slots=True)
class Lab:
    """The channel, and whatever an attacker may have stolen of its owner's."""

    world: World
    app: App = field(init=False)
    store: BlockStore = field(init=False)
    ipfs: IpfsClient = field(init=False)
    assigned: Call = field(init=False)
    """The group's assignment, with the publisher's approval, as anybody can read it on the chain."""

    def __post_init__(self) -> None:
        folder = self.world.folder
        flags: dict[str, object] = {"chain.rpc": [self.world.second_node.ready["url"]]}
        self.app = App(config=folder / "fwledger.toml", flags=flags, as_json=False, quiet=True, yes=True)
        self.store = BlockStore(folder / "lab-blocks")
        self.ipfs = IpfsClient(self.world.mirror.ready["api"])
        (folder / "lab-images").mkdir()

    def close(self) -> None:
        """Let go of the servers."""
        self.ipfs.close()
        self.app.network.close()

    @property
    def ledger(self) -> Ledger:
        """The ledger, as typed calls."""
        return self.app.ledger

    @property
    def reference(self) -> LedgerRef:
        """The ledger, as the trust root pins it."""
        return self.app.root.root.ledger

    @property
    def channel(self) -> bytes:
        """The channel's id."""
        return channel_id(LAB)

    def validator_keys(self, count: int) -> tuple[bytes, ...]:
        """Keys stolen from so many of the four validators."""
        return read_keys(self.world.folder / "chain-1" / "validators.json")[:count]

    def assign_group(self) -> None:
        """Let the lab's group of devices follow the lab's channel."""
        act = self.ledger.new_act(
            "AssignGroup",
            group=GROUP,
            leaves=bytes(32),
            channel=self.channel,
            epoch=0,
            deadline=self.app.deadline(),
        )
        self.assigned = carry_out(self.ledger, act, [], account=self.app.account)
        self.app.send(self.assigned)

    def send_as_stranger(self, call: Call) -> None:
        """Send a call from an account without any role, unless the contract refuses."""
        stranger = dev_account(STRANGER, chain_id=self.app.network.chain_id)
        send(self.app.network, prepare(self.app.network, call, stranger), stranger)

    def build(
        self, version: str, sequence: int, *, channel: str = LAB, compatible: str = COMPATIBLE
    ) -> Release:
        """A release of one small image, unsigned."""
        image = self.world.folder / "lab-images" / f"{version}.img"
        if not image.exists():
            image.write_bytes(random.Random(version).randbytes(IMAGE_BYTES))
        component = import_component(ImageSpec.parse(f"rootfs={image}", arch="aarch64"), sink=self.store)
        manifest = Manifest(
            compatible=compatible,
            version=version,
            channels=(channel,),
            sequence=sequence,
            security_version=0,
            kind="feature",
            created=CREATED_S,
            components=(component,),
        )
        return new_release(manifest)

    def sign(self, release: Release, *signers: str) -> Release:
        """The release with these people's signatures."""
        for signer in signers:
            key = self.world.folder / "homes" / signer / "key.pem"
            release = sign_release(release, open_signer(f"file:{key}"))
        return release

    def publish(self, release: Release, *, sequence: int | None = None) -> Receipt:
        """Push a release and make it the channel's head, unless the contract refuses; nobody else checks
        it.
        """
        push_release(self.ipfs, self.store, release)
        word = self.ledger.word(self.channel)
        act = self.ledger.publish_act(
            channel=self.channel,
            release=release.id,
            envelope=release.envelope.cid.digest,
            sequence=sequence or release.manifest.sequence,
            security_version=release.manifest.security_version,
            rollout=Rollout(halt_bps=6000, min_reports=3),
            epoch=word.epoch,
            deadline=self.app.deadline(),
        )
        return self.app.send(carry_out(self.ledger, act, [], account=self.app.account))

    def release(self, version: str, sequence: int) -> Release:
        """Build, sign and publish, as honest people do."""
        release = self.sign(self.build(version, sequence), "alice", "bob")
        self.publish(release)
        return release

    def header(self) -> bytes:
        """The newest sealed header's RLP."""
        return bytes.fromhex(self.app.network.rpc("debug_getRawHeader", "latest")[2:])

    def words_for(self, head: bytes) -> dict[bytes, int]:
        """The ledger's words as a device of the lab asks for them, but with another head, one higher."""
        word = self.ledger.word(self.channel)
        return {
            state.channel_of_key(GROUP): int.from_bytes(self.channel, "big"),
            state.head_key(self.channel): int.from_bytes(head, "big"),
            state.word_key(self.channel): replace(word, sequence=word.sequence + 1).encode(),
            state.trust_root_key(): int.from_bytes(self.ledger.trust_root(), "big"),
        }

    def leaves(self, release: Release) -> list[Cid]:
        """The leaf blocks of a release's image."""
        found, todo = [], [component.image for component in release.manifest.components]
        while todo:
            cid = todo.pop()
            if cid.codec == DAG_PB:
                todo += [link.cid for link in decode_node(self.store.get(cid)).links]
            else:
                found.append(cid)
        return found
