"""What the mutator attacks: every kind of document that a stranger hands to a device or an auditor, made by real
worlds, each with the whole verification that it goes through.
"""

from __future__ import annotations

import functools
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from eth_keys import keys as reference

from device_verifier.errors import NotTrusted, SourceUnreachable
from device_verifier.fetcher import fetch_image
from device_verifier.release import VerifiedRelease, verify_release
from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import TrustedLedger
from device_verifier.trusted_roots import TrustedRoots
from ledger_protocol.bundle import open_bundle, write_bundle
from ledger_protocol.content import car, dag_cbor
from ledger_protocol.content.cid import Cid
from ledger_protocol.errors import MalformedError, ProtocolError
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.receipt_proof import (
    Log,
    Receipt,
    ReceiptProof,
    build_receipt_proof,
    receipts_root,
    verify_receipt,
)
from ledger_protocol.ledger.witness_note import join_notes, verify_note
from ledger_protocol.release.trust_root import QbftTrust, SignedTrustRoot, Validator, verify_first
from ledger_protocol.report.document import Report, Stage, detail_of
from ledger_protocol.report.enrolment import EnrolmentRequest, make_request
from ledger_protocol.report.event import (
    NO_PREVIOUS,
    EventKind,
    SignedEvent,
    UpdateEvent,
    chain_link,
    event_digest,
    sign_event,
    verify_event_signature,
    verify_queue,
)
from ledger_protocol.report.receipts import ReceiptItem, Receipts
from tests.sim.mutator import Subject
from tests.sim.repository import DEVICE, OPERATOR, Release, Repository
from tests.sim.sources import MemoryBlocks
from tests.sim.validators import Validators, header_fields
from tests.sim.witnesses import Witnesses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from device_verifier.ledger_view import LedgerView

NETWORK = Path(__file__).parents[1] / "vectors" / "qbft-network.json"
JOURNAL = b"\x22" * 20
REFUSALS = (ProtocolError, NotTrusted)
MANY = 100_000  # bytes; no document of the small worlds is larger


class Small:
    """A world with two channels, an older release and a revoked one, a group, a device, and three blocks."""

    def __init__(self, *, round_: int = 0, **repository: Any) -> None:
        self.repository = repository_ = Repository(operator=OPERATOR, **repository)
        self.old = repository_.build(9)
        self.new = repository_.build(10, previous=self.old.id, channels=("stable", "beta"))
        self.other = repository_.build(11, channels=("beta",), security_version=2)
        repository_.publish(self.old)
        repository_.publish(self.other, channel="beta", immediate=False, initial_bps=500)
        repository_.assign(7, "stable")
        repository_.enrol(DEVICE, group=7, sequence=3, head=b"\5" * 20)
        repository_.approve(self.old.id)
        self.before = repository_.seal(round_=round_)
        repository_.publish(self.new, epoch=2)
        repository_.approve(self.new.id)
        repository_.revoke(self.old.id, reason=4)
        self.now = repository_.seal(round_=round_)
        repository_.halt("beta")
        repository_.revoke(self.new.id, mandatory=True)
        self.later = repository_.seal(round_=round_)

    def view(self, proof: bytes, query: StateQuery) -> LedgerView:
        """What a device that holds the factory root learns; hints and steps are left out: they prove nothing."""
        ledger = TrustedLedger(trust_root=self.repository.factory_root, floor=None, now_s=None)
        ledger.update_header(proof)
        return replace(ledger.read(query), envelope_hints=(), steps=())

    def subject(self, name: str, query: StateQuery, *, loose: bool = False) -> Subject:
        """Attack the proof of block `now`. `loose` where the root takes a header or a note: either may be lost."""
        proofs = [self.repository.proof(query, block) for block in (self.now, self.before, self.later)]
        truths = [self.view(proof, query) for proof in proofs]
        assert [view.head for view in truths] == [self.new.id, self.old.id, self.new.id]
        assert [view.head_revoked is None for view in truths] == [True, True, False]
        beta = StateQuery(channel="beta", installed=query.installed, operator=OPERATOR)

        def is_true(found: LedgerView) -> bool:
            return any(_as_said(found, truth) if loose else found == truth for truth in truths)

        return Subject(
            name,
            proofs[0],
            lambda data: self.view(data, query),
            is_true,
            strays=(*proofs[1:], self.repository.proof(beta, self.now), stranger(query)),
            refusals=REFUSALS,
        )


