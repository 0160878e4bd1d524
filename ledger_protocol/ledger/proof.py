"""The ledger proof: one header and a set of trie nodes that show what the contracts' storage says
(protocol.md §5).

Only nodes are read, never the values that a node operator writes beside them: the verifier derives every
path itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import CID_BYTES
from ledger_protocol.errors import LimitError, MalformedError, ProofError
from ledger_protocol.fields import Fields, octets
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import merkle_patricia, rlp
from ledger_protocol.ledger.header import MAX_HEADER_BYTES
from ledger_protocol.ledger.merkle_patricia import MAX_NODES, MAX_STATE_NODE_BYTES, NodeSet
from ledger_protocol.limits import MAX_PROOF_BYTES

SCHEMA = "fwledger/ledger-proof/1"
MAX_ENVELOPES = 64  # hints for the head and for every older release that a channel's proof file covers
MAX_NOTE_BYTES = 8_192  # a checkpoint with 32 witness signatures of about 120 bytes each
EMPTY_CODE_HASH = keccak256(b"")
_ACCOUNT_ITEMS = 4  # nonce, balance, storage root, code hash


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerProof:
    """An unverified proof: the sealed header's RLP or a witnesses' note (or both), trie nodes, and envelope
    CIDs as hints.
    """

    header: bytes | None
    note: bytes | None = None
    nodes: tuple[bytes, ...] = ()
    envelopes: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Give the document. Raises MalformedError or LimitError for what `decode` would refuse."""
        data = dag_cbor.encode(
            {
                "schema": SCHEMA,
                "header": self.header,
                "note": self.note,
                "nodes": self.nodes,
                "envelopes": self.envelopes,
            }
        )
        LedgerProof.decode(data)
        return data

    @classmethod
    def decode(cls, data: bytes) -> LedgerProof:
        """Read a document of at most 65,536 bytes. Raises MalformedError or LimitError."""
        fields = Fields.document(data, schema=SCHEMA, max_bytes=MAX_PROOF_BYTES)
        header, note = read_source(fields)
        nodes = read_nodes(fields, max_count=MAX_NODES, max_node_bytes=MAX_STATE_NODE_BYTES)
        envelopes = tuple(
            octets(item, size=CID_BYTES, where=f"{SCHEMA}.envelopes")
            for item in fields.items("envelopes", max_count=MAX_ENVELOPES)
        )
        fields.end()
        return cls(header=header, note=note, nodes=nodes, envelopes=envelopes)


