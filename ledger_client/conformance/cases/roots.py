"""Trust roots: how a device walks from the one it holds to the newest, by signatures alone (§3, V0)."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ledger_client.conformance.case import HEADER, ROOT, Expected, refuse
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world import cbor, documents, headers, keys, notes
from ledger_client.conformance.world.documents import Document
from ledger_client.conformance.world.headers import Sealing
from ledger_client.conformance.world.keys import TRUST_ROOT_TYPE, SigningKey, dsse, ed25519_key, p256_key
from ledger_client.conformance.world.manufacturer import ORIGIN
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.ledger.contract_state import trust_root_key
from ledger_protocol.report.reasons import Reason

SECTION: Final = "§3"
FORGED: Final = "forged header"
FREEZE: Final = "indefinite freeze"
STOLEN: Final = "threshold - 1 keys stolen"
OLD_KEYS: Final = "old validators' keys"
# A root that is not taken leaves the device with the old one, under which the attacker's header is nobody's.
NOT_TAKEN: Final = refuse(*ROOT, *HEADER)
ATTACKERS: Final = "attacker"
YEAR_S: Final = 365 * 24 * 3_600


def attackers_headers() -> Document:
    """Give the header trust that an attacker wishes for: validators of its own."""
    return {"qbft": documents.qbft(headers.validators(4, ATTACKERS)), "witnesses": None, "require": "any"}


def _hostile(
    name: str,
    why: str,
    make: Callable[[Scenario, Document], bytes],
    *,
    attack: str = FORGED,
    expected: Expected = NOT_TAKEN,
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Register a case in which version 2 hands the header trust to an attacker, who seals the next block.

    `make` turns the fields of that version into the signed root that is offered.
    """

    @case(f"root.{name}", attack, SECTION, expected, why)
    def _(s: Scenario) -> None:
        fields = s.world.next_root(**{"headers": attackers_headers(), **(changes or {})})
        offered = make(s, fields)
        s.world.words[trust_root_key()] = int.from_bytes(
            hashlib.sha256(_document_of(offered)).digest(), "big"
        )
        s.seal(Sealing(by=headers.validators(4, ATTACKERS)))
        s.check({**s.stick(), "trust-root-2.cbor": offered}, root_version=1)


def _document_of(offered: bytes) -> bytes:
    """Give the document inside a signed root: the ledger names the very one that is offered."""
    envelope = dag_cbor.decode(offered, max_bytes=len(offered))
    assert isinstance(envelope, dict)
    document = envelope["document"]
    assert isinstance(document, bytes)
    return document


def _by(*signers: SigningKey) -> Callable[[Scenario, Document], bytes]:
    return lambda s, fields: s.world.sign_root(fields, signers)


ROOT_KEYS: Final[Sequence[SigningKey]] = [ed25519_key(f"root {place}") for place in range(3)]
THIEVES: Final[Sequence[SigningKey]] = [ed25519_key(f"thief {place}") for place in range(3)]


def _document(s: Scenario, fields: Document, change: Callable[[bytes], bytes]) -> bytes:
    """Sign other bytes than the canonical document."""
    document = change(dag_cbor.encode(fields))
    signers = s.world.root_keys[:2]
    return documents.signed_root(document, [dsse(key, TRUST_ROOT_TYPE, document) for key in signers])


