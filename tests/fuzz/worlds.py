"""Valid inputs of every kind for the fuzz targets, made by small real worlds, and what is true in them."""

from __future__ import annotations

import functools
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from device_verifier.facts import facts_to_json
from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import TrustedLedger
from ledger_protocol.bundle import write_bundle
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, DAG_PB, RAW, Cid
from ledger_protocol.content.unixfs import build_from_leaves
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import qbft, rlp, trie_builder
from ledger_protocol.ledger.contract_state import DeviceWord, Revocation, Tally
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.proof import proof_from_rpc
from ledger_protocol.ledger.receipt_proof import (
    Log,
    Receipt,
    ReceiptProof,
    build_receipt_proof,
    receipts_root,
)
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot
from ledger_protocol.report import device_key as keys
from ledger_protocol.report.anchor import ANCHORED_TOPIC, AnchorBatch, Anchored, AnchorProof
from ledger_protocol.report.document import Report, Stage, detail_of
from ledger_protocol.report.enrolment import make_request
from ledger_protocol.report.event import (
    NO_PREVIOUS,
    EventKind,
    UpdateEvent,
    chain_link,
    event_digest,
    sign_event,
)
from ledger_protocol.report.receipts import ReceiptItem, Receipts
from tests.protocol_makers import manifest, trust_root, vkey
from tests.protocol_makers import root_chain as made_chain
from tests.sim.repository import DEVICE, LEDGER, OPERATOR, Release, Repository
from tests.sim.validators import Validators, header_fields
from tests.sim.witnesses import Witnesses

if TYPE_CHECKING:
    from device_verifier.ledger_view import LedgerView
    from ledger_protocol.ledger.header import Header
    from ledger_protocol.ledger.witness_note import Checkpoint
    from ledger_protocol.release.signing import PublicKey
    from tests.sim.world import World

__all__ = ["LEDGER"]

JOURNAL = b"\x22" * 20
ADDRESS = b"\x11" * 20
SLOT = (1).to_bytes(32, "big")
NETWORK = Path(__file__).parents[1] / "vectors" / "qbft-network.json"
QUERY = StateQuery(channel="stable", device=DEVICE, operator=OPERATOR)
KEY = ec.derive_private_key(80, ec.SECP256K1())


@functools.cache
def repository() -> Repository:
    """Two roots, one release that is approved, its older sister revoked, a device, one block."""
    made = Repository(operator=OPERATOR)
    old, new = made.build(1), made.build(2)
    made.publish(old)
    made.revoke(old.id)
    made.publish(new, epoch=2)
    made.approve(new.id)
    made.assign(7, "stable")
    made.enrol()
    made.rotate_root(max_checkpoint_age=9_000)
    made.seal(round_=1)
    return made


def validators() -> Validators:
    return repository().validators


def root() -> TrustRoot:
    return repository().root


@functools.cache
def release() -> Release:
    return repository().build(2)


def release_keys() -> tuple[PublicKey, ...]:
    return root().release_keys.keys


# --- content


def cids() -> tuple[bytes, ...]:
    return tuple(Cid.of(codec, b"x").to_bytes() for codec in (RAW, DAG_PB, DAG_CBOR))


def cid_texts() -> tuple[bytes, ...]:
    return tuple(str(Cid.from_bytes(one)).encode() for one in cids())


def documents() -> tuple[bytes, ...]:
    values = [None, True, -1, 2**64 - 1, -(2**64), b"\0", "ü", [1, [2, []]], {"a": {"bb": Cid.of(RAW, b"")}}]
    return (*map(dag_cbor.encode, values), dag_cbor.encode(values), release().block)


def file_nodes() -> tuple[bytes, ...]:
    leaves = [(Cid.of(RAW, bytes([n])), n + 1) for n in range(5)]
    return tuple(block for _, block in build_from_leaves(leaves, 2)[1])


