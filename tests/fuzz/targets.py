"""One fuzz target for each decoder of foreign bytes: what it must keep, whatever it is fed.

A target takes any bytes. It lets the decoder's own errors pass, and fails with an AssertionError where a promise is
broken, or with whatever else left the decoder. Each names what it covers; tests/unit/test_fuzz_corpus.py finds what
nobody covers, and replays the corpus.
"""

from __future__ import annotations

import functools
import io
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_verifier.anchors import anchored_events
from device_verifier.config import parse_config
from device_verifier.errors import NotTrusted, UsageError
from device_verifier.facts import facts_from_json, facts_to_json
from device_verifier.release import verify_release
from device_verifier.strict_json import parse_json
from ledger_protocol.content import car, dag_cbor, unixfs, varint
from ledger_protocol.content.cid import Cid
from ledger_protocol.errors import ProtocolError, SignatureError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import merkle_patricia, qbft, rlp, secp256k1
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation, Tally
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.merkle_patricia import NodeSet
from ledger_protocol.ledger.proof import LedgerProof, prove_account, prove_word, verify_words
from ledger_protocol.ledger.receipt_proof import ReceiptProof, decode_receipt, verify_receipt
from ledger_protocol.ledger.witness_note import WitnessNote, join_notes, verify_note
from ledger_protocol.release.envelope import Envelope
from ledger_protocol.release.manifest import Manifest
from ledger_protocol.release.signing import MANIFEST_TYPE, PublicKey, Signature, verify_threshold
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot, verify_first, verify_next, walk
from ledger_protocol.release.witness_key import WitnessKey
from ledger_protocol.report.anchor import AnchorBatch, AnchorProof, read_anchored, verify_anchor_proof
from ledger_protocol.report.document import Report
from ledger_protocol.report.enrolment import EnrolmentRequest
from ledger_protocol.report.event import verify_chain, verify_event_signature, verify_queue
from ledger_protocol.report.receipts import Receipts
from tests.fuzz import worlds
from tests.fuzz.sources import http_target, rpc_target, stick_target

if TYPE_CHECKING:
    from collections.abc import Callable

PROTOCOL = "ledger_protocol."
DEVICE = "device_verifier."
MAX_INPUT = 65_536  # bytes; the longest input that a run makes
MAX_VALUE = 2**20


@dataclass(frozen=True)
class Target:
    """`run` takes any bytes; `covers` are the decoders that it feeds; `seeds` are valid inputs to begin with."""

    run: Callable[[bytes], None]
    covers: tuple[str, ...]
    seeds: Callable[[], tuple[bytes, ...]]


def _canonical(
    decode: Callable[[bytes], Any], encode: Callable[[Any], bytes], refusal: type[Exception] = ProtocolError
) -> Callable[[bytes], None]:
    """Whatever is decoded encodes to the very same bytes: there is one encoding of each value."""

    def run(data: bytes) -> None:
        try:
            value = decode(data)
        except refusal:
            return
        assert encode(value) == data
        assert decode(data) == value

    return run


def _text(decode: Callable[[str], Any], encode: Callable[[Any], str]) -> Callable[[bytes], None]:
    return _canonical(
        lambda data: decode(data.decode("utf-8", "surrogateescape")),
        lambda value: encode(value).encode("utf-8", "surrogateescape"),
    )


def chunks(data: bytes) -> list[bytes]:
    """Cut an input into pieces: two bytes of length before each, the last takes what is left."""
    pieces = []
    while data:
        size = int.from_bytes(data[:2], "big")
        pieces.append(data[2 : 2 + size])
        data = data[2 + size :]
    return pieces


def joined(*pieces: bytes) -> bytes:
    """Make the input that `chunks` cuts into these pieces."""
    return b"".join(len(piece).to_bytes(2, "big") + piece for piece in pieces)


# --- content


def _varint(data: bytes) -> None:
    with suppress(ProtocolError):
        number, end = varint.decode(data, 0)
        assert varint.encode(number) == data[:end]