_hostile("unsigned", "a root that nobody signed is anybody's", _by())
_hostile("one-of-two-signatures", "one stolen root key must not be enough", _by(ROOT_KEYS[0]), attack=STOLEN)
_hostile("strangers-signatures", "keys that the held root does not name count for nothing", _by(*THIEVES))
_hostile(
    "one-signature-and-a-strangers",
    "a stranger's signature does not fill up the threshold",
    _by(ROOT_KEYS[0], THIEVES[0]),
    attack=STOLEN,
)
_hostile(
    "signed-by-its-own-keys-alone",
    "the new version's keys vouch for themselves only: the held version's must sign too",
    _by(*THIEVES[:2]),
    changes={"root_keys": documents.key_set(THIEVES, 2)},
)
_hostile(
    "not-signed-by-its-own-keys",
    "new root keys must show that they exist, or a mistake locks the fleet out",
    _by(*ROOT_KEYS[:2]),
    changes={"root_keys": documents.key_set(THIEVES, 2)},
)
_hostile(
    "signed-by-release-keys",
    "release keys sign releases, not roots",
    lambda s, fields: s.world.sign_root(fields, s.world.release_keys[:2]),
)
_hostile(
    "signed-as-a-manifest",
    "each kind of document has its own payload type, so that a signature over one never counts for another",
    lambda s, fields: documents.signed_root(
        dag_cbor.encode(fields),
        [dsse(key, keys.MANIFEST_TYPE, dag_cbor.encode(fields)) for key in s.world.root_keys[:2]],
    ),
)
_hostile(
    "one-signature-twice",
    "what is counted is distinct keys",
    lambda s, fields: documents.signed_root(
        dag_cbor.encode(fields), [dsse(s.world.root_keys[0], TRUST_ROOT_TYPE, dag_cbor.encode(fields))] * 2
    ),
    attack="duplicate signatures or keys",
)
_hostile(
    "signatures-of-another-document",
    "a signature belongs to the bytes that it was made over",
    lambda s, fields: documents.signed_root(
        dag_cbor.encode(fields),
        [dsse(key, TRUST_ROOT_TYPE, dag_cbor.encode(s.world.next_root())) for key in s.world.root_keys[:2]],
    ),
)
_hostile(
    "version-skipped",
    "version 3 is taken after version 2 only, whose keys may have changed",
    _by(*ROOT_KEYS[:2]),
    changes={"version": 3},
)
_hostile(
    "version-repeated",
    "a second version 1 is a fork",
    _by(*ROOT_KEYS[:2]),
    changes={"version": 1, "previous": None},
)
_hostile(
    "version-zero",
    "versions begin at 1",
    _by(*ROOT_KEYS[:2]),
    changes={"version": 0, "previous": None},
)
_hostile(
    "without-previous",
    "each version names the one before it",
    _by(*ROOT_KEYS[:2]),
    changes={"previous": None},
)
_hostile(
    "previous-of-another-history",
    "a root that follows from another version 1 is a fork",
    _by(*ROOT_KEYS[:2]),
    changes={"previous": Cid.of(DAG_CBOR, b"another history")},
)
_hostile(
    "one-key-listed-twice",
    "one key in two places would fill a threshold of two by itself",
    _by(*ROOT_KEYS[:2]),
    attack="duplicate signatures or keys",
    changes={"release_keys": documents.key_set([THIEVES[0], THIEVES[0]], 2)},
)
_hostile(
    "threshold-zero",
    "a threshold of none accepts everything",
    _by(*ROOT_KEYS[:2]),
    changes={"release_keys": {**documents.key_set(THIEVES, 2), "threshold": 0}},
)
_hostile(
    "threshold-above-the-keys",
    "a threshold that cannot be met would lock every device out",
    _by(*ROOT_KEYS[:2]),
    changes={"release_keys": {**documents.key_set(THIEVES, 2), "threshold": 4}},
)
_hostile(
    "trailing-byte",
    "nothing stands behind a document",
    lambda s, fields: _document(s, fields, lambda document: document + b"\x00"),
)
_hostile(
    "unknown-field",
    "an unknown field may change what a known one means",
    _by(*ROOT_KEYS[:2]),
    changes={"emergency": True},
)
_hostile(
    "unknown-schema",
    "another schema is another document",
    _by(*ROOT_KEYS[:2]),
    changes={"schema": "fwledger/trust-root/2"},
)
_hostile(
    "expires-before-issued",
    "a root that was never valid is a mistake",
    _by(*ROOT_KEYS[:2]),
    changes={"expires": 1},
)
_hostile(
    "version-in-long-form",
    "one document has one encoding: a longer form of an integer is refused",
    lambda s, fields: _document(
        s, fields, lambda _: cbor.with_value(fields, "version", cbor.head(cbor.UINT, 2, width=8))
    ),
)
_hostile(
    "larger-than-64-kib",
    "a trust root has 65,536 bytes at most",
    lambda s, fields: documents.signed_root(
        dag_cbor.encode(fields) + bytes(2**16),
        [dsse(key, TRUST_ROOT_TYPE, dag_cbor.encode(fields) + bytes(2**16)) for key in s.world.root_keys[:2]],
    ),
    attack="endless data",
)


