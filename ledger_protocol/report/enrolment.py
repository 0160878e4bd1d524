"""The enrolment request: a device's address, proof that it holds the key, and a commitment to its serial
number.

The serial number itself never reaches the ledger. The commitment does, and the owner can open it to an
auditor, one device at a time (protocol.md §6).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import MalformedError, MismatchError
from ledger_protocol.fields import Fields
from ledger_protocol.limits import MAX_LABEL_BYTES
from ledger_protocol.report import device_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

SCHEMA = "fwledger/enrolment/1"
MAX_REQUEST_BYTES = 4_096  # two labels, two keys and a signature are under 1 KiB
SALT_BYTES = 16  # a serial number alone is short enough to be guessed


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRequest:
    """A request whose signature is checked: `decode` and `make_request` are the ways to one."""

    device: bytes
    public_key: bytes
    commitment: bytes
    compatible: str
    hw_revision: str
    signature: bytes

    def encode(self) -> bytes:
        """Give the document."""
        return dag_cbor.encode({**_claims(self), "signature": self.signature})

    @classmethod
    def decode(cls, data: bytes) -> EnrolmentRequest:
        """Read and verify a request: the address is the key's, and the key signed all of it.

        Raises MalformedError or LimitError for the encoding, MismatchError for the address, SignatureError
        for the signature.
        """
        fields = Fields.document(data, schema=SCHEMA, max_bytes=MAX_REQUEST_BYTES)
        request = cls(
            device=fields.octets("device", size=20),
            public_key=fields.octets("public_key", size=device_key.PUBLIC_KEY_BYTES),
            commitment=fields.octets("commitment", size=32),
            compatible=fields.text("compatible", max_bytes=MAX_LABEL_BYTES),
            hw_revision=fields.text("hw_revision", max_bytes=MAX_LABEL_BYTES, empty=True),
            signature=fields.octets("signature", size=device_key.SIGNATURE_BYTES),
        )
        fields.end()
        address = device_key.address_of(request.public_key)
        if address != request.device:
            raise MismatchError("enrolment request: device", expected=address, got=request.device)
        device_key.verify_digest(_digest(request), request.signature, request.public_key)
        return request


def make_request(
    private_key: ec.EllipticCurvePrivateKey, *, serial: str, salt: bytes, compatible: str, hw_revision: str
) -> EnrolmentRequest:
    """Make a request with the device's key. `salt` (16 random bytes) and `serial` stay on the device and
    with its owner.
    """
    public_key = device_key.public_key_bytes(private_key)
    claims = EnrolmentRequest(
        device=device_key.address_of(public_key),
        public_key=public_key,
        commitment=serial_commitment(serial, salt),
        compatible=compatible,
        hw_revision=hw_revision,
        signature=b"",
    )
    signature = device_key.sign_digest(private_key, _digest(claims))
    return EnrolmentRequest.decode(dag_cbor.encode({**_claims(claims), "signature": signature}))


def serial_commitment(serial: str, salt: bytes) -> bytes:
    """Give the 32 bytes that commit to a serial number: SHA-256(salt ‖ serial in UTF-8)."""
    if len(salt) != SALT_BYTES:
        raise MalformedError("salt of a serial number", expected=f"{SALT_BYTES} bytes", got=len(salt))
    return hashlib.sha256(salt + serial.encode()).digest()


def _claims(request: EnrolmentRequest) -> dict[str, dag_cbor.Encodable]:
    return {
        "schema": SCHEMA,
        "device": request.device,
        "public_key": request.public_key,
        "commitment": request.commitment,
        "compatible": request.compatible,
        "hw_revision": request.hw_revision,
    }


def _digest(request: EnrolmentRequest) -> bytes:
    # A domain of its own: no EIP-712 digest begins this way, so no event signature is a request's, or the
    # reverse.
    return hashlib.sha256(SCHEMA.encode() + b"\0" + dag_cbor.encode(_claims(request))).digest()