def _dag_cbor(data: bytes) -> None:
    with suppress(ProtocolError):
        value = dag_cbor.decode(data, max_bytes=MAX_VALUE)
        assert dag_cbor.encode(value) == data


def _car(data: bytes) -> None:
    stream = io.BytesIO(data)
    out = []
    try:
        out.append(car.encode_header(car.read_header(stream)))
        for cid, block in car.iter_blocks(stream, max_block_bytes=MAX_INPUT):
            cid.verify(block)
            out.append(car.encode_section(cid, block))
    except ProtocolError:
        assert b"".join(out[:1]) in (b"", data[: len(out[0])] if out else b"")
        return
    assert b"".join(out) == data


# --- ledger


def _rlp(data: bytes) -> None:
    with suppress(ProtocolError):
        item = rlp.decode(data)
        assert rlp.encode(item) == data
        if isinstance(item, list):
            assert rlp.decode_list(data) == item
        else:
            number = rlp.scalar(item, max_bytes=32, what="number")
            assert rlp.encode_scalar(number) == item


def _extra(data: bytes) -> None:
    with suppress(ProtocolError):
        extra = qbft.parse_extra(data)
        again = qbft.encode_extra(extra.vanity, extra.validators, extra.round, extra.seals, vote=extra.vote)
        assert again == data


def _seals(data: bytes) -> None:
    with suppress(ProtocolError):
        header = qbft.verify_seals(data, worlds.validators().trust())
        assert qbft.block_hash(header) in worlds.sealed_hashes()


def _trie(data: bytes) -> None:
    """The first piece is the path, the second the top node: whatever else there is, a walk ends."""
    pieces = chunks(data)
    if len(pieces) < 2:
        return
    with suppress(ProtocolError):
        nodes = NodeSet(pieces[1:])
        value = merkle_patricia.get(keccak256(pieces[1]), pieces[0][:64], nodes)
        assert value is None or value in data


def _leaves(data: bytes) -> None:
    """The input as what a proven account or slot holds."""
    root, nodes = worlds.leaf(data)
    if nodes:
        with suppress(ProtocolError):
            account = prove_account(root, NodeSet(nodes), worlds.ADDRESS)
            assert account is not None
            fields = [account.nonce, account.balance, account.storage_root, account.code_hash]
            assert rlp.encode([f if isinstance(f, bytes) else rlp.encode_scalar(f) for f in fields]) == data
    root, nodes = worlds.leaf(data, slot=True)
    if nodes:
        with suppress(ProtocolError):
            word = prove_word(root, NodeSet(nodes), worlds.SLOT)
            assert word
            assert rlp.encode(rlp.encode_scalar(word)) == data


def _ledger_proof(data: bytes) -> None:
    with suppress(ProtocolError):
        proof = LedgerProof.decode(data)
        assert proof.encode() == data
        found = verify_words(
            worlds.state().state_root, proof, account=worlds.LEDGER, code_hash=None, keys=worlds.slots()
        )
        assert found == {key: worlds.state().word(worlds.LEDGER, key) for key in worlds.slots()}


def _device_view(data: bytes) -> None:
    """The whole of V1 to V4."""
    with suppress(NotTrusted):
        assert worlds.view(data) in worlds.true_views()


def _receipt_proof(data: bytes) -> None:
    with suppress(ProtocolError):
        proof = ReceiptProof.decode(data)
        assert proof.encode() == data
        receipt = verify_receipt(proof, header=worlds.receipts_header())
        assert receipt.encode() == worlds.receipts()[proof.index]


def _words(data: bytes) -> None:
    word = int.from_bytes(data[:33], "big")
    for kind in (ChannelWord, Revocation, DeviceWord, Tally):
        with suppress(ProtocolError):
            value = kind.decode(word)
            assert (0 if value is None else value.encode()) == word


def _validator_key(data: bytes) -> None:
    with suppress(ProtocolError):
        key = secp256k1.PublicKey.from_bytes(data[:65])
        assert key.raw == data[:65]
        assert not key.has_signed(bytes(32), data[65:129])


# --- notes, keys, roots, releases