def _as_said(found: LedgerView, truth: LedgerView) -> bool:
    """Compare views where one of two paths of trust may be gone, or some signers of a note."""
    seen, real = found.header, truth.header
    heard = seen.witnessed_at is None or seen.witnessed_at <= (real.witnessed_at or 0)
    rooted = seen.receipts_root in {None, real.receipts_root}
    plain = replace(seen, witnessed_at=real.witnessed_at, receipts_root=real.receipts_root)
    return heard and rooted and replace(found, header=plain) == truth


@functools.cache
def stranger(query: StateQuery) -> bytes:
    """A proof of a world of other keys in which another release is the head: nothing of it may be believed."""
    world = Repository(seed=2, operator=OPERATOR)
    world.publish(world.build(99))
    world.assign(7, "stable")
    world.seal()
    return world.proof(query)


# --- ledger proofs


def ledger_subjects() -> tuple[Subject, ...]:
    """Ledger proofs under seals of rounds 0 and 2, under notes, under both; by channel, by group, of the device."""
    plain, rounds = Small(), Small(round_=2)
    noted = Small(sealed=False, witnesses=Witnesses())
    either = Small(witnesses=Witnesses(), require="any")
    both = Small(witnesses=Witnesses(), require="all")
    query = StateQuery(channel="stable", installed=plain.old.id, operator=OPERATOR)
    return (
        plain.subject("sealed at round 0", query),
        rounds.subject("sealed at round 2", replace(query, installed=rounds.old.id)),
        plain.subject("by group", StateQuery(group=7, operator=OPERATOR, also_revoked=(plain.other.id,))),
        plain.subject("of a device", StateQuery(device=DEVICE, operator=OPERATOR)),
        noted.subject("noted", query, loose=True),
        either.subject("sealed or noted", query, loose=True),
        both.subject("sealed and noted", query, loose=True),
        recorded_header(),
    )


def recorded_header() -> Subject:
    """A header that a real network of four validators sealed, among others of that network."""
    recorded = [bytes.fromhex(entry["raw"][2:]) for entry in json.loads(NETWORK.read_text())["headers"]]
    found: dict[bytes, bytes] = {}
    for raw in recorded:
        header = parse_header(raw)
        for seal in qbft.parse_extra(header.extra_data).seals:
            key = reference.Signature(seal).recover_public_key_from_msg_hash(qbft.seal_digest(header))
            found[key.to_canonical_address()] = b"\4" + key.to_bytes()
    trust = QbftTrust(tuple(Validator(address, key) for address, key in sorted(found.items())), 4)

    def verify(data: bytes) -> tuple[bytes, bytes, int]:
        header = qbft.verify_seals(data, trust)
        return qbft.block_hash(header), header.state_root, header.timestamp

    sealed = [raw for raw in recorded if qbft.parse_extra(parse_header(raw).extra_data).seals]
    truths = [verify(raw) for raw in sealed]
    return Subject(
        "header of a real network", sealed[-1], verify, truths.__contains__, strays=tuple(sealed[:-1])
    )


# --- documents


def document_subjects() -> tuple[Subject, ...]:
    """Trust roots, releases, receipts of blocks, queues of events, requests to be enrolled, notes."""
    return (
        first_root(),
        root_chain(),
        release(),
        receipt_proof(),
        *event_queues(),
        enrolment(),
        *notes(),
    )


def _rotated() -> Repository:
    world = Repository()
    for seed in (2, 3):
        world.rotate_validators(seed)
    world.root_keys = world.root_keys[::-1]
    world.rotate_root(max_checkpoint_age=9_000)
    return world


