"""The manufacturer of one case: trust roots, releases, the ledger's words, blocks and proofs.

Change it with the verbs, `seal` a block, and hand what comes out to the client. Everything is real: keys,
signatures, seals and tries; only small.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from ledger_client.conformance.world import documents, headers, notes
from ledger_client.conformance.world.documents import Document
from ledger_client.conformance.world.headers import Sealing
from ledger_client.conformance.world.keys import (
    MANIFEST_TYPE,
    TRUST_ROOT_TYPE,
    SigningKey,
    address,
    dsse,
    ed25519_key,
    p256_key,
    secp256k1_key,
)
from ledger_client.conformance.world.notes import Said, Witness
from ledger_client.conformance.world.tries import Account, Mangle, State
from ledger_client.conformance.world.words import channel_id, channel_word, device_word, revocation_word
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.ledger import contract_state as keys_of

CHAIN_ID: Final = 1337
ORIGIN: Final = f"acme.example/evm/{CHAIN_ID}"
LEDGER: Final = bytes.fromhex("11" * 20)
JOURNAL: Final = bytes.fromhex("22" * 20)
OPERATOR: Final = bytes.fromhex("33" * 20)
CODE_HASH: Final = hashlib.sha256(b"the ledger's code").digest()
FIRST_BLOCK: Final = 100
GENESIS_TIME: Final = 1_800_000_000
BLOCK_SECONDS: Final = 10
GROUP: Final = 7
DEVICE_KEY: Final = secp256k1_key("the device")
DEVICE: Final = address(DEVICE_KEY)


@dataclass(frozen=True, slots=True)
class Release:
    """A built release: manifest block, envelope block, plain images by component, image blocks by CID."""

    manifest: bytes
    envelope: bytes
    images: Mapping[str, bytes]
    blocks: Mapping[Cid, bytes]

    @property
    def id(self) -> bytes:
        """The release id."""
        return hashlib.sha256(self.manifest).digest()

    @property
    def envelope_cid(self) -> Cid:
        """Where the envelope lies."""
        return Cid.of(DAG_CBOR, self.envelope)


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block and the state behind it."""

    number: int
    time: int
    header: bytes
    state: State