def _note(data: bytes) -> None:
    with suppress(ProtocolError):
        assert WitnessNote.decode(data).encode() == data
        assert verify_note(data, worlds.witnesses().trust()).checkpoint in worlds.checkpoints()


def _notes(data: bytes) -> None:
    with suppress(ProtocolError):
        note = join_notes(chunks(data)[:64], worlds.witnesses().trust())
        assert verify_note(note, worlds.witnesses().trust()).checkpoint in worlds.checkpoints()


def _root(data: bytes) -> None:
    with suppress(ProtocolError):
        signed = SignedTrustRoot.decode(data)
        assert signed.encode() == data
        verify_first(data, now_s=None)
        first = worlds.root_chain()[0]
        held = SignedTrustRoot.decode(first)
        found = verify_next(data, held=TrustRoot.decode(held.document), held_cid=held.cid, now_s=None)
        assert found in worlds.true_roots()


def _walk(data: bytes) -> None:
    try:
        steps = walk(worlds.root_chain()[0], chunks(data), now_s=None).steps
    except ProtocolError as error:
        steps = getattr(error, "steps", ())
    assert all(
        TrustRoot.decode(SignedTrustRoot.decode(step).document) in worlds.true_roots() for step in steps
    )


def _pem(data: bytes) -> None:
    with suppress(SignatureError):
        key = PublicKey.from_pem(data)
        assert PublicKey.from_der(key.spki) == key
        assert PublicKey.from_pem(key.to_pem()) == key


def _signature(data: bytes) -> None:
    """64 bytes of signature over what follows, under keys of both kinds: none is right."""
    keys = worlds.release_keys()
    for key in keys:
        with suppress(SignatureError):
            key.verify(MANIFEST_TYPE, data[64:], data[:64])
            raise AssertionError("forged")
    with suppress(ProtocolError):
        claims = [Signature(key.key_id, data[:64]) for key in keys]
        verify_threshold(MANIFEST_TYPE, data[64:], claims, keys=keys, threshold=1)
        raise AssertionError("forged")


def _release(data: bytes) -> None:
    pieces = chunks(data)
    if len(pieces) == 2:
        with suppress(NotTrusted):
            found = verify_release(pieces[0], pieces[1], head=worlds.release().id, root=worlds.root())
            assert found.manifest == worlds.release().manifest


# --- what devices report


def _receipts(data: bytes) -> None:
    with suppress(ProtocolError):
        receipts = Receipts.decode(data)
        assert receipts.encode() == data
        events = receipts.verify(chain_id=1, journal=worlds.JOURNAL)
        plain = [signed.event for signed in events]
        if receipts.device == worlds.device():
            assert set(plain) <= set(worlds.events())
        verify_chain(plain, after=worlds.device_word(), chain_id=1, journal=worlds.JOURNAL)
        verify_queue(plain, chain_id=1, journal=worlds.JOURNAL)


def _event_signature(data: bytes) -> None:
    for public in (worlds.device_key(), data[64:129]):
        with suppress(ProtocolError):
            verify_event_signature(bytes(32), data[:64], public)
            raise AssertionError("forged")


def _anchor(data: bytes) -> None:
    with suppress(ProtocolError):
        batch = AnchorBatch.decode(data)
        assert batch.encode() == data
        batch.verify(worlds.anchored(), chain_id=1, journal=worlds.JOURNAL)
        assert {signed.event for signed in batch.events} == set(worlds.events())


def _anchor_proof(data: bytes) -> None:
    with suppress(ProtocolError):
        proof = AnchorProof.decode(data)
        assert proof.encode() == data
        _, shown = verify_anchor_proof(proof, header=worlds.anchor_header(), journal=worlds.JOURNAL)
        assert {signed.event for signed in shown} <= set(worlds.events())


def _anchored(data: bytes) -> None:
    """The device's side, under a root whose validators never sealed such a block."""
    with suppress(NotTrusted):
        anchored_events(data, root=worlds.root())
        raise AssertionError("forged")


def _anchor_log(data: bytes) -> None:
    with suppress(ProtocolError):
        for log in decode_receipt(data).logs:
            read_anchored(replace(log, address=worlds.JOURNAL), journal=worlds.JOURNAL)


