"""Tries that no consensus would write: rightly hashed, sealed, and still not to be read (§5, V3 and V4)."""

from collections.abc import Callable

from ledger_client.conformance.case import ACCEPT, PROOF, Expected, refuse
from ledger_client.conformance.cases.proofs import ARBITRARY, NOT_PROVEN, SECTION, STABLE
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world.manufacturer import CODE_HASH
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import contract_state as keys_of
from ledger_protocol.ledger import rlp
from ledger_protocol.report.reasons import Reason


def _mangled(name: str, why: str, change: Callable[[list[rlp.Item]], rlp.Item]) -> None:
    """Register a case in which the leaf of the head is another node, every hash above being over it."""

    @case(f"proof.{name}", ARBITRARY, SECTION, NOT_PROVEN, why)
    def _(s: Scenario) -> None:
        s.world.mangled[keys_of.head_key(STABLE)] = lambda leaf: rlp.encode(change(rlp.decode_list(leaf)))
        s.seal()
        s.check(s.stick())


def _value(leaf: list[rlp.Item], value: bytes) -> rlp.Item:
    return [leaf[0], value]


_mangled(
    "value-with-leading-zero",
    "a word is a scalar in its shortest form",
    lambda leaf: _value(leaf, rlp.encode(b"\x00\x01")),
)
_mangled(
    "value-of-33-bytes",
    "a word has 32 bytes at most",
    lambda leaf: _value(leaf, rlp.encode(b"\x01" + bytes(32))),
)
_mangled("value-zero", "a trie holds no entry for zero", lambda leaf: _value(leaf, b"\x80"))
_mangled("value-empty", "a leaf has a value", lambda leaf: _value(leaf, b""))
_mangled("value-a-list", "a word is a byte string", lambda leaf: _value(leaf, rlp.encode([b"\x01"])))
_mangled(
    "value-with-a-byte-behind",
    "a value is one item",
    lambda leaf: _value(leaf, rlp.encode(b"\x07") + b"\x00"),
)
_mangled("node-of-three-items", "a node has 2 or 17 items", lambda leaf: [*leaf, b"\x01"])
_mangled("node-a-string", "a node is a list", lambda _leaf: bytes(40))
_mangled(
    "leaf-with-flag-4",
    "a path's first nibble is 0 to 3",
    lambda leaf: [bytes([0x40 | _first(leaf) & 15]) + _rest(leaf), leaf[1]],
)
_mangled(
    "leaf-with-padding",
    "the spare nibble of an even path is zero",
    lambda leaf: [b"\x2f" + _rest(leaf), leaf[1]],
)
_mangled(
    "leaf-as-extension",
    "an extension leads to a node, not to a value",
    lambda leaf: [bytes([_first(leaf) & 0x1F]) + _rest(leaf), leaf[1]],
)
_mangled("leaf-without-path-bytes", "a path has a first byte", lambda leaf: [b"", leaf[1]])


def _first(leaf: list[rlp.Item]) -> int:
    path = leaf[0]
    assert isinstance(path, bytes)
    return path[0]


def _rest(leaf: list[rlp.Item]) -> bytes:
    path = leaf[0]
    assert isinstance(path, bytes)
    return path[1:]


def _encoded(name: str, why: str, change: Callable[[bytes], bytes]) -> None:
    """Register a case in which the storage's root node has other bytes, hashed as they stand."""

    @case(f"proof.{name}", ARBITRARY, SECTION, NOT_PROVEN, why)
    def _(s: Scenario) -> None:
        s.world.mangled_root = change
        s.seal()
        s.check(s.stick())


_encoded("node-with-a-byte-behind", "nothing stands behind a node", lambda node: node + b"\x00")
_encoded("node-truncated", "a node ends where it says", lambda node: node[:-1])
_encoded(
    "node-with-long-length",
    "RLP has one form for each value, however the hash was made",
    lambda node: b"\xfa" + (len(node) - 3).to_bytes(3, "big") + node[3:],
)
_encoded("node-of-16-items", "a branch has 17 items", lambda node: rlp.encode(rlp.decode_list(node)[:16]))
_encoded(
    "branch-with-short-reference",
    "a reference has 32 bytes, or is the node itself",
    lambda node: rlp.encode([_shortened(item) for item in rlp.decode_list(node)]),
)
_encoded(
    "branch-with-large-inlined-nodes",
    "only nodes under 32 bytes stand inside their parent",
    lambda node: rlp.encode([[item, item] if item else item for item in rlp.decode_list(node)]),
)
_encoded(
    "extension-without-path",
    "an extension takes at least one step, or a walk would not end",
    lambda node: rlp.encode([b"\x00", keccak256(node)]),
)


def _shortened(item: rlp.Item) -> rlp.Item:
    return item[:31] if isinstance(item, bytes) else item


def _account(
    name: str, why: str, change: Callable[[list[rlp.Item]], rlp.Item], expected: Expected = NOT_PROVEN
) -> None:
    @case(f"proof.{name}", ARBITRARY, "V3", expected, why)
    def _(s: Scenario) -> None:
        s.world.account_leaf = lambda leaf: rlp.encode(change(rlp.decode_list(leaf)))
        s.seal()
        s.check(s.stick())


_account("account-of-three-items", "an account has four items", lambda items: items[:3])
_account("account-of-five-items", "an account has four items", lambda items: [*items, b""])
_account(
    "account-with-short-code-hash", "a code hash has 32 bytes", lambda items: [*items[:3], CODE_HASH[:31]]
)
_account("account-with-padded-nonce", "a nonce is a scalar", lambda items: [b"\x00\x01", *items[1:]])
_account(
    "account-with-empty-code",
    "an account without code is no contract",
    lambda items: [*items[:3], keccak256(b"")],
    refuse(Reason.WRONG_CONTRACT),
)


@case(
    "proof.code-of-another-contract",
    "staging chain",
    "V3",
    refuse(Reason.WRONG_CONTRACT),
    "a staging chain with the same validators and address has another code hash",
)
def _(s: Scenario) -> None:
    s.world.code_hash = CODE_HASH[::-1]
    s.seal()
    s.check(s.stick())


@case(
    "proof.no-account",
    "staging chain",
    "V3",
    refuse(Reason.WRONG_CONTRACT, *PROOF),
    "a chain without the ledger is another chain",
)
def _(s: Scenario) -> None:
    s.check(
        s.stick(nodes=s.block.state.account_proof(bytes.fromhex("55" * 20)) + s.world.nodes()),
        expect=ACCEPT,
    )
    s.world.account_leaf = lambda _leaf: b""
    s.seal(state_root=keccak256(b"\x80"))
    s.check(s.stick())