def first_root() -> Subject:
    world = Repository()
    signed = world.sign_root(world.root, world.root_keys)  # one signature more than the threshold
    strays = (world.factory_root, Repository(operator=OPERATOR).factory_root)
    truths = [world.root, verify_first(strays[1], now_s=None)]
    return Subject(
        "first trust root", signed, lambda data: verify_first(data, now_s=None), truths.__contains__, strays
    )


def root_chain() -> Subject:
    """Roots offered to a device: whatever else comes, it ends on a version that follows from the first."""
    world = _rotated()
    truth = [SignedTrustRoot.decode(one).document for one in world.signed_roots]

    def verify(data: bytes) -> list[bytes]:
        offered = dag_cbor.decode(data, max_bytes=MANY)
        if not isinstance(offered, list):
            raise MalformedError("offer", expected="a list")
        held = TrustedRoots(trust_root=world.factory_root, walked=())
        try:
            held.update([one for one in offered if isinstance(one, bytes)])
        except NotTrusted:
            if not held.accepted:
                raise
        return [SignedTrustRoot.decode(one).document for one in held.accepted]

    def is_true(found: list[bytes]) -> bool:
        return found == truth[1 : 1 + len(found)]

    stranger = Repository(seed=5)
    stranger.rotate_validators(6)
    return Subject(
        "walk of trust roots",
        dag_cbor.encode(world.signed_roots),
        verify,
        is_true,
        strays=(dag_cbor.encode(stranger.signed_roots), dag_cbor.encode(_rotated().signed_roots[::-1])),
        refusals=REFUSALS,
    )


def _pair(release: Release) -> bytes:
    return dag_cbor.encode([release.envelope, release.block])


def release() -> Subject:
    """Envelope and manifest of the release that the ledger names."""
    world = Repository()
    made = world.build(3, signers=world.release_keys, channels=("beta", "stable"))
    truth = verify_release(made.envelope, made.block, head=made.id, root=world.root)

    def verify(data: bytes) -> VerifiedRelease:
        found = dag_cbor.decode(data, max_bytes=MANY)
        if not (isinstance(found, list) and len(found) == 2 and all(isinstance(one, bytes) for one in found)):
            raise MalformedError("pair", expected="two blocks")
        return verify_release(found[0], found[1], head=made.id, root=world.root)  # type: ignore[arg-type]

    def is_true(found: VerifiedRelease) -> bool:
        # One signature of the three may be lost.
        same = (found.manifest, found.release_id) == (truth.manifest, truth.release_id)
        return same and found.signers <= truth.signers and len(found.signers) >= 2

    forged = Repository(seed=8).build(4)
    return Subject(
        "release",
        _pair(made),
        verify,
        is_true,
        strays=(_pair(world.build(2)), _pair(forged)),
        refusals=REFUSALS,
    )


def receipt_proof() -> Subject:
    """A log of a block, against the header that validators sealed."""
    validators = Validators()
    trust = validators.trust()
    receipts = [
        Receipt(
            type=index % 5,
            succeeded=index % 3 != 0,
            cumulative_gas_used=21_000 * (index + 1),
            bloom=bytes(256),
            logs=tuple(
                Log(bytes([index]) * 20, (bytes(32), b"\7" * 32), b"data%d" % n) for n in range(index % 3)
            ),
        )
        for index in range(40)
    ]
    encoded = [one.encode() for one in receipts]
    header = validators.seal(header_fields(receipts_root=receipts_root(encoded)), round_=1)

    def proof(index: int) -> bytes:
        return ReceiptProof(header=header, index=index, nodes=build_receipt_proof(encoded, index)).encode()

    def verify(data: bytes) -> tuple[int, int, Receipt]:
        decoded = ReceiptProof.decode(data)
        trusted = qbft.verify_seals(decoded.header, trust)
        return trusted.number, decoded.index, verify_receipt(decoded, header=trusted)

    def is_true(found: tuple[int, int, Receipt]) -> bool:
        return found == (100, found[1], receipts[found[1]])

    return Subject("receipt proof", proof(17), verify, is_true, strays=tuple(map(proof, (0, 1, 16, 18, 39))))