@dataclass(frozen=True, slots=True)
class Account:
    """A proven account. `balance` in wei, roots and hashes 32 bytes."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


def verify_words(
    state_root: bytes,
    proof: LedgerProof,
    *,
    account: bytes,
    code_hash: bytes | None,
    keys: Sequence[bytes],
) -> dict[bytes, int]:
    """Give the word behind each 32-byte storage key of an account (20 bytes) under a proven state root; 0 =
    proven absent.

    `code_hash` must equal the account's; None skips that, for an account that needs no pinned code. Raises
    ProofError where a path is missing or leads elsewhere, the account is absent, or its code is another.
    """
    nodes = NodeSet(proof.nodes)
    found = prove_account(state_root, nodes, account)
    if found is None:
        raise ProofError(f"account {account.hex()}", expected="a contract", got="proven absent")
    if code_hash is not None and found.code_hash != code_hash:
        raise ProofError("code of the ledger", expected=code_hash, got=found.code_hash)
    return {key: prove_word(found.storage_root, nodes, key) for key in keys}


def account_storage_root(state_root: bytes, proof: LedgerProof, *, account: bytes) -> bytes | None:
    """Give the storage root of an account, None where the account is proven absent. Raises ProofError."""
    found = prove_account(state_root, NodeSet(proof.nodes), account)
    return None if found is None else found.storage_root


def prove_account(state_root: bytes, nodes: NodeSet, address: bytes) -> Account | None:
    """Give the account at a 20-byte address, None where it is proven absent. Raises ProofError."""
    leaf = merkle_patricia.get(state_root, keccak256(address), nodes)
    if leaf is None:
        return None
    try:
        return _account(leaf)
    except MalformedError as error:
        raise ProofError(f"account {address.hex()} is not an account: {error}") from error


def prove_word(storage_root: bytes, nodes: NodeSet, key: bytes) -> int:
    """Give the word behind a 32-byte storage key, 0 where it is proven absent. Raises ProofError."""
    leaf = merkle_patricia.get(storage_root, keccak256(key), nodes)
    if leaf is None:
        return 0
    try:
        word = rlp.scalar(rlp.decode(leaf, max_depth=0, max_items=1), max_bytes=32, what="word")
    except MalformedError as error:
        raise ProofError(f"storage {key.hex()} is not a word: {error}") from error
    if word == 0:
        raise ProofError(f"storage {key.hex()}", expected="no entry for zero", got="an entry")
    return word


def proof_from_rpc(
    raw_header: bytes | None,
    *answers: Mapping[str, object],
    note: bytes | None = None,
    envelopes: Iterable[bytes] = (),
) -> LedgerProof:
    """Make a proof of a header or a note, or both, and `eth_getProof` answers at that block, as JSON gives
    them; each node is kept once.

    Raises MalformedError where an answer is not of the shape that the call has.
    """
    nodes: dict[bytes, None] = {}
    for answer in answers:
        lists = [answer.get("accountProof")]
        storage = answer.get("storageProof")
        if not isinstance(storage, list) or not all(isinstance(entry, Mapping) for entry in storage):
            raise MalformedError("eth_getProof: storageProof", expected="a list of objects")
        lists += [entry.get("proof") for entry in storage]
        for texts in lists:
            if not isinstance(texts, list):
                raise MalformedError("eth_getProof: nodes", expected="a list")
            nodes.update(dict.fromkeys(map(_hex_bytes, texts)))
    return LedgerProof(header=raw_header, note=note, nodes=tuple(nodes), envelopes=tuple(envelopes))


def read_source(fields: Fields) -> tuple[bytes | None, bytes | None]:
    """Read a document's `header` and `note`, of which at least one is not null. Raises MalformedError."""
    header = _bytes_or_null(fields, "header", MAX_HEADER_BYTES)
    note = _bytes_or_null(fields, "note", MAX_NOTE_BYTES)
    if header is None and note is None:
        raise MalformedError("proof: source of trust", expected="a header or a note", got="neither")
    return header, note


def read_nodes(fields: Fields, *, max_count: int, max_node_bytes: int) -> tuple[bytes, ...]:
    """Read a document's `nodes`: 1 to `max_node_bytes` bytes each. Raises MalformedError or LimitError."""
    nodes: list[bytes] = []
    for item in fields.items("nodes", max_count=max_count):
        if not isinstance(item, bytes) or not item:
            raise MalformedError("proof: nodes", expected="byte strings")
        if len(item) > max_node_bytes:
            raise LimitError(
                "proof: node too large", expected=f"at most {max_node_bytes} bytes", got=len(item)
            )
        nodes.append(item)
    return tuple(nodes)


def _account(leaf: bytes) -> Account:
    items = rlp.decode_list(leaf, max_depth=2, max_items=_ACCOUNT_ITEMS + 2)
    if len(items) != _ACCOUNT_ITEMS:
        raise MalformedError("items", expected=_ACCOUNT_ITEMS, got=len(items))
    nonce, balance, storage_root, code_hash = items
    return Account(
        nonce=rlp.scalar(nonce, max_bytes=8, what="nonce"),
        balance=rlp.scalar(balance, max_bytes=32, what="balance"),
        storage_root=octets(_string(storage_root), size=32, where="storage root"),
        code_hash=octets(_string(code_hash), size=32, where="code hash"),
    )


def _bytes_or_null(fields: Fields, name: str, max_bytes: int) -> bytes | None:
    value = fields.take(name)
    if value is None:
        return None
    if not isinstance(value, bytes) or not 1 <= len(value) <= max_bytes:
        raise MalformedError(
            f"proof: {name}", expected=f"1 to {max_bytes} bytes or null", got=type(value).__name__
        )
    return value


def _string(item: rlp.Item) -> bytes:
    if isinstance(item, list):
        raise MalformedError("item", expected="a byte string", got="a list")
    return item


def _hex_bytes(text: object) -> bytes:
    if not isinstance(text, str) or not text.startswith("0x"):
        raise MalformedError(
            "eth_getProof: node", expected="hexadecimal digits after 0x", got=type(text).__name__
        )
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise MalformedError("eth_getProof: node", expected="hexadecimal digits after 0x", got=text) from None
