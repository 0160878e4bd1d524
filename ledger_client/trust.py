"""Trust roots on the manufacturer's side: the first one made, signed, announced, and read back.

Making and signing are apart, so that root keys stay with people who never share a machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_keys.datatypes import PublicKey as EthPublicKey
from eth_keys.datatypes import Signature as EthSignature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from ledger_client.errors import NotTrustedError, UsageError
from ledger_client.json_text import parse_json
from ledger_client.proofs import raw_header
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger import qbft
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.limits import MAX_TRUST_ROOT_BYTES
from ledger_protocol.release.signing import TRUST_ROOT_TYPE, PublicKey
from ledger_protocol.release.trust_root import (
    HeaderTrust,
    KeySet,
    LedgerRef,
    QbftTrust,
    SignedTrustRoot,
    TrustRoot,
    Validator,
    verify_first,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ledger_client.acts import Act
    from ledger_client.deploy import Pair
    from ledger_client.firmware_keys import FirmwareSigner
    from ledger_client.ledger import Ledger
    from ledger_client.network import Network

# Fewer validators than this cannot lose one and still agree (protocol.md §4).
MIN_VALIDATORS = 4

# How many headers back to look for a seal of each validator. A quorum seals each, so a few are enough.
_HEADERS_SEARCHED = 64

_MAX_VALIDATORS_FILE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class HeldRoot:
    """A trust root that this machine holds: the signed bytes, and what they say once their signatures
    held.
    """

    signed: bytes
    root: TrustRoot

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the document, in hex: what people compare over the telephone, and what the ledger
        records.
        """
        return SignedTrustRoot.decode(self.signed).digest.hex()


def first_root(
    pair: Pair,
    *,
    root_keys: Sequence[PublicKey],
    root_threshold: int,
    release_keys: Sequence[PublicKey],
    release_threshold: int,
    validators: Sequence[Validator],
    min_validators: int,
    issued_at: int,
    expires: int | None,
    max_checkpoint_age_s: int | None,
) -> TrustRoot:
    """Version 1 for a deployed pair whose chain is sealed by QBFT validators. Times are Unix seconds."""
    if len(validators) < min_validators:
        raise UsageError(
            "validators of the chain",
            expected=f"at least {min_validators}",
            got=len(validators),
            hint="--min-validators lowers the bound for a development chain",
        )
    root = TrustRoot(
        version=1,
        issued_at=issued_at,
        expires=expires,
        previous=None,
        root_keys=KeySet(root_threshold, tuple(root_keys)),
        release_keys=KeySet(release_threshold, tuple(release_keys)),
        ledger=LedgerRef(
            chain_id=pair.chain_id,
            address=pair.ledger,
            code_hash=pair.code_hash,
            journal=pair.journal,
            from_block=pair.from_block,
            from_time=pair.from_time,
        ),
        headers=HeaderTrust(QbftTrust(tuple(validators), min_validators), None, "any"),
        max_checkpoint_age=max_checkpoint_age_s,
    )
    try:
        root.encode()
    except ProtocolError as error:
        raise UsageError(f"no trust root can be made of this: {error}", hint=error.hint) from error
    return root


def sign_root(signed: SignedTrustRoot, signer: FirmwareSigner) -> SignedTrustRoot:
    """Add a root key's signature. Raises UsageError where the key is not one of the root's."""
    root = TrustRoot.decode(signed.document)
    if signer.public not in root.root_keys.keys:
        raise UsageError("this key is not a root key of the trust root", got=signer.public.key_id.hex()[:16])
    return signed.with_signature(signer.sign(TRUST_ROOT_TYPE, signed.document))


def announce_act(ledger: Ledger, signed: bytes, *, deadline: int) -> Act:
    """What governors approve to record a trust root's digest on the ledger."""
    held = check_root(signed, where="trust root")
    envelope = SignedTrustRoot.decode(signed)
    return ledger.new_act(
        "SetTrustRoot",
        digest=envelope.digest,
        version=held.root.version,
        envelope=envelope.cid.digest,
        deadline=deadline,
    )


def read_root(path: Path, *, fingerprint: str | None = None) -> HeldRoot:
    """Read a signed trust root file and check its signatures, and its fingerprint where one is given.

    Without a fingerprint the file is trusted for lying where the configuration says.
    """
    signed = _read(path)
    held = check_root(signed, where=str(path))
    if fingerprint is not None and "".join(fingerprint.lower().split()).replace(":", "") != held.fingerprint:
        raise NotTrustedError(
            f"{path} is not the trust root that you named",
            expected=f"fingerprint {fingerprint}",
            got=held.fingerprint,
            hint="get the file, or the fingerprint, again from the manufacturer",
        )
    return held


