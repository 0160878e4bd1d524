"""Signed transactions of types 0, 1, 2 and 4: strict decoding, sender recovery and signing.

Independent of the EVM backend, which only executes what was decoded here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from coincurve import PrivateKey, PublicKey

from ledger_protocol.errors import MalformedError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp
from ledger_protocol.ledger.rlp import Item, encode_scalar
from local_chain.errors import InvalidTransaction

LEGACY, ACCESS_LIST, DYNAMIC_FEE, BLOB, SET_CODE = range(5)
SECP256K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
MAX_TRANSACTION_BYTES = 131_072  # geth's limit for one transaction in the pool
MAX_NONCE = 2**64 - 2  # EIP-2681

_AUTHORIZATION_MAGIC = b"\x05"  # EIP-7702

AccessList = tuple[tuple[bytes, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Authorization:
    """One EIP-7702 authorisation."""

    chain_id: int
    address: bytes
    nonce: int
    y_parity: int
    r: int
    s: int

    def authority(self) -> bytes | None:
        """Whose account it is for: who signed it; None when nobody did (EIP-7702)."""
        if self.y_parity not in (0, 1) or not 0 < self.s <= SECP256K1_N // 2:
            return None
        signature = b"".join(word.to_bytes(32, "big") for word in (self.r, self.s)) + bytes([self.y_parity])
        chain_id, at, nonce, *_ = self.to_list()
        digest = keccak256(_AUTHORIZATION_MAGIC + rlp.encode([chain_id, at, nonce]))
        try:
            return address_of(PublicKey.from_signature_and_message(signature, digest, hasher=None))
        except Exception:  # coincurve raises bare Exception for a signature without a key
            return None

    def to_list(self) -> list[Item]:
        """Its RLP items."""
        chain_id, nonce, *signature = map(
            encode_scalar, (self.chain_id, self.nonce, self.y_parity, self.r, self.s)
        )
        return [chain_id, self.address, nonce, *signature]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction; ``to`` is None for a creation. Fees are wei per gas: before type 2 both maxima are the
    gas price.
    """

    type: int
    chain_id: int | None
    nonce: int
    gas: int
    to: bytes | None
    value: int
    data: bytes
    max_fee: int
    max_priority_fee: int
    access_list: AccessList = ()
    authorizations: tuple[Authorization, ...] = ()
    v: int = 0
    r: int = 0
    s: int = 0
    raw: bytes = field(default=b"", repr=False)
    sender: bytes = b""

    @property
    def hash(self) -> bytes:
        """The transaction hash."""
        return keccak256(self.raw)

    @property
    def y_parity(self) -> int:
        """0 or 1: which of the two points the signature means."""
        if self.type != LEGACY:
            return self.v
        return (self.v - 27) if self.v in (27, 28) else (self.v - 35) % 2

    def effective_price(self, base_fee: int | None) -> int:
        """What a unit of gas costs in a block with ``base_fee``, in wei."""
        return self.max_fee if base_fee is None else min(self.max_fee, base_fee + self.max_priority_fee)

    def payload(self) -> list[Item]:
        """The RLP items that are signed."""
        to = self.to or b""
        nonce, gas, value, chain_id = map(
            encode_scalar, (self.nonce, self.gas, self.value, self.chain_id or 0)
        )
        price, tip = encode_scalar(self.max_fee), encode_scalar(self.max_priority_fee)
        access: list[Item] = [
            [at, [slot.to_bytes(32, "big") for slot in slots]] for at, slots in self.access_list
        ]
        if self.type == LEGACY:
            return [
                nonce,
                price,
                gas,
                to,
                value,
                self.data,
                *([] if self.chain_id is None else [chain_id, b"", b""]),
            ]
        if self.type == ACCESS_LIST:
            return [chain_id, nonce, price, gas, to, value, self.data, access]
        items: list[Item] = [chain_id, nonce, tip, price, gas, to, value, self.data, access]
        if self.type == SET_CODE:
            items.append([authorization.to_list() for authorization in self.authorizations])
        return items

    def signing_hash(self) -> bytes:
        """The 32 bytes that the sender signs."""
        return keccak256(self._prefix() + rlp.encode(self.payload()))

    def signed(self, secret: bytes) -> Transaction:
        """The same transaction signed with the 32-byte ``secret``, as it travels."""
        key = PrivateKey(secret)
        signature = key.sign_recoverable(self.signing_hash(), hasher=None)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        v = signature[64]
        if self.type == LEGACY:
            v += 27 if self.chain_id is None else 35 + 2 * self.chain_id
        return self._with_signature(v, r, s, address_of(key.public_key))

    def impersonated(self, sender: bytes) -> Transaction:
        """The same transaction as if ``sender`` had signed it: its signature holds the address, and no key.

        Nobody who checks signatures accepts it.
        """
        r, s = int.from_bytes(sender, "big"), 1
        v = 35 + 2 * (self.chain_id or 0) if self.type == LEGACY else 0
        return self._with_signature(v, r, s, sender)

    def unsigned(self, sender: bytes) -> Transaction:
        """The same transaction with a signature of zeros, for ``sender`` to look at and sign."""
        return self._with_signature(0, 0, 0, sender)

    def _with_signature(self, v: int, r: int, s: int, sender: bytes) -> Transaction:
        unsigned = self.payload()[:6] if self.type == LEGACY else self.payload()
        raw = self._prefix() + rlp.encode([*unsigned, *map(encode_scalar, (v, r, s))])
        return replace(self, v=v, r=r, s=s, raw=raw, sender=sender)

    def _prefix(self) -> bytes:
        return b"" if self.type == LEGACY else bytes([self.type])