# --- text that a device reads


def _json(data: bytes) -> None:
    with suppress(ValueError):
        assert parse_json(data, max_bytes=MAX_INPUT) == json.loads(data) or b"NaN" in data


def _facts(data: bytes) -> None:
    with suppress(UsageError):
        facts = facts_from_json(data)
        assert facts_from_json(facts_to_json(facts).encode()) == facts


def _config(data: bytes) -> None:
    with suppress(UsageError):
        parse_config(data, base=Path("/etc/fwledger"))


def _covers(prefix: str, *names: str) -> tuple[str, ...]:
    return tuple(prefix + name for name in names)


_content = functools.partial(_covers, PROTOCOL + "content.")
_ledger = functools.partial(_covers, PROTOCOL + "ledger.")
_roots = functools.partial(_covers, PROTOCOL + "release.")
_report = functools.partial(_covers, PROTOCOL + "report.")

TARGETS: dict[str, Target] = {
    "varint": Target(_varint, _content("varint.decode"), lambda: (b"\x80\x01", b"\xff" * 8 + b"\x7f")),
    "cid": Target(_canonical(Cid.from_bytes, Cid.to_bytes), _content("cid.Cid.from_bytes"), worlds.cids),
    "cid-text": Target(_text(Cid.parse, str), _content("cid.Cid.parse"), worlds.cid_texts),
    "dag-cbor": Target(_dag_cbor, _content("dag_cbor.decode"), worlds.documents),
    "file-node": Target(
        _canonical(unixfs.decode_node, lambda node: unixfs.encode_node(node.links)),
        _content("unixfs.decode_node"),
        worlds.file_nodes,
    ),
    "car": Target(
        _car,
        _content(
            "car.read_header", "car.iter_blocks", "car.read_section_head", "car.read_varint", "car.read_exactly",
            "cid.Cid.verify",
        ),
        worlds.archives,
    ),
    "bundle": Target(
        stick_target,
        (PROTOCOL + "bundle.open_bundle", DEVICE + "sources.bundle.Bundle.get"),
        worlds.archives,
    ),
    "rlp": Target(_rlp, _ledger("rlp.decode", "rlp.decode_list", "rlp.scalar"), worlds.rlp_items),
    "header": Target(
        _canonical(parse_header, lambda header: header.encode()), _ledger("header.parse_header"), worlds.headers
    ),
    "extra-data": Target(_extra, _ledger("qbft.parse_extra"), worlds.extra_data),
    "seals": Target(_seals, _ledger("qbft.verify_seals"), worlds.headers),
    "trie": Target(
        _trie,
        _ledger("merkle_patricia.get", "merkle_patricia.NodeSet.load"),
        lambda: tuple(joined(*pieces) for pieces in worlds.walks()),
    ),
    "leaves": Target(_leaves, _ledger("proof.prove_account", "proof.prove_word"), worlds.leaf_values),
    "ledger-proof": Target(
        _ledger_proof,
        _ledger("proof.LedgerProof.decode", "proof.verify_words", "proof.read_source", "proof.read_nodes"),
        worlds.ledger_proofs,
    ),
    "device-view": Target(_device_view, (DEVICE + "trusted_ledger.TrustedLedger.read",), worlds.view_proofs),
    "receipt": Target(
        _canonical(decode_receipt, lambda receipt: receipt.encode()),
        _ledger("receipt_proof.decode_receipt"),
        worlds.receipt_seeds,
    ),
    "receipt-proof": Target(
        _receipt_proof,
        _ledger("receipt_proof.ReceiptProof.decode", "receipt_proof.verify_receipt"),
        worlds.receipt_proofs,
    ),
    "words": Target(
        _words,
        _ledger(*(f"contract_state.{kind}.decode" for kind in ("ChannelWord", "Revocation", "DeviceWord", "Tally"))),
        worlds.words,
    ),
    "validator-key": Target(_validator_key, _ledger("secp256k1.PublicKey.from_bytes"), worlds.points),
    "note": Target(_note, _ledger("witness_note.WitnessNote.decode", "witness_note.verify_note"), worlds.notes),
    "notes": Target(_notes, _ledger("witness_note.join_notes"), lambda: (joined(*worlds.single_notes()),)),
    "vkey": Target(
        _text(WitnessKey.parse, lambda key: key.vkey), _roots("witness_key.WitnessKey.parse"), worlds.vkeys
    ),
    "envelope": Target(
        _canonical(Envelope.decode, Envelope.encode),
        _roots("envelope.Envelope.decode", "signing.decode_signatures"),
        lambda: (worlds.release().envelope,),
    ),
    "manifest": Target(
        _canonical(Manifest.decode, Manifest.encode), _roots("manifest.Manifest.decode"), worlds.manifests
    ),
    "trust-root": Target(
        _canonical(TrustRoot.decode, TrustRoot.encode),
        _roots("root_document.TrustRoot.decode"),
        worlds.root_documents,
    ),
    "signed-root": Target(
        _root,
        _roots("trust_root.SignedTrustRoot.decode", "trust_root.verify_first", "trust_root.verify_next"),
        worlds.root_chain,
    ),
    "walk": Target(_walk, _roots("trust_root.walk"), lambda: (joined(*worlds.root_chain()),)),
    "key": Target(
        _canonical(PublicKey.from_der, lambda key: key.spki), _roots("signing.PublicKey.from_der"), worlds.ders
    ),
    "key-pem": Target(_pem, _roots("signing.PublicKey.from_pem"), worlds.pems),
    "signature": Target(
        _signature, _roots("signing.PublicKey.verify", "signing.verify_threshold"), worlds.signatures
    ),
    "release": Target(
        _release,
        (DEVICE + "release.verify_release",),
        lambda: (joined(worlds.release().envelope, worlds.release().block),),
    ),
    "report": Target(
        _canonical(Report.decode, Report.encode), _report("document.Report.decode"), worlds.reports
    ),
    "enrolment": Target(
        _canonical(EnrolmentRequest.decode, EnrolmentRequest.encode),
        _report("enrolment.EnrolmentRequest.decode"),
        worlds.enrolments,
    ),
    "receipts": Target(
        _receipts,
        _report(
            "receipts.Receipts.decode", "receipts.Receipts.verify", "event_fields.read_event",
            "event.verify_chain", "event.verify_follows", "event.verify_queue",
        ),
        worlds.queues,
    ),
    "event-signature": Target(
        _event_signature,
        _report("event.verify_event_signature", "device_key.verify_digest"),
        worlds.event_signatures,
    ),
    "anchor": Target(_anchor, _report("anchor.AnchorBatch.decode", "anchor.AnchorBatch.verify"), worlds.anchors),
    "anchor-proof": Target(
        _anchor_proof,
        _report("anchor.AnchorProof.decode", "anchor.verify_anchor_proof"),
        worlds.anchor_proofs,
    ),
    "anchor-log": Target(_anchor_log, _report("anchor.read_anchored"), worlds.anchor_receipts),
    "anchored": Target(_anchored, (DEVICE + "anchors.anchored_events",), worlds.anchor_proofs),
    "json": Target(_json, (DEVICE + "strict_json.parse_json",), worlds.json_texts),
    "facts": Target(_facts, (DEVICE + "facts.facts_from_json",), worlds.facts),
    "config": Target(
        _config, _covers(DEVICE, "config.parse_config", "config.load_config"), worlds.configs
    ),
    "rpc": Target(
        rpc_target,
        _covers(DEVICE, "sources.rpc.RpcLedger.proof", "sources.rpc.RpcLedger.trust_roots"),
        worlds.rpc_scripts,
    ),
    "http": Target(
        http_target,
        _covers(
            DEVICE, "sources.http.HttpClient.get", "sources.gateway.GatewayBlocks.get",
            "sources.relay.RelayLedger.proof", "sources.relay.RelayLedger.trust_roots", "sources.witnesses.WitnessNotes.newest", "sources.witnesses.WitnessNotes.at",
        ),
        worlds.http_answers,
    ),
}  # fmt: skip