def _queue(
    key: ec.EllipticCurvePrivateKey, *, count: int = 5, chain_id: int = 1, release: bytes = b"\1"
) -> Receipts:
    items = []
    previous = NO_PREVIOUS
    for sequence in range(1, count + 1):
        report = Report(stage=Stage.HEALTH, reason="health-failed", salt=bytes([sequence]) * 16).encode()
        event = UpdateEvent(
            release=release * 32,
            sequence=sequence,
            kind=EventKind(1 + sequence % 7),
            time=1_000 + sequence,
            detail=detail_of(report),
            previous=previous,
        )
        signed = sign_event(key, event, chain_id=chain_id, journal=JOURNAL)
        items.append(ReceiptItem(signed, report))
        previous = chain_link(event_digest(event, chain_id=chain_id, journal=JOURNAL))
    public = key.public_key().public_numbers()
    raw = b"\4" + public.x.to_bytes(32, "big") + public.y.to_bytes(32, "big")
    device = reference.PublicKey(raw[1:]).to_canonical_address()
    return Receipts(chain_id=chain_id, journal=JOURNAL, device=device, public_key=raw, items=tuple(items))


def event_queues() -> tuple[Subject, Subject]:
    """A device's events on a stick, and the same as a queue under its last signature."""
    key, thief = (ec.derive_private_key(number, ec.SECP256K1()) for number in (80, 81))
    queue = _queue(key)
    strays = tuple(
        one.encode()
        for one in (_queue(thief), _queue(key, chain_id=2), _queue(thief, release=b"\2", count=9))
    )
    truth = [item.signed for item in queue.items]

    def verify(data: bytes) -> tuple[bytes, Sequence[SignedEvent]]:
        found = Receipts.decode(data)
        if found.device != queue.device:
            raise MalformedError("receipts", expected="those of the device that was asked for")
        return found.verify(chain_id=1, journal=JOURNAL)

    def is_true(found: Sequence[SignedEvent]) -> bool:
        # Events may be lost on the way (a gap that is shown), never altered, made or put in another order.
        rest = iter(truth)
        return all(event in rest for event in found)

    def verify_last(data: bytes) -> list[UpdateEvent]:
        found = Receipts.decode(data)
        events = [item.signed.event for item in found.items]
        verify_queue(events, chain_id=1, journal=JOURNAL)
        digest = event_digest(events[-1], chain_id=1, journal=JOURNAL)
        verify_event_signature(digest, found.items[-1].signed.signature, queue.public_key)
        return events

    def is_run(found: list[UpdateEvent]) -> bool:
        events = [signed.event for signed in truth]
        return any(found == events[start : start + len(found)] for start in range(len(events)))

    return (
        Subject("receipts of a device", queue.encode(), verify, is_true, strays),
        Subject("queue under one signature", queue.encode(), verify_last, is_run, strays),
    )


def enrolment() -> Subject:
    keys = [ec.derive_private_key(number, ec.SECP256K1()) for number in (82, 83)]
    made = [
        make_request(key, serial=str(n), salt=bytes(16), compatible="acme,x", hw_revision=f"B{n}")
        for n, key in enumerate(keys)
    ]
    return Subject(
        "request to be enrolled",
        made[0].encode(),
        EnrolmentRequest.decode,
        made.__contains__,
        (made[1].encode(),),
    )