def decode_transaction(raw: bytes, *, sender: bytes | None = None) -> Transaction:
    """Decode a signed transaction and recover who sent it.

    ``sender`` skips the recovery for bytes that this chain has stored itself. Raises InvalidTransaction.
    """
    if not raw:
        raise InvalidTransaction("typed transaction too short")
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise InvalidTransaction(
            f"oversized data: transaction size {len(raw)}, limit {MAX_TRANSACTION_BYTES}"
        )
    kind = LEGACY if raw[0] >= _RLP_LIST else raw[0]
    if kind == BLOB:
        raise InvalidTransaction("blob transactions (type 3) are not supported by this chain")
    if kind not in _FIELD_COUNTS:
        raise InvalidTransaction(f"transaction type not supported: expected 0, 1, 2 or 4, got {kind}")
    try:
        items = rlp.decode_list(raw if kind == LEGACY else raw[1:])
    except MalformedError as error:
        raise InvalidTransaction(f"transaction is not RLP: {error}") from error
    if len(items) != _FIELD_COUNTS[kind]:
        raise InvalidTransaction(
            f"type {kind} transaction: expected {_FIELD_COUNTS[kind]} fields, got {len(items)}"
        )
    transaction = replace(_PARSERS[kind](items), raw=raw)
    return replace(transaction, sender=_recover(transaction) if sender is None else sender)


def address_of(key: PublicKey) -> bytes:
    """The 20-byte address of a public key."""
    return keccak256(key.format(compressed=False)[1:])[12:]


def contract_address(sender: bytes, nonce: int) -> bytes:
    """Where a creation by ``sender`` with ``nonce`` puts its contract."""
    return keccak256(rlp.encode([sender, rlp.encode_scalar(nonce)]))[12:]


_RLP_LIST = 0xC0
_FIELD_COUNTS = {LEGACY: 9, ACCESS_LIST: 11, DYNAMIC_FEE: 12, SET_CODE: 13}


def _recover(transaction: Transaction) -> bytes:
    if transaction.type == LEGACY and transaction.v not in (27, 28) and transaction.v < 35:
        raise InvalidTransaction(f"invalid sender: invalid signature: v {transaction.v}")
    if transaction.y_parity not in (0, 1) or not 0 < transaction.r < SECP256K1_N:
        raise InvalidTransaction("invalid sender: invalid signature: v or r out of range")
    if not 0 < transaction.s <= SECP256K1_N // 2:  # EIP-2
        raise InvalidTransaction("invalid sender: invalid signature: s out of range, expected the lower half")
    signature = (
        transaction.r.to_bytes(32, "big") + transaction.s.to_bytes(32, "big") + bytes([transaction.y_parity])
    )
    try:
        key = PublicKey.from_signature_and_message(signature, transaction.signing_hash(), hasher=None)
    except Exception as error:  # coincurve raises bare Exception for a signature without a key
        raise InvalidTransaction(f"invalid sender: invalid signature: {error}") from error
    return address_of(key)


def _legacy(items: list[Item]) -> Transaction:
    price, v = _integer(items[1], "gasPrice"), _integer(items[6], "v")
    return Transaction(
        type=LEGACY,
        chain_id=(v - 35) // 2 if v >= 35 else None,
        nonce=_nonce(items[0]),
        max_fee=price,
        max_priority_fee=price,
        gas=_integer(items[2], "gas", bits=64),
        to=_recipient(items[3]),
        value=_integer(items[4], "value"),
        data=_octets(items[5], "data"),
        v=v,
        r=_integer(items[7], "r"),
        s=_integer(items[8], "s"),
    )