class World:
    """One manufacturer, its ledger and its releases.

    Arguments: `validators` seal (None: none are pinned); `witnesses` and `threshold` sign notes (0: none are
    pinned); `require` says which of both must hold; `root` are further fields of the first trust root.
    """

    def __init__(
        self,
        *,
        validators: int | None = 4,
        witnesses: int = 0,
        threshold: int = 0,
        require: str = "any",
        min_validators: int = 4,
        **root: Any,
    ) -> None:
        self.validators = [] if validators is None else headers.validators(validators)
        self.witnesses = notes.witnesses(witnesses)
        self.root_keys: list[SigningKey] = [ed25519_key(f"root {place}") for place in range(3)]
        self.release_keys: list[SigningKey] = [
            ed25519_key("release 0"),
            ed25519_key("release 1"),
            p256_key("r"),
        ]
        self.words: dict[bytes, int] = {}
        self.journal: dict[bytes, int] = {}
        self.code_hash = CODE_HASH
        self.raw: dict[bytes, bytes] = {}
        self.mangled: dict[bytes, Mangle] = {}
        self.mangled_root: Mangle | None = None
        self.account_leaf: Callable[[bytes], bytes] | None = None
        self.time = GENESIS_TIME
        self.number = FIRST_BLOCK
        self.blocks: dict[Cid, bytes] = {}
        self.releases: list[Release] = []
        self.published: list[tuple[int, bytes, Release]] = []
        """Block, channel and release of each publication, for a node's log."""
        self.chain: list[Block] = []
        pinned_witnesses = notes.pinned(self.witnesses, threshold, origin=ORIGIN) if witnesses else None
        self.root: Document = {
            "schema": "fwledger/trust-root/1",
            "version": 1,
            "issued_at": GENESIS_TIME - 1_000,
            "expires": None,
            "previous": None,
            "root_keys": documents.key_set(self.root_keys, 2),
            "release_keys": documents.key_set(self.release_keys, 2),
            "ledger": {
                "chain_id": CHAIN_ID,
                "address": LEDGER,
                "code_hash": CODE_HASH,
                "journal": JOURNAL,
                "from_block": FIRST_BLOCK,
                "from_time": GENESIS_TIME,
            },
            "headers": {
                "qbft": None
                if validators is None
                else documents.qbft(self.validators, min_validators=min_validators),
                "witnesses": pinned_witnesses,
                "require": require,
            },
            "max_checkpoint_age": None,
            "operator": None,
            **root,
        }
        self.roots = [self.sign_root(self.root)]
        self.announce(self.root)
        self.enrol()

    # --- trust roots

    def sign_root(self, root: Document, keys: Sequence[SigningKey] | None = None) -> bytes:
        """Give a trust root signed by these keys (the first two root keys)."""
        document = dag_cbor.encode(root)
        signers = self.root_keys[:2] if keys is None else keys
        return documents.signed_root(document, [dsse(key, TRUST_ROOT_TYPE, document) for key in signers])

    def next_root(self, **changes: Any) -> Document:
        """Give the fields of the next version, as an honest manufacturer would write them."""
        version = self.root["version"]
        if not isinstance(version, int):
            raise TypeError("an honest root's version is a number")
        previous = Cid.of(DAG_CBOR, self.roots[-1])
        return {**self.root, "version": version + 1, "previous": previous, **changes}

    def rotate(
        self, *, keys: Sequence[SigningKey] | None = None, announced: bool = True, **changes: Any
    ) -> bytes:
        """Issue the next trust root, name it on the ledger unless not `announced`, and return it signed."""
        self.root = self.next_root(**changes)
        self.roots.append(self.sign_root(self.root, keys))
        if announced:
            self.announce(self.root)
        return self.roots[-1]

    def rotate_validators(self, name: str, count: int = 4) -> list[ec.EllipticCurvePrivateKey]:
        """Replace the validators by a new trust root; return the old ones."""
        old, self.validators = self.validators, headers.validators(count, name)
        self.rotate(headers={**self.headers, "qbft": documents.qbft(self.validators)})
        return old

    @property
    def headers(self) -> dict[str, Any]:
        """The `headers` of the newest trust root."""
        found = self.root["headers"]
        if not isinstance(found, dict):
            raise TypeError("headers of a trust root are a map")
        return dict(found)

    @property
    def ledger(self) -> dict[str, Any]:
        """The `ledger` of the newest trust root."""
        found = self.root["ledger"]
        if not isinstance(found, dict):
            raise TypeError("the ledger of a trust root is a map")
        return dict(found)

    def announce(self, root: Document) -> None:
        """Write a root's digest to the ledger."""
        digest = hashlib.sha256(dag_cbor.encode(root)).digest()
        self.words[keys_of.trust_root_key()] = int.from_bytes(digest, "big")

    # --- releases

    def fields(self, number: int, images: Mapping[str, bytes] | None = None, **changes: Any) -> Document:
        """Give the fields of a release's manifest and put its image blocks where mirrors find them."""
        components = []
        for name, image in (images or default_images(number)).items():
            tree, blocks = documents.image_tree(image)
            self.blocks |= blocks
            components.append(documents.component(name, image, tree))
        return {**documents.manifest(number, components, created=GENESIS_TIME), **changes}

    def build(
        self,
        number: int,
        *,
        images: Mapping[str, bytes] | None = None,
        signers: Sequence[SigningKey] | None = None,
        component: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Release:
        """Build and sign a release of sequence `number`: `changes` are other fields of the manifest,
        `component` of every component.
        """
        fields = self.fields(number, images, **changes)
        if component is not None:
            made = fields["components"]
            if isinstance(made, list):
                fields["components"] = [{**each, **component} for each in made if isinstance(each, dict)]
        return self.sign(dag_cbor.encode(fields), images or default_images(number), signers)

    def sign(
        self, manifest: bytes, images: Mapping[str, bytes], signers: Sequence[SigningKey] | None = None
    ) -> Release:
        """Make a release of a manifest block, signed by two release keys unless `signers` says who."""
        keys = self.release_keys[:2] if signers is None else signers
        return self.enclose(manifest, images, documents.envelope(manifest, self.signatures(manifest, keys)))

    def signatures(self, manifest: bytes, keys: Iterable[SigningKey]) -> list[tuple[bytes, bytes]]:
        """Give the signatures of these keys over a manifest block."""
        return [dsse(key, MANIFEST_TYPE, manifest) for key in keys]

    def enclose(self, manifest: bytes, images: Mapping[str, bytes], envelope: bytes) -> Release:
        """Make a release of a manifest block and an envelope, and put both where mirrors find them."""
        release = Release(manifest, envelope, images, {})
        self.blocks[Cid.of(DAG_CBOR, manifest)] = manifest
        self.blocks[release.envelope_cid] = envelope
        self.releases.append(release)
        return release

    # --- the ledger's and the journal's words

    def publish(self, release: Release, *, channel: str = "stable", sequence: int, **word: Any) -> Release:
        """Make a release the channel's head; `word` are fields of the channel's word."""
        key = channel_id(channel)
        self.words[keys_of.head_key(key)] = int.from_bytes(release.id, "big")
        self.words[keys_of.word_key(key)] = channel_word(
            **{"sequence": sequence, "published_at": self.time, "rollout_from": self.time, **word}
        )
        self.published.append((self.number, key, release))
        return release

    def release(self, sequence: int, *, word: Mapping[str, Any] | None = None, **changes: Any) -> Release:
        """Build a release and publish it on `stable`."""
        return self.publish(self.build(sequence, **changes), sequence=sequence, **(word or {}))

    def revoke(self, release: bytes, *, mandatory: bool = False) -> None:
        """Revoke a release by its id."""
        self.words[keys_of.revoked_key(release)] = revocation_word(self.time, reason=1, mandatory=mandatory)

    def enrol(self, **word: Any) -> None:
        """Write the device's word to the journal."""
        self.journal[keys_of.device_key(DEVICE)] = device_word(**{"group": GROUP, **word})

    # --- blocks and proofs

    def state(self) -> State:
        """Give the present state."""
        ledger = Account(
            dict(self.words), self.code_hash, dict(self.raw), dict(self.mangled), self.mangled_root
        )
        accounts = {
            LEDGER: ledger,
            JOURNAL: Account(dict(self.journal), hashlib.sha256(b"the journal's code").digest()),
            bytes.fromhex("55" * 20): Account({}, hashlib.sha256(b"").digest()),
        }
        return State(accounts, account_leaf=self.account_leaf)

    def seal(
        self,
        sealing: Sealing | None = None,
        *,
        number: int | None = None,
        time: int | None = None,
        state_root: bytes | None = None,
    ) -> Block:
        """Seal the present state as the next block, by all validators unless `sealing` says how."""
        state = self.state()
        number, time = self.number if number is None else number, self.time if time is None else time
        sealing = Sealing(by=self.validators) if sealing is None else sealing
        root = state.root if state_root is None else state_root
        header = headers.seal_header(sealing, number=number, time=time, state_root=root)
        block = Block(number, time, header, state)
        self.chain.append(block)
        self.number, self.time = number + 1, max(self.time, time) + BLOCK_SECONDS
        return block

    def proof(self, block: Block | None = None, **changes: Any) -> bytes:
        """Give an encoded proof at a block (the newest); `changes` are other parts: header, note, nodes..."""
        block = self.chain[-1] if block is None else block
        fields: dict[str, Any] = {
            "header": block.header,
            "note": None,
            "nodes": self.nodes(block),
            "envelopes": self.hints(),
        }
        if self.witnesses:
            fields["note"] = self.note(self.said(block))
        if not self.validators:
            fields["header"] = None
        return dag_cbor.encode(documents.proof_map(**{**fields, **changes}))

    def nodes(self, block: Block | None = None) -> list[bytes]:
        """Give the nodes of every word that a device asks for."""
        state = (self.chain[-1] if block is None else block).state
        found = state.account_proof(LEDGER) + state.account_proof(JOURNAL)
        found += state.storage_proof(JOURNAL, keys_of.device_key(DEVICE))
        for key in self.asked():
            found += state.storage_proof(LEDGER, key)
        return list(dict.fromkeys(found))

    def asked(self) -> list[bytes]:
        """Give the storage keys of the ledger that this world's devices ask for."""
        stable = channel_id("stable")
        found = [
            keys_of.trust_root_key(),
            keys_of.channel_of_key(GROUP),
            keys_of.head_key(stable),
            keys_of.word_key(stable),
        ]
        for release in self.releases:
            found.append(keys_of.revoked_key(release.id))
            found.append(keys_of.approval_key(OPERATOR, release.id))
        return found

    def hints(self) -> list[bytes]:
        """Give the CIDs of all envelopes, the newest release's first."""
        return [release.envelope_cid.to_bytes() for release in reversed(self.releases)]

    # --- notes

    def said(self, block: Block | None = None, **changes: Any) -> Said:
        """Give what an honest witness says of a block; `changes` make it a liar."""
        block = self.chain[-1] if block is None else block
        found = Said(
            origin=ORIGIN,
            number=block.number,
            hash=headers.block_hash(block.header),
            state_root=block.state.root,
            time=block.time,
        )
        return replace(found, **changes)

    def note(
        self,
        said: Said | None = None,
        signers: Sequence[Witness] | None = None,
        times: Sequence[int] | None = None,
    ) -> bytes:
        """Give a note signed by the first three witnesses, now, unless others and other times are named."""
        said = self.said() if said is None else said
        signers = self.witnesses[:3] if signers is None else signers
        times = [max(self.time, said.time)] * len(signers) if times is None else times
        lines = [
            notes.signature_line(witness, said.text, at) for witness, at in zip(signers, times, strict=True)
        ]
        return notes.note(said.text, lines)

    # --- what a stick holds

    def stick(self, block: Block | None = None, **proof: Any) -> dict[str, bytes]:
        """Give the files of an honest directory; `proof` are changed parts of the proof."""
        files = {"proof.cbor": self.proof(block, **proof)}
        files |= {f"trust-root-{at}.cbor": root for at, root in enumerate(self.roots, start=1)}
        files |= {str(cid): data for cid, data in self.blocks.items()}
        return files


def default_images(sequence: int) -> dict[str, bytes]:
    """Give the image of an ordinary release: six blocks of 1 KiB and a bit, other ones for each sequence."""
    return {"rootfs": hashlib.shake_256(f"image {sequence}".encode()).digest(6_500)}