@functools.cache
def archives() -> tuple[bytes, ...]:
    made = repository()
    part = io.BytesIO()
    shipped = made.build(3, images={"rootfs": b"image"})
    write_bundle(
        lambda _: part,
        proof=made.proof(QUERY),
        trust_roots=made.signed_roots[:1],
        envelope=shipped.envelope,
        manifest=shipped.block,
        blocks=shipped.blocks.items(),
    )
    return (part.getvalue(),)


# --- ledger


@functools.cache
def headers() -> tuple[bytes, ...]:
    recorded = json.loads(NETWORK.read_text())["headers"]
    plain = rlp.encode(list(header_fields(base_fee=None)))
    prague = [*header_fields(), bytes(32), b"", b"", bytes(32), bytes(32)]
    return (
        repository().chain[-1].raw_header,
        bytes.fromhex(recorded[-1]["raw"][2:]),
        plain,
        rlp.encode(list(prague)),
    )


@functools.cache
def sealed_hashes() -> set[bytes]:
    return {qbft.block_hash(parse_header(block.raw_header)) for block in repository().chain}


def extra_data() -> tuple[bytes, ...]:
    vote = (bytes(20), b"\xff")
    return (
        *(parse_header(raw).extra_data for raw in headers()[:2]),
        qbft.encode_extra(bytes(32), [], 0, [], vote=vote),
    )


def rlp_items() -> tuple[bytes, ...]:
    items = [
        b"",
        b"\0",
        b"\x7f",
        b"\x80",
        b"x" * 55,
        b"x" * 56,
        b"x" * 256,
        [],
        [[]],
        [b"a", [b"b" * 60, []]],
    ]
    return tuple(map(rlp.encode, items))  # type: ignore[arg-type]


def walks() -> tuple[tuple[bytes, ...], ...]:
    entries = {keccak256(bytes([n])): b"v%d" % n for n in range(20)}
    short = {b"\x12\x34": b"a", b"\x12\x35": b"b", b"\x12": b"c"}
    return (
        *((key, *trie_builder.build(entries, key=key)[1]) for key in list(entries)[:2]),
        *((key, *trie_builder.build(short, key=key)[1]) for key in short),
    )


def leaf(value: bytes, *, slot: bool = False) -> tuple[bytes, tuple[bytes, ...]]:
    """A trie that holds just this value, where an account or a slot is looked for."""
    path = keccak256(SLOT if slot else ADDRESS)
    return trie_builder.build({path: value}, key=path) if value else (b"", ())


def leaf_values() -> tuple[bytes, ...]:
    account = [b"\1", b"", bytes(32), bytes(32)]
    return (rlp.encode(list(account)), rlp.encode(b"\5"), rlp.encode(b"\xff" * 32), rlp.encode(b""))


@functools.cache
def state() -> World:
    return repository().chain[-1].state


@functools.cache
def slots() -> list[bytes]:
    return [key for key, word in repository().ledger_words.items() if word][:3]


@functools.cache
def ledger_proofs() -> tuple[bytes, ...]:
    answer = state().get_proof(LEDGER, slots())
    return (proof_from_rpc(repository().chain[-1].raw_header, answer).encode(), repository().proof(QUERY))


def view(proof: bytes) -> LedgerView:
    ledger = TrustedLedger(trust_root=repository().signed_roots[-1], floor=None, now_s=None)
    ledger.update_header(proof)
    return replace(ledger.read(QUERY), envelope_hints=(), steps=())


@functools.cache
def true_views() -> list[LedgerView]:
    return [view(repository().proof(QUERY))]


def view_proofs() -> tuple[bytes, ...]:
    return (repository().proof(QUERY),)


@functools.cache
def receipts() -> list[bytes]:
    logs = (Log(bytes(20), (bytes(32),) * 2, b"data"), Log(b"\1" * 20, (), b""))
    return [
        Receipt(
            type=n, succeeded=n > 0, cumulative_gas_used=21_000 * n, bloom=bytes(256), logs=logs[:n]
        ).encode()
        for n in range(5)
    ]