def _access_list_transaction(items: list[Item]) -> Transaction:
    chain_id, nonce, price, *rest = items
    return _typed(ACCESS_LIST, [chain_id, nonce, price, price, *rest])


def _dynamic_fee(items: list[Item]) -> Transaction:
    return _typed(DYNAMIC_FEE, items)


def _set_code(items: list[Item]) -> Transaction:
    transaction = _typed(SET_CODE, [*items[:9], *items[10:]])
    if transaction.to is None:
        raise InvalidTransaction("a set-code transaction cannot create a contract")
    authorizations = tuple(_authorization(item) for item in _listing(items[9], "authorizationList"))
    if not authorizations:
        raise InvalidTransaction("a set-code transaction needs at least one authorization")
    return replace(transaction, authorizations=authorizations)


_PARSERS = {
    LEGACY: _legacy,
    ACCESS_LIST: _access_list_transaction,
    DYNAMIC_FEE: _dynamic_fee,
    SET_CODE: _set_code,
}


def _typed(kind: int, items: list[Item]) -> Transaction:
    transaction = Transaction(
        type=kind,
        chain_id=_integer(items[0], "chainId"),
        nonce=_nonce(items[1]),
        max_priority_fee=_integer(items[2], "maxPriorityFeePerGas"),
        max_fee=_integer(items[3], "maxFeePerGas"),
        gas=_integer(items[4], "gas", bits=64),
        to=_recipient(items[5]),
        value=_integer(items[6], "value"),
        data=_octets(items[7], "data"),
        access_list=tuple(_access(item) for item in _listing(items[8], "accessList")),
        v=_integer(items[9], "yParity"),
        r=_integer(items[10], "r"),
        s=_integer(items[11], "s"),
    )
    if transaction.max_priority_fee > transaction.max_fee:
        raise InvalidTransaction("max priority fee per gas higher than max fee per gas")
    return transaction


def _access(item: Item) -> tuple[bytes, tuple[int, ...]]:
    entry = _listing(item, "accessList entry")
    if len(entry) != 2:
        raise InvalidTransaction(f"accessList entry: expected address and keys, got {len(entry)} items")
    keys = [_octets(key, "storage key") for key in _listing(entry[1], "storageKeys")]
    if any(len(key) != 32 for key in keys):
        raise InvalidTransaction("storage key: expected 32 bytes")
    address = _octets(entry[0], "accessList address")
    if len(address) != 20:
        raise InvalidTransaction(f"accessList address: expected 20 bytes, got {len(address)}")
    return address, tuple(int.from_bytes(key, "big") for key in keys)


def _authorization(item: Item) -> Authorization:
    entry = _listing(item, "authorization")
    if len(entry) != 6:
        raise InvalidTransaction(f"authorization: expected 6 fields, got {len(entry)}")
    address = _octets(entry[1], "authorization address")
    if len(address) != 20:
        raise InvalidTransaction(f"authorization address: expected 20 bytes, got {len(address)}")
    chain_id, nonce, y_parity, r, s = (_integer(entry[index], "authorization") for index in (0, 2, 3, 4, 5))
    return Authorization(chain_id, address, nonce, y_parity, r, s)


def _integer(item: Item, name: str, *, bits: int = 256) -> int:
    octets = _octets(item, name)
    if len(octets) > bits // 8 or octets[:1] == b"\0":
        raise InvalidTransaction(f"{name}: expected a minimal integer of at most {bits} bits")
    return int.from_bytes(octets, "big")


def _nonce(item: Item) -> int:
    nonce = _integer(item, "nonce", bits=64)
    if nonce > MAX_NONCE:
        raise InvalidTransaction(f"nonce has max value: expected at most {MAX_NONCE}")
    return nonce


def _recipient(item: Item) -> bytes | None:
    octets = _octets(item, "to")
    if len(octets) not in (0, 20):
        raise InvalidTransaction(f"to: expected 0 or 20 bytes, got {len(octets)}")
    return octets or None


def _octets(item: Item, name: str) -> bytes:
    if not isinstance(item, bytes):
        raise InvalidTransaction(f"{name}: expected a byte string, got a list")
    return item


def _listing(item: Item, name: str) -> list[Item]:
    if not isinstance(item, list):
        raise InvalidTransaction(f"{name}: expected a list, got a byte string")
    return item