def _spki(name: str, spki: bytes, why: str) -> None:
    changed = {"threshold": 1, "keys": [spki, keys.spki(THIEVES[0])]}
    _hostile(
        name,
        why,
        _by(*ROOT_KEYS[:2]),
        attack="duplicate signatures or keys",
        changes={"release_keys": changed},
    )


P256: Final = keys.spki(p256_key("r"))
_spki(
    "key-as-compressed-point",
    bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    + bytes([2 + P256[-1] % 2])
    + P256[27:59],
    "a second encoding of a key has a second key id: only the canonical one is a key",
)
_spki("key-off-the-curve", P256[:-1] + bytes([P256[-1] ^ 1]), "a point off the curve is no key")
_spki(
    "key-of-small-order",
    keys.spki(THIEVES[0])[:12] + b"\x01" + bytes(31),
    "for a point of small order anybody can make signatures",
)
_spki(
    "key-not-reduced",
    keys.spki(THIEVES[0])[:12] + b"\xee" + b"\xff" * 30 + b"\x7f",
    "an Ed25519 point has one encoding",
)
_spki("key-with-trailing-byte", keys.spki(THIEVES[1]) + b"\x00", "a key equals its own re-encoding")


def _header_trust(name: str, why: str, trust: Document) -> None:
    _hostile(name, why, _by(*ROOT_KEYS[:2]), changes={"headers": trust})


_header_trust(
    "no-header-trust",
    "a root without validators and witnesses would believe nobody, or everybody",
    {"qbft": None, "witnesses": None, "require": "any"},
)
_header_trust(
    "three-validators-of-four",
    "fewer validators than the least number are refused",
    {**attackers_headers(), "qbft": documents.qbft(headers.validators(3, ATTACKERS))},
)
_header_trust(
    "65-validators",
    "pinned validators are bounded: 64 at most",
    {**attackers_headers(), "qbft": documents.qbft(headers.validators(65, ATTACKERS))},
)
_header_trust(
    "validator-listed-twice",
    "one validator in two places would seal for two",
    {
        **attackers_headers(),
        "qbft": documents.qbft([*headers.validators(3, ATTACKERS), headers.validators(1, ATTACKERS)[0]]),
    },
)
_header_trust(
    "validators-address-of-another",
    "an address follows from its key",
    {
        **attackers_headers(),
        "qbft": {
            "validators": [
                {"address": keys.address(one), "public_key": keys.point(other)}
                for one, other in zip(headers.validators(4), headers.validators(4, ATTACKERS), strict=True)
            ],
            "min_validators": 4,
        },
    },
)


def _witnesses(name: str, why: str, pinned: Document, signers: Sequence[notes.Witness]) -> None:
    """Register a case in which version 2 pins these witnesses, and the note is signed by `signers`."""

    @case(
        f"root.{name}",
        "duplicate signatures or keys",
        SECTION,
        refuse(*ROOT, *HEADER, Reason.NOTE_UNSUPPORTED),
        why,
    )
    def _(s: Scenario) -> None:
        s.world.rotate(headers={"qbft": None, "witnesses": pinned, "require": "any"})
        s.seal()
        s.check(s.stick(header=None, note=s.world.note(signers=signers)), root_version=1)


ONE: Final = notes.witnesses(1, ATTACKERS)[0]
_witnesses(
    "witness-under-two-names",
    "one key under two names is one witness, which would be two of three",
    notes.pinned([ONE, ONE.under("other.example"), *notes.witnesses(1)], 2, origin=ORIGIN),
    [ONE, ONE.under("other.example")],
)
_witnesses(
    "half-of-the-witnesses",
    "with half of them, two notes that differ could both count",
    notes.pinned(notes.witnesses(4), 2, origin=ORIGIN),
    notes.witnesses(2),
)
_witnesses(
    "witnesses-of-another-chain",
    "the origin of the witnesses ends in the ledger's chain id",
    notes.pinned(notes.witnesses(3), 2, origin="acme.example/evm/1338"),
    notes.witnesses(2),
)