def notes() -> tuple[Subject, Subject]:
    """A note of five witnesses, and five notes of one each that are joined."""
    witnesses = Witnesses()
    world = Repository(witnesses=witnesses, sealed=False)
    blocks = [world.seal() for _ in range(2)]
    points = [world.checkpoint(block) for block in blocks]
    trust = witnesses.trust()
    times = {place: 2_000_000_000 + place for place in range(5)}
    made = [witnesses.note(point, times) for point in points]
    thieves = Witnesses(seed=9).note(world.checkpoint(blocks[0], hash=b"\1" * 32), times)

    def is_true(found: tuple[object, int]) -> bool:
        # Three of five suffice: with fewer signers the note is older, never newer.
        return found[0] in points and found[1] <= times[2]

    def verify(data: bytes) -> tuple[object, int]:
        note = verify_note(data, trust)
        return note.checkpoint, note.witnessed_at

    def verify_joined(data: bytes) -> tuple[object, int]:
        offered = dag_cbor.decode(data, max_bytes=MANY)
        if not isinstance(offered, list):
            raise MalformedError("offer", expected="a list")
        return verify(join_notes([one for one in offered if isinstance(one, bytes)], trust))

    single = dag_cbor.encode([witnesses.sign(place, points[1], at).encode() for place, at in times.items()])
    older = dag_cbor.encode([witnesses.sign(place, points[0], at).encode() for place, at in times.items()])
    return (
        Subject("note of witnesses", made[1], verify, is_true, (made[0], thieves)),
        Subject("notes that are joined", single, verify_joined, is_true, (older, dag_cbor.encode([thieves]))),
    )


# --- bundles


def bundle_subject() -> Subject:
    """A stick: trust roots, header, words, release and image, as a device without a network takes them."""
    world = Repository()
    factory = world.factory_root
    made = world.build(1, images={"rootfs": b"old" * 300})
    world.publish(made)
    world.seal()
    query = StateQuery(channel="stable")
    older = _bundle(world, made, query)
    world.rotate_validators(4)
    newer = world.build(2, images={"rootfs": bytes(range(256)) * 12})
    world.publish(newer)
    world.announce_root()
    world.seal()
    truths = {made.id: made.images, newer.id: newer.images}

    def verify(data: bytes) -> tuple[bytes, dict[str, bytes]]:
        reader = open_bundle([io.BytesIO(data)])
        ledger = TrustedLedger(trust_root=factory, floor=None, now_s=None)
        ledger.update_roots(reader.trust_roots)
        ledger.update_header(reader.proof)
        head = ledger.read(query).head
        if head is None:
            raise MalformedError("bundle", expected="a release")
        release = verify_release(reader.envelope, reader.manifest, head=head, root=ledger.root)
        blocks = {cid: block for cid, block in reader.blocks()}  # noqa: C416 - typed
        images = {}
        for component in release.manifest.components:
            image = bytearray()
            fetch_image(component, sources=[MemoryBlocks(blocks)], write=image.extend)
            images[component.name] = bytes(image)
        return head, images

    return Subject(
        "bundle",
        _bundle(world, newer, query),
        verify,
        lambda found: truths[found[0]] == found[1],
        strays=(older, _bundle(world, made, query)),
        refusals=(*REFUSALS, SourceUnreachable),
        unpack=_sections,
        pack=_archive,
    )


def _bundle(world: Repository, release: Release, query: StateQuery) -> bytes:
    part = io.BytesIO()
    write_bundle(
        lambda _: part,
        proof=world.proof(query),
        trust_roots=world.signed_roots,
        envelope=release.envelope,
        manifest=release.block,
        blocks=release.blocks.items(),
    )
    return part.getvalue()


def _sections(document: bytes) -> dict[str, Any]:
    stream = io.BytesIO(document)
    roots = list(car.read_header(stream))
    return {"roots": roots, "blocks": [[cid, block] for cid, block in car.iter_blocks(stream)]}


def _archive(sections: Any) -> bytes:
    """Write sections whose CIDs may lie: the reader has to notice."""
    if sections.keys() != {"roots", "blocks"} or not all(isinstance(root, Cid) for root in sections["roots"]):
        raise TypeError("not an archive")
    parts = [car.encode_header(sections["roots"])]
    for cid, block in sections["blocks"]:
        if not isinstance(cid, Cid) or not isinstance(block, bytes):
            raise TypeError("not a section")
        parts += [car.section_head(cid, len(block)), block]
    return b"".join(parts)
