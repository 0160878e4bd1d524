"""A whole manufacturer in memory: trust roots, ledger and journal state, sealed headers, releases and blocks.

Everything is real (keys, signatures, seals, tries built by `trie`), only small; what a method takes lets a test build
the world wrongly. Sources that carry it to a device, and misbehave, are in `tests/sim/sources.py`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from device_verifier.facts import DeviceFacts, InstalledRelease, Slot
from device_verifier.sources import StateQuery
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from ledger_protocol.content.unixfs import build_from_leaves
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.proof import LedgerProof, proof_from_rpc
from ledger_protocol.ledger.witness_note import Checkpoint
from ledger_protocol.release.envelope import Envelope
from ledger_protocol.release.manifest import Component, Manifest, channel_id, release_id
from ledger_protocol.release.signing import MANIFEST_TYPE, TRUST_ROOT_TYPE, PublicKey, sign
from ledger_protocol.release.trust_root import HeaderTrust, KeySet, LedgerRef, SignedTrustRoot, TrustRoot
from tests.sim.validators import Validators, header_fields
from tests.sim.witnesses import Witnesses
from tests.sim.world import World

CHAIN_ID = 1337
LEDGER = bytes.fromhex("11" * 20)
JOURNAL = bytes.fromhex("22" * 20)
OPERATOR = bytes.fromhex("33" * 20)
DEVICE = bytes.fromhex("44" * 20)
CODE_HASH = hashlib.sha256(b"the ledger's code").digest()
GENESIS_TIME = 1_800_000_000
BLOCK_SECONDS = 10
CHUNK_BYTES = 1_024
TREE_WIDTH = 4  # narrow, so that small images have deep trees

SigningKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Release:
    """A built release: its manifest, envelope and image blocks."""

    manifest: Manifest
    block: bytes
    envelope: bytes
    images: Mapping[str, bytes]
    blocks: Mapping[Cid, bytes]

    @property
    def id(self) -> bytes:
        return release_id(self.block)

    @property
    def envelope_cid(self) -> Cid:
        return Cid.of(DAG_CBOR, self.envelope)

    @property
    def installed(self) -> InstalledRelease:
        m = self.manifest
        return InstalledRelease(self.id, m.sequence, m.security_version, m.version)


@dataclass(frozen=True, slots=True)
class Block:
    """One sealed block, with the state behind it."""

    raw_header: bytes
    state: World

    @property
    def number(self) -> int:
        return parse_header(self.raw_header).number

    @property
    def time(self) -> int:
        return parse_header(self.raw_header).timestamp


def ed25519_keys(name: str, count: int) -> list[SigningKey]:
    seeds = [hashlib.sha256(f"{name} {i}".encode()).digest() for i in range(count)]
    return [ed25519.Ed25519PrivateKey.from_private_bytes(seed) for seed in seeds]


def p256_key(name: str) -> SigningKey:
    scalar = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") >> 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def key_set(keys: Sequence[SigningKey], threshold: int) -> KeySet:
    return KeySet(threshold, tuple(PublicKey.from_private(key) for key in keys))


def payload(size: int, seed: str = "image") -> bytes:
    return hashlib.shake_256(seed.encode()).digest(size)


def image_blocks(
    image: bytes, *, chunk_bytes: int | None = None, width: int | None = None
) -> tuple[Cid, dict[Cid, bytes]]:
    """Cut an image into leaves of fixed size and build its tree."""
    chunk_bytes, width = chunk_bytes or CHUNK_BYTES, width or TREE_WIDTH
    leaves = [image[at : at + chunk_bytes] for at in range(0, len(image), chunk_bytes)]
    root, nodes = build_from_leaves([(Cid.of(RAW, leaf), len(leaf)) for leaf in leaves], width)
    return root, {**{Cid.of(RAW, leaf): leaf for leaf in leaves}, **dict(nodes)}


class Repository:
    """The manufacturer. Change the world with the verbs, `seal` a block, and let sources carry it."""

    def __init__(
        self,
        *,
        seed: int = 1,
        max_checkpoint_age: int | None = None,
        operator: bytes | None = None,
        witnesses: Witnesses | None = None,
        sealed: bool = True,
        require: str = "any",
    ) -> None:
        self.validators = Validators(seed=seed)
        self.witnesses = witnesses
        self.with_headers = sealed
        self.root_keys = ed25519_keys(f"root {seed}", 3)
        self.release_keys = [*ed25519_keys(f"release {seed}", 2), p256_key(f"release {seed}")]
        self.ledger_words: dict[bytes, int] = {}
        self.journal_words: dict[bytes, int] = {}
        self.ledger_code_hash = CODE_HASH
        self.time = GENESIS_TIME
        self.chain: list[Block] = []
        self.blocks: dict[Cid, bytes] = {}
        self.envelopes: dict[bytes, list[bytes]] = {}
        self.publications: list[tuple[int, bytes, bytes, Cid]] = []  # block, channel, release, envelope
        self.first_block = 100
        root = TrustRoot(
            version=1,
            issued_at=GENESIS_TIME - 1_000,
            expires=None,
            previous=None,
            root_keys=key_set(self.root_keys, 2),
            release_keys=key_set(self.release_keys, 2),
            ledger=LedgerRef(
                chain_id=CHAIN_ID,
                address=LEDGER,
                code_hash=CODE_HASH,
                journal=JOURNAL,
                from_block=self.first_block,
                from_time=GENESIS_TIME,
            ),
            headers=HeaderTrust(
                qbft=self.validators.trust() if sealed else None,
                witnesses=None if witnesses is None else witnesses.trust(),
                require=require,
            ),
            max_checkpoint_age=max_checkpoint_age,
            operator=operator,
        )
        self.roots = [root]
        self.signed_roots = [self.sign_root(root, self.root_keys[:2])]
        self.announce_root()

    # -- trust roots

    @property
    def factory_root(self) -> bytes:
        return self.signed_roots[0]

    @property
    def root(self) -> TrustRoot:
        return self.roots[-1]

    def sign_root(self, root: TrustRoot, keys: Sequence[SigningKey]) -> bytes:
        signed = SignedTrustRoot(root.encode())
        for key in keys:
            signed = signed.with_signature(sign(key, TRUST_ROOT_TYPE, signed.document))
        return signed.encode()

    def next_root(self, **changes: object) -> TrustRoot:
        previous = Cid.of(DAG_CBOR, self.signed_roots[-1])
        return replace(self.root, version=self.root.version + 1, previous=previous, **changes)  # type: ignore[arg-type]

    def rotate_root(self, *, announce: bool = True, **changes: object) -> bytes:
        """Issue the next trust root, signed by two of the old root keys and two of the new."""
        root = self.next_root(**changes)
        self.roots.append(root)
        signed = self.sign_root(root, self.root_keys[:2])
        self.signed_roots.append(signed)
        if announce:
            self.announce_root()
        return signed

    def rotate_validators(self, seed: int) -> Validators:
        """Replace all validators by others, and say so in a new trust root; return the old ones."""
        old, self.validators = self.validators, Validators(seed=seed)
        self.rotate_root(headers=HeaderTrust(self.validators.trust(), None, "any"))
        return old

    def announce_root(self, digest: bytes | None = None) -> None:
        """Write the newest root's digest (or another) to the ledger."""
        found = SignedTrustRoot.decode(self.signed_roots[-1]).digest if digest is None else digest
        self.ledger_words[state.trust_root_key()] = int.from_bytes(found, "big")

    # -- releases

    def build(
        self,
        sequence: int,
        *,
        images: Mapping[str, bytes] | None = None,
        signers: Sequence[SigningKey] | None = None,
        component: Mapping[str, object] | None = None,
        **changes: object,
    ) -> Release:
        """Build and sign a release; `changes` are fields of the manifest, `component` of every component."""
        if images is None:
            images = {"rootfs": payload(10_000, f"image {sequence}")}
        blocks: dict[Cid, bytes] = {}
        components = []
        for name, image in images.items():
            root, image_nodes = image_blocks(image)
            blocks |= image_nodes
            made = Component(
                name=name,
                slot_class=name,
                handler="raw",
                arch="aarch64",
                size=len(image),
                sha256=hashlib.sha256(image).digest(),
                image=root,
            )
            components.append(replace(made, **(component or {})))  # type: ignore[arg-type]
        fields: dict[str, object] = {
            "compatible": "acme,gateway",
            "version": f"1.{sequence}",
            "channels": ("stable",),
            "sequence": sequence,
            "security_version": 1,
            "kind": "feature",
            "created": GENESIS_TIME,
            "components": tuple(components),
        }
        manifest = Manifest(**(fields | changes))  # type: ignore[arg-type]
        block = manifest.encode()
        envelope = self.envelope(block, self.release_keys[:2] if signers is None else signers)
        release = Release(manifest, block, envelope, images, blocks)
        self.pin(release)
        return release

    def envelope(self, manifest: bytes, signers: Sequence[SigningKey]) -> bytes:
        envelope = Envelope(Cid.of(DAG_CBOR, manifest))
        for key in signers:
            envelope = envelope.with_signature(sign(key, MANIFEST_TYPE, manifest))
        return envelope.encode()

    def pin(self, release: Release) -> None:
        """Put every block of a release where the gateways find it."""
        self.blocks |= release.blocks
        self.blocks[Cid.of(DAG_CBOR, release.block)] = release.block
        self.blocks[release.envelope_cid] = release.envelope

    # -- the ledger's and the journal's state

    def publish(self, release: Release, *, channel: str = "stable", **word: object) -> None:
        """Make a release the channel's head; `word` are fields of the channel's word."""
        fields: dict[str, object] = {
            "sequence": release.manifest.sequence,
            "security_version": release.manifest.security_version,
            "epoch": 1,
            "halted": False,
            "immediate": True,
            "published_at": self.time,
            "rollout_from": self.time,
            "initial_bps": 10_000,
            "hold_hours": 0,
            "ramp_hours": 0,
            "halt_bps": 300,
            "min_reports": 300,
        }
        made = ChannelWord(**(fields | word))  # type: ignore[arg-type]
        key = channel_id(channel)
        self.ledger_words[state.head_key(key)] = int.from_bytes(release.id, "big")
        self.ledger_words[state.word_key(key)] = made.encode()
        self.envelopes.setdefault(release.id, []).append(release.envelope_cid.to_bytes())
        at = self.first_block + len(self.chain)
        self.publications.append((at, key, release.id, release.envelope_cid))

    def halt(self, channel: str = "stable") -> None:
        key = state.word_key(channel_id(channel))
        self.ledger_words[key] = replace(ChannelWord.decode(self.ledger_words[key]), halted=True).encode()

    def revoke(self, release: bytes, *, reason: int = 1, mandatory: bool = False) -> None:
        self.ledger_words[state.revoked_key(release)] = Revocation(
            time=self.time, reason=reason, mandatory=mandatory
        ).encode()

    def approve(self, release: bytes, *, operator: bytes = OPERATOR) -> None:
        self.ledger_words[state.approval_key(operator, release)] = self.time

    def assign(self, group: int, channel: str) -> None:
        self.ledger_words[state.channel_of_key(group)] = int.from_bytes(channel_id(channel), "big")

    def enrol(self, device: bytes = DEVICE, *, group: int = 7, **word: object) -> None:
        fields: dict[str, object] = {
            "sequence": 0,
            "enrolled": True,
            "retired": False,
            "open_vote": False,
            "group": group,
            "counted": 0,
            "head": bytes(20),
        }
        self.journal_words[state.device_key(device)] = DeviceWord(**(fields | word)).encode()  # type: ignore[arg-type]

    # -- blocks and proofs

    def state(self) -> World:
        world = World()
        world.set_account(LEDGER, self.ledger_words, code_hash=self.ledger_code_hash)
        world.set_account(JOURNAL, self.journal_words)
        return world

    def seal(
        self,
        *,
        signers: Sequence[int] | None = None,
        number: int | None = None,
        time: int | None = None,
        round_: int = 0,
        validators: Validators | None = None,
        append: bool = True,
    ) -> Block:
        """Seal the present state as the next block, by all validators unless `signers` (places) says who."""
        world = self.state()
        fields = header_fields(
            number=self.first_block + len(self.chain) if number is None else number,
            timestamp=self.time if time is None else time,
            state_root=world.state_root,
        )
        raw = (validators or self.validators).seal(fields, signers=signers, round_=round_)
        block = Block(raw, world)
        if append:
            self.chain.append(block)
            self.time += BLOCK_SECONDS
        return block

    def proof(self, query: StateQuery, block: Block | None = None) -> bytes:
        """Return an encoded proof of a query's words at a block (the newest by default), as an honest node makes it."""
        block = self.chain[-1] if block is None else block
        ledger_keys = [state.trust_root_key()]
        answers = []
        channel, group = query.channel_id, query.group
        if query.device is not None:
            answers.append(block.state.get_proof(JOURNAL, [state.device_key(query.device)]))
            word = block.state.word(JOURNAL, state.device_key(query.device))
            if channel is None and group is None and word:
                group = DeviceWord.decode(word).group
        if group is not None:
            ledger_keys.append(state.channel_of_key(group))
            channel = block.state.word(LEDGER, state.channel_of_key(group)).to_bytes(32, "big")
        releases = [query.installed, *query.also_revoked]
        hints: list[bytes] = []
        if channel is not None:
            head = block.state.word(LEDGER, state.head_key(channel)).to_bytes(32, "big")
            ledger_keys += [state.head_key(channel), state.word_key(channel)]
            if query.operator is not None:
                ledger_keys.append(state.approval_key(query.operator, head))
            releases.append(head)
        for release in filter(None, releases):
            ledger_keys.append(state.revoked_key(release))
            hints += self.envelopes.get(release, [])
        answers.append(block.state.get_proof(LEDGER, ledger_keys))
        proof = proof_from_rpc(block.raw_header, *answers, envelopes=dict.fromkeys(hints))
        if self.witnesses is not None:
            note = self.witnesses.note(self.checkpoint(block), time_s=max(self.time, block.time))
            proof = replace(proof, note=note, header=proof.header if self.with_headers else None)
        return proof.encode()

    def checkpoint(self, block: Block, **changes: object) -> Checkpoint:
        """What an honest witness says of a block; `changes` make it a liar."""
        header = parse_header(block.raw_header)
        fields: dict[str, object] = {
            "origin": f"acme.example/evm/{CHAIN_ID}",
            "number": header.number,
            "hash": qbft.block_hash(header),
            "state_root": header.state_root,
            "time": header.timestamp,
        }
        return Checkpoint(**(fields | changes))  # type: ignore[arg-type]

    # -- devices

    def device(self, **changes: object) -> DeviceFacts:
        """A device that follows `stable` and fits what `build` makes."""
        fields: dict[str, object] = {
            "compatible": "acme,gateway",
            "hw_revision": "B2",
            "arch": "aarch64",
            "address": DEVICE,
            "slots": (Slot("rootfs", 1_000_000), Slot("app", 100_000)),
            "channel": "stable",
            "now_s": self.time,
        }
        return DeviceFacts(**(fields | changes))  # type: ignore[arg-type]


def altered(proof: bytes, **changes: object) -> bytes:
    """Return a proof with other parts: `header`, `note`, `nodes`, `envelopes`."""
    return replace(LedgerProof.decode(proof), **changes).encode()  # type: ignore[arg-type]