def receipt_seeds() -> tuple[bytes, ...]:
    return tuple(receipts()[:3])


@functools.cache
def receipts_header() -> Header:
    return parse_header(rlp.encode(list(header_fields(receipts_root=receipts_root(receipts())))))


def receipt_proofs() -> tuple[bytes, ...]:
    raw = receipts_header().encode()
    return tuple(
        ReceiptProof(header=raw, index=n, nodes=build_receipt_proof(receipts(), n)).encode() for n in (0, 3)
    )


def words() -> tuple[bytes, ...]:
    found = [
        *repository().ledger_words.values(),
        *repository().journal_words.values(),
        Revocation(time=1, reason=2, mandatory=True).encode(),
        Tally(installed=1, confirmed=2, failed=3, channel=b"\1" * 20).encode(),
    ]
    return tuple(word.to_bytes(32, "big") for word in found)


def points() -> tuple[bytes, ...]:
    return tuple(key.raw for key in validators().public_keys)


# --- notes, keys, roots


@functools.cache
def witnesses() -> Witnesses:
    return Witnesses()


@functools.cache
def checkpoints() -> list[Checkpoint]:
    block = repository().chain[-1]
    return [repository().checkpoint(block), repository().checkpoint(block, number=101)]


def notes() -> tuple[bytes, ...]:
    return tuple(witnesses().note(point, {n: 2_000 + n for n in range(3)}) for point in checkpoints())


def single_notes() -> tuple[bytes, ...]:
    return tuple(witnesses().sign(n, checkpoints()[0], 2_000 + n).encode() for n in range(4))


def vkeys() -> tuple[bytes, ...]:
    return (*(key.encode() for key in witnesses().vkeys[:1]), vkey("w.example").encode())


def manifests() -> tuple[bytes, ...]:
    return (manifest().encode(), release().block)


def root_documents() -> tuple[bytes, ...]:
    return (trust_root().encode(), root().encode())


@functools.cache
def root_chain() -> tuple[bytes, ...]:
    return tuple(made_chain(3))


@functools.cache
def true_roots() -> list[TrustRoot]:
    return [TrustRoot.decode(SignedTrustRoot.decode(one).document) for one in root_chain()]


def ders() -> tuple[bytes, ...]:
    return tuple(key.spki for key in release_keys()[1:])


@functools.cache
def pems() -> tuple[bytes, ...]:
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    other = rsa.RSAPublicNumbers(65_537, 2**1_023 + 1).public_key().public_bytes(*form)
    return (*(key.to_pem() for key in release_keys()[1:]), KEY.public_key().public_bytes(*form), other)


def signatures() -> tuple[bytes, ...]:
    one = (1).to_bytes(32, "big")
    return (bytes(64) + b"x", one + one, b"\xff" * 64 + release().block[:20])


# --- what devices report


def device() -> bytes:
    return keys.address_of(device_key())


@functools.cache
def device_key() -> bytes:
    return keys.public_key_bytes(KEY)


def device_word() -> DeviceWord:
    return DeviceWord(
        sequence=0, enrolled=True, retired=False, open_vote=False, group=7, counted=0, head=bytes(20)
    )


def reports() -> tuple[bytes, ...]:
    return (Report(stage=Stage.HEALTH, reason="health-failed", salt=bytes(16), log_tail="log").encode(),)


@functools.cache
def queue() -> Receipts:
    items, previous = [], NO_PREVIOUS
    for sequence in (1, 2, 3):
        event = UpdateEvent(
            release=b"\1" * 32,
            sequence=sequence,
            kind=EventKind.CHECKED,
            time=1_000 + sequence,
            detail=detail_of(reports()[0]),
            previous=previous,
        )
        items.append(ReceiptItem(sign_event(KEY, event, chain_id=1, journal=JOURNAL), reports()[0]))
        previous = chain_link(event_digest(event, chain_id=1, journal=JOURNAL))
    return Receipts(chain_id=1, journal=JOURNAL, device=device(), public_key=device_key(), items=tuple(items))


