"""The document inside a signed trust root, and its strict decoder (protocol.md §3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec

from ledger_protocol import limits
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import MalformedError, TrustRootError
from ledger_protocol.fields import Fields, distinct, octets
from ledger_protocol.keccak import keccak256
from ledger_protocol.release.signing import PublicKey, check_threshold
from ledger_protocol.release.witness_key import VKEY, WitnessKey

if TYPE_CHECKING:
    from ledger_protocol.content.dag_cbor import Encodable, Value

SCHEMA: Final = "fwledger/trust-root/1"
ADDRESS_BYTES: Final = 20
POINT_BYTES: Final = 65  # SEC1 uncompressed: 04 ‖ x ‖ y
REQUIRE: Final = ("any", "all")

_FINAL_RULE: Final = re.compile(r"seals|finalized|depth:[1-9][0-9]{0,5}")
_ORIGIN: Final = re.compile(r"[a-z0-9][a-z0-9._/-]*/evm/[1-9][0-9]{0,19}")


@dataclass(frozen=True, slots=True)
class KeySet:
    """`threshold` of these distinct keys."""

    threshold: int
    keys: tuple[PublicKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRef:
    """The ledger: chain id, contract address (20 bytes), keccak-256 of its code, journal address.

    `from_block` and `from_time` (Unix seconds) are the floor: no older header is accepted.
    """

    chain_id: int
    address: bytes
    code_hash: bytes
    journal: bytes
    from_block: int
    from_time: int


@dataclass(frozen=True, slots=True)
class Validator:
    """A QBFT validator: its address (20 bytes) and secp256k1 public key (65 bytes, uncompressed)."""

    address: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True)
class QbftTrust:
    """The validators whose seals count; fewer than `min_validators` of them are refused."""

    validators: tuple[Validator, ...]
    min_validators: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessTrust:
    """`threshold` of these witnesses (vkeys of C2SP signed notes) must sign a note of this `origin`.

    `final` is the rule by which they hold a block for final: `seals`, `finalized` or `depth:N`.
    """

    threshold: int
    keys: tuple[str, ...]
    origin: str
    final: str


@dataclass(frozen=True, slots=True)
class HeaderTrust:
    """Who vouches for headers. With `any` one of both paths is enough, so the weaker one decides."""

    qbft: QbftTrust | None
    witnesses: WitnessTrust | None
    require: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRoot:
    """What a device believes. Times are Unix seconds, `max_checkpoint_age` seconds, `operator` an address."""

    version: int
    issued_at: int
    expires: int | None
    previous: Cid | None
    root_keys: KeySet
    release_keys: KeySet
    ledger: LedgerRef
    headers: HeaderTrust
    max_checkpoint_age: int | None = None
    operator: bytes | None = None

    def encode(self) -> bytes:
        """Return the document; raise ProtocolError for a root that `decode` would refuse."""
        document = dag_cbor.encode(_to_map(self))
        if TrustRoot.decode(document) != self:
            raise MalformedError("trust root", expected="values that survive encoding", got="others")
        return document

    @classmethod
    def decode(cls, document: bytes) -> TrustRoot:
        """Read a document of at most 64 KiB; `encode` of the result gives it again. Nothing is verified."""
        fields = Fields.document(document, schema=SCHEMA, max_bytes=limits.MAX_TRUST_ROOT_BYTES)
        root = cls(
            version=fields.integer("version", low=1, high=limits.MAX_U32),
            issued_at=fields.integer("issued_at", high=limits.MAX_TIME_S),
            expires=fields.integer_or_null("expires", high=limits.MAX_TIME_S),
            previous=fields.link_or_null("previous", codecs=(DAG_CBOR,)),
            root_keys=_key_set(fields.group("root_keys"), what="root keys"),
            release_keys=_key_set(fields.group("release_keys"), what="release keys"),
            ledger=_ledger(fields.group("ledger")),
            headers=_headers(fields.group("headers")),
            max_checkpoint_age=fields.integer_or_null("max_checkpoint_age", low=1, high=limits.MAX_U32),
            operator=fields.octets_or_null("operator", size=ADDRESS_BYTES),
        )
        fields.end()
        if (root.previous is None) != (root.version == 1):
            raise TrustRootError(
                "previous of trust root",
                expected="null in version 1 and only there",
                got=f"version {root.version}",
            )
        witnesses = root.headers.witnesses
        if witnesses is not None and not witnesses.origin.endswith(f"/evm/{root.ledger.chain_id}"):
            raise TrustRootError(
                "origin of witnesses", expected=f"to end in /evm/{root.ledger.chain_id}", got=witnesses.origin
            )
        if root.expires is not None and root.expires <= root.issued_at:
            raise TrustRootError("expiry of trust root", expected=f"after {root.issued_at}", got=root.expires)
        return root


def _key_set(fields: Fields, *, what: str) -> KeySet:
    threshold = fields.integer("threshold", low=1, high=limits.MAX_KEYS)
    items = fields.items("keys", min_count=1, max_count=limits.MAX_KEYS)
    fields.end()
    keys = tuple(_key(item, what=what) for item in items)
    check_threshold(keys, threshold, what=what)
    return KeySet(threshold, keys)


def _key(item: Value, *, what: str) -> PublicKey:
    if not isinstance(item, bytes):
        raise MalformedError(what, expected="a key as bytes", got=type(item).__name__)
    return PublicKey(item)


def _ledger(fields: Fields) -> LedgerRef:
    ledger = LedgerRef(
        chain_id=fields.integer("chain_id", low=1, high=limits.MAX_U64),
        address=fields.octets("address", size=ADDRESS_BYTES),
        code_hash=fields.octets("code_hash", size=32),
        journal=fields.octets("journal", size=ADDRESS_BYTES),
        from_block=fields.integer("from_block", high=limits.MAX_U64),
        from_time=fields.integer("from_time", high=limits.MAX_TIME_S),
    )
    fields.end()
    return ledger


def _headers(fields: Fields) -> HeaderTrust:
    qbft = fields.group_or_null("qbft")
    witnesses = fields.group_or_null("witnesses")
    headers = HeaderTrust(
        None if qbft is None else _qbft(qbft),
        None if witnesses is None else _witnesses(witnesses),
        fields.choice("require", REQUIRE),
    )
    fields.end()
    if headers.qbft is None and headers.witnesses is None:
        raise TrustRootError("headers of trust root", expected="validators or witnesses", got="neither")
    return headers


def _qbft(fields: Fields) -> QbftTrust:
    groups = fields.groups("validators", min_count=1, max_count=limits.MAX_VALIDATORS)
    validators = tuple(_validator(item) for item in groups)
    minimum = fields.integer("min_validators", low=1, high=limits.MAX_VALIDATORS)
    fields.end()
    distinct((validator.address.hex() for validator in validators), where="validators")
    if len(validators) < minimum:
        raise TrustRootError("validators", expected=f"at least {minimum}", got=len(validators))
    return QbftTrust(validators, minimum)


def _validator(fields: Fields) -> Validator:
    address = fields.octets("address", size=ADDRESS_BYTES)
    point = octets(fields.take("public_key"), size=POINT_BYTES, where="public key of validator")
    fields.end()
    if keccak256(point[1:])[12:] != address:
        raise TrustRootError("address of validator", expected=keccak256(point[1:])[12:], got=address)
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), point)
    except ValueError:
        raise TrustRootError(
            "public key of validator", expected="an uncompressed point on secp256k1", got=point
        ) from None
    return Validator(address, point)


def check_witness_trust(witnesses: WitnessTrust) -> None:
    """Raise ProtocolError where no trust root could pin these witnesses."""
    document = dag_cbor.encode(_witness_map(witnesses))
    value = dag_cbor.decode(document, max_bytes=limits.MAX_TRUST_ROOT_BYTES)
    _witnesses(Fields(value, where="witnesses"))


def _witnesses(fields: Fields) -> WitnessTrust:
    witnesses = WitnessTrust(
        threshold=fields.integer("threshold", low=1, high=limits.MAX_WITNESSES),
        keys=fields.names(
            "keys",
            min_count=1,
            max_count=limits.MAX_WITNESSES,
            pattern=VKEY,
            max_bytes=limits.MAX_VKEY_BYTES,
        ),
        origin=fields.name("origin", pattern=_ORIGIN, max_bytes=limits.MAX_LABEL_BYTES),
        final=fields.name("final", pattern=_FINAL_RULE),
    )
    fields.end()
    distinct(
        (WitnessKey.parse(vkey).point.hex() for vkey in witnesses.keys), where="public keys of witnesses"
    )
    if not len(witnesses.keys) < 2 * witnesses.threshold <= 2 * len(witnesses.keys):
        raise TrustRootError(
            "threshold of witnesses",
            expected=f"more than half of {len(witnesses.keys)}, at most all",
            got=witnesses.threshold,
            hint="with half of them or fewer, two notes that differ could both count",
        )
    return witnesses


def _to_map(root: TrustRoot) -> dict[str, Encodable]:
    ledger, qbft, witnesses = root.ledger, root.headers.qbft, root.headers.witnesses
    return {
        "schema": SCHEMA,
        "version": root.version,
        "issued_at": root.issued_at,
        "expires": root.expires,
        "previous": root.previous,
        "root_keys": _key_map(root.root_keys),
        "release_keys": _key_map(root.release_keys),
        "ledger": {
            "chain_id": ledger.chain_id,
            "address": ledger.address,
            "code_hash": ledger.code_hash,
            "journal": ledger.journal,
            "from_block": ledger.from_block,
            "from_time": ledger.from_time,
        },
        "headers": {
            "qbft": None if qbft is None else _qbft_map(qbft),
            "witnesses": None if witnesses is None else _witness_map(witnesses),
            "require": root.headers.require,
        },
        "max_checkpoint_age": root.max_checkpoint_age,
        "operator": root.operator,
    }


def _key_map(keys: KeySet) -> dict[str, Encodable]:
    return {"threshold": keys.threshold, "keys": [key.spki for key in keys.keys]}


def _qbft_map(qbft: QbftTrust) -> dict[str, Encodable]:
    return {
        "validators": [{"address": one.address, "public_key": one.public_key} for one in qbft.validators],
        "min_validators": qbft.min_validators,
    }


def _witness_map(witnesses: WitnessTrust) -> dict[str, Encodable]:
    return {
        "threshold": witnesses.threshold,
        "keys": witnesses.keys,
        "origin": witnesses.origin,
        "final": witnesses.final,
    }