def read_unsigned(path: Path) -> SignedTrustRoot:
    """Read a trust root that may lack signatures, for a root key to add its own."""
    try:
        return SignedTrustRoot.decode(_read(path))
    except ProtocolError as error:
        raise UsageError(f"{path} is not a trust root: {error}") from error


def is_complete(signed: SignedTrustRoot) -> bool:
    """Whether enough of a first root's own keys signed it."""
    try:
        verify_first(signed.encode(), now_s=None)
    except ProtocolError:
        return False
    return True


def check_root(signed: bytes, *, where: str) -> HeldRoot:
    """A signed root whose own root keys signed it. Raises NotTrustedError."""
    try:
        return HeldRoot(signed, verify_first(signed, now_s=None))
    except ProtocolError as error:
        raise NotTrustedError(f"{where} is not a trust root that holds: {error}", hint=error.hint) from error


def recover_validators(network: Network) -> tuple[Validator, ...]:
    """The chain's QBFT validators with the public keys that their seals reveal, in the order of the newest
    header.

    What a node says, to be confirmed by people who run validators. Raises NotTrustedError where the newest
    header is not of QBFT or a validator has sealed none of the newest headers.
    """
    number = network.block_number()
    wanted: tuple[bytes, ...] = ()
    found: dict[bytes, bytes] = {}
    for height in range(number, max(number - _HEADERS_SEARCHED, -1), -1):
        try:
            header = parse_header(raw_header(network, height))
            extra = qbft.parse_extra(header.extra_data)
            digest = qbft.seal_digest(header)
        except ProtocolError as error:
            if height == number:
                raise NotTrustedError(
                    f"the newest header is not of a QBFT chain: {error}",
                    hint="trust roots of other chains name witnesses",
                ) from error
            break  # a genesis block carries no seals, and a chain may have moved to QBFT
        wanted = wanted or extra.validators
        found |= _sealers(digest, extra.seals)
        if set(wanted) <= set(found):
            return tuple(Validator(address, found[address]) for address in wanted)
    missing = [address.hex() for address in wanted if address not in found]
    raise NotTrustedError(
        f"validators that sealed none of the last {_HEADERS_SEARCHED} headers",
        got=", ".join(missing) or "all",
        hint="wait for more blocks, or give all public keys with --validators FILE",
    )


def read_validators(path: Path) -> tuple[Validator, ...]:
    """Validators from a JSON file: `[{"address": "0x...", "public_key": "0x04..."}, ...]`, or that as
    `validators`.
    """
    try:
        raw = path.read_bytes()[: _MAX_VALIDATORS_FILE_BYTES + 1]
        document = parse_json(raw)
    except OSError as error:
        raise UsageError(f"cannot read {path}", got=error.strerror or error) from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON", got=str(error)[:80]) from error
    entries = document.get("validators") if isinstance(document, dict) else document
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"{path}", expected="a list of validators", got=type(entries).__name__)
    found = []
    for index, entry in enumerate(entries):
        try:
            text = entry["publicKey"] if "publicKey" in entry else entry["public_key"]
            key = bytes.fromhex(text.removeprefix("0x"))
            if len(key) == 65 and key[0] == 4:
                key = key[1:]
            public = EthPublicKey(key)
            address = bytes.fromhex(entry["address"].removeprefix("0x"))
        except (TypeError, KeyError, AttributeError, ValueError, ValidationError) as error:
            raise UsageError(
                f"{path}: validator {index}", expected="address and public_key in hex", got=error
            ) from error
        if public.to_canonical_address() != address:
            raise UsageError(
                f"{path}: validator {index}",
                expected=f"the address of its key, {public.to_address()}",
                got=entry["address"],
            )
        found.append(Validator(address, b"\x04" + key))
    return tuple(found)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_TRUST_ROOT_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read trust root {path}",
            got=error.strerror or error,
            hint="`fwledger deploy` writes it; `release.trust_root` in fwledger.toml says where",
        ) from error


def _sealers(digest: bytes, seals: Sequence[bytes]) -> dict[bytes, bytes]:
    found = {}
    for seal in seals:
        try:
            public = EthSignature(seal).recover_public_key_from_msg_hash(digest)
        except (BadSignature, ValidationError):
            continue
        found[public.to_canonical_address()] = b"\x04" + public.to_bytes()
    return found