def events() -> list[UpdateEvent]:
    return [item.signed.event for item in queue().items]


def queues() -> tuple[bytes, ...]:
    return (queue().encode(), replace(queue(), items=(ReceiptItem(queue().items[0].signed, None),)).encode())


def event_signatures() -> tuple[bytes, ...]:
    return (queue().items[0].signed.signature + device_key(), bytes(64) + device_key())


def enrolments() -> tuple[bytes, ...]:
    return (make_request(KEY, serial="1", salt=bytes(16), compatible="a", hw_revision="").encode(),)


@functools.cache
def batch() -> AnchorBatch:
    return AnchorBatch(chain_id=1, journal=JOURNAL, events=tuple(item.signed for item in queue().items))


def anchors() -> tuple[bytes, ...]:
    return (batch().encode(),)


def anchored() -> Anchored:
    return Anchored(bytes(20), batch().root, bytes(32), 3)


@functools.cache
def anchor_receipts() -> tuple[bytes, ...]:
    log = Log(JOURNAL, (ANCHORED_TOPIC, bytes(32), batch().root), bytes(32) + (3).to_bytes(32, "big"))
    return (Receipt(type=2, succeeded=True, cumulative_gas_used=9, bloom=bytes(256), logs=(log,)).encode(),)


@functools.cache
def anchor_header() -> Header:
    return parse_header(rlp.encode(list(header_fields(receipts_root=receipts_root(anchor_receipts())))))


@functools.cache
def anchor_proofs() -> tuple[bytes, ...]:
    shown = ReceiptProof(
        header=anchor_header().encode(), index=0, nodes=build_receipt_proof(anchor_receipts(), 0)
    )
    return (AnchorProof.of(batch(), (0, 2), receipt=shown, log=0).encode(),)


# --- text


def json_texts() -> tuple[bytes, ...]:
    return (b'{"a": [1, -2.5e3, true, null, "\\u00fc"]}', b'[[[["]"]]]]', b"NaN", b'{"a": 1, "a": 2}')


def facts() -> tuple[bytes, ...]:
    installed = release().installed
    plain = repository().device()
    return tuple(
        facts_to_json(one).encode() for one in (plain, repository().device(installed=installed, now_s=None))
    )


def configs() -> tuple[bytes, ...]:
    return (CONFIG.encode(),)


def rpc_scripts() -> tuple[bytes, ...]:
    """Answers to the questions of one check, in order, one a line."""
    results: list[object] = [
        "0x" + headers()[0].hex(),
        state().get_proof(JOURNAL, [SLOT]),
        state().get_proof(LEDGER, slots()),
        [{"topics": ["0x" + bytes(32).hex()] * 3, "data": "0x" + bytes(96).hex()}],
    ]
    whole = b"\n".join(json.dumps({"jsonrpc": "2.0", "id": 1, "result": one}).encode() for one in results)
    return (whole, b'{"error": {"code": -32601, "message": "no"}}\n' * 3, b'{"result": null}')


def http_answers() -> tuple[bytes, ...]:
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
    pieces = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    return (
        body,
        pieces,
        b"HTTP/1.0 200 OK\r\n\r\nbody",
        b"HTTP/1.1 100 Continue\r\n\r\n" + body,
        b"HTTP/1.1 404 Not Found\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
    )


CONFIG = """trust_root = "trust-root"
compatible = "acme,cam-2"
hw_revision = "C2"
arch = "aarch64"
group = 7
[[rpc]]
url = "http://127.0.0.1:8545/"
[[gateway]]
url = "https://gw.example/ipfs"
[slot.rootfs]
a = "a.img"
b = "/dev/disk/by-partlabel/rootfs-b"
[bootloader]
kind = "simulated"
state = "boot.json"
[[install.window]]
days = ["sat"]
start = "23:30"
end = "04:00"
[[health]]
name = "app"
command = ["/usr/bin/true"]
"""
