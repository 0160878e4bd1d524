"""Seeded mutations of valid documents: of their bytes, of their fields, of what is packed inside the fields, and
forgeries that mend every hash on the way up.

A document is taken apart wherever it can be: dag-cbor values, byte strings that hold dag-cbor or RLP, and so on
down, so that a mutation reaches a seal in extraData in a header in a proof in a bundle.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import Cid
from ledger_protocol.errors import ProtocolError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import rlp

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

MAX_BYTES = 2**24  # of a document that is taken apart
MAX_TURNS = 8  # hashes mended on the way up: the deepest trie of the tests has five levels above a leaf
NUMBERS = (0, 1, 2**24, 2**32 - 1, 2**32, 2**40, 2**63, 2**64 - 1, -1)


@dataclass(frozen=True)
class Subject:
    """A valid document and what it proves.

    `verify` gives what a document proves, or raises one of `refusals`; `is_true` says whether that is so in the
    world that made the document. `strays` are other documents of the world, for parts to be taken from. `unpack`
    gives the values that a container format holds, `pack` makes the document of them.
    """

    name: str
    document: bytes
    verify: Callable[[bytes], object]
    is_true: Callable[[Any], bool]
    strays: tuple[bytes, ...] = ()
    refusals: tuple[type[Exception], ...] = (ProtocolError,)
    unpack: Callable[[bytes], Any] | None = None
    pack: Callable[[Any], bytes] | None = None


@dataclass
class Tally:
    """How often each kind of mutation was refused, and how often it changed nothing that is proved."""

    refused: Counter[str] = field(default_factory=Counter)
    same: Counter[str] = field(default_factory=Counter)
    false: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.refused.total() + self.same.total() + len(self.false)

    def __str__(self) -> str:
        kinds = sorted(self.refused | self.same)
        lines = [f"{kind:28} {self.refused[kind]:7} refused {self.same[kind]:6} same" for kind in kinds]
        return "\n".join([*lines, f"{self.total} mutations, {len(self.false)} false accepts", *self.false])


def attack(subject: Subject, rng: Random, count: int, tally: Tally) -> None:
    """Verify `count` mutations of the subject; whatever is accepted must be true, whatever leaves a refusal."""
    made = 0
    while made < count:
        kind, data = mutation(subject, rng)
        if data == subject.document:
            continue
        made += 1
        try:
            found = subject.verify(data)
        except subject.refusals:
            tally.refused[kind] += 1
        except Exception as error:  # what must not leave is what this looks for
            tally.false.append(
                f"{subject.name}: {kind}: {type(error).__name__} left: {error}: {data.hex()[:400]}"
            )
        else:
            if subject.is_true(found):
                tally.same[kind] += 1
            else:
                tally.false.append(f"{subject.name}: {kind}: accepted {found!r:.300}: {data.hex()[:400]}")


def mutation(subject: Subject, rng: Random) -> tuple[str, bytes]:
    """Give one mutation and what kind it is: named by the last thing that was done."""
    way = rng.random()
    if way < 0.2:
        name, data = _bend_bytes(rng, subject.document)
        return f"bytes: {name}", data
    if way < 0.25 and subject.strays:
        other = rng.choice(subject.strays)
        at, resume = rng.randrange(len(subject.document)), rng.randrange(len(other))
        return "bytes: splice", subject.document[: at + 1] + other[resume if rng.random() < 0.5 else at + 1 :]
    opened = None if subject.pack else _opened(subject.document)
    if opened is not None and way < 0.28:
        return f"{opened[0]}: not canonical", _loose(rng, *opened[:2])
    tree = _open(subject, subject.document)
    stray = _open(subject, rng.choice(subject.strays)) if subject.strays else None
    try:
        if way < 0.4:
            name, tree = "forge: hashes mended", _forge(rng, tree)
        else:
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                name, tree = _bend(rng, tree, stray, top=True)
        return name, _close(subject, tree)
    except (ProtocolError, TypeError, ValueError, OverflowError):
        # What an encoder refuses is not a document: its bytes are bent instead.
        name, data = _bend_bytes(rng, subject.document)
        return f"bytes: {name}", data


def _open(subject: Subject, document: bytes) -> Any:
    if subject.unpack is not None:
        return subject.unpack(document)
    opened = _opened(document)
    return document if opened is None else opened[1]


def _close(subject: Subject, tree: Any) -> bytes:
    if subject.pack is not None:
        return subject.pack(tree)
    opened = _opened(subject.document)
    return tree if opened is None else opened[2](tree)


# --- fields


def _bend(rng: Random, value: Any, stray: Any, *, top: bool = False) -> tuple[str, Any]:
    """Change one thing in a value or somewhere below it; `stray` is what another document has in its place."""
    if isinstance(value, list | dict):
        return _bend_container(rng, value, stray, top=top)
    if stray is not None and not top and stray != value and rng.random() < 0.25:
        return "field: from another document", stray
    if isinstance(value, bytes):
        opened = _opened(value)
        if opened is not None and rng.random() < 0.75:
            form, inner, close = opened
            if rng.random() < 0.08:
                return f"{form}: not canonical", _loose(rng, form, inner)
            other = _opened(stray) if isinstance(stray, bytes) else None
            name, inner = _bend(rng, inner, None if other is None else other[1])
            return f"{form} {name}", close(inner)
        name, data = _bend_bytes(rng, value)
        return f"field: {name}", data
    if isinstance(value, bool):
        return "field: boolean", not value
    if isinstance(value, int):
        return "field: number", rng.choice((*NUMBERS, value + 1, value - 1, value ^ 1 << rng.randrange(32)))
    if isinstance(value, str):
        at = rng.randrange(len(value) + 1)
        return "field: text", rng.choice(
            (value[:at] + "x" + value[at:], value[:at], value.upper(), value + "\0")
        )
    if isinstance(value, Cid):
        return "field: link", Cid(value.codec, _bend_bytes(rng, value.digest)[1][:32].ljust(32, b"\1"))
    return "field: null", rng.choice((0, b"", b"\0", [], False, "null"))


def _bend_container(rng: Random, value: Any, stray: Any, *, top: bool) -> tuple[str, Any]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    made = value.copy()
    if not keys or rng.random() < 0.05:
        if isinstance(made, dict):
            return "container: more", made | {"x": rng.choice((None, 1, b"x"))}
        return "container: more", [*made, rng.choice((b"", b"\0", b"x" * 32))]
    # Half of the time by size: seals are most of a header, though one field of sixteen.
    key = (
        rng.choice(keys) if rng.random() < 0.5 else rng.choices(keys, [_size(value[one]) for one in keys])[0]
    )
    if rng.random() < 0.75:
        name, made[key] = _bend(rng, value[key], _at(stray, key))
        return name, made
    match rng.choice(("drop", "swap", "repeat", "null", "empty", "wrap", "stray")):
        case "drop":
            del made[key]
            return "container: less", made
        case "swap":
            other = rng.choice(keys)
            made[key], made[other] = made[other], made[key]
            return "container: swapped", made
        case "repeat" if isinstance(made, list):
            made.insert(rng.randrange(len(made) + 1), made[key])
            return "container: repeated", made
        case "empty" if not top:
            return "container: emptied", type(value)()
        case "wrap":
            made[key] = [made[key]]
            return "container: wrapped", made
        case "stray" if isinstance(stray, list) and isinstance(made, list) and stray:
            made.insert(rng.randrange(len(made) + 1), rng.choice(stray))
            return "container: of another document", made
        case _:
            # In RLP there is no null; its encoder refuses, and bytes are bent instead.
            made[key] = None
            return "container: null", made


def _size(value: Any) -> int:
    if isinstance(value, list | dict):
        return sum(map(_size, value.values() if isinstance(value, dict) else value), 1)
    return len(value) + 1 if isinstance(value, bytes | str) else 1


def _at(stray: Any, key: Any) -> Any:
    if isinstance(stray, dict):
        return stray.get(key)
    return stray[key] if isinstance(stray, list) and isinstance(key, int) and key < len(stray) else None


# --- bytes


def _bend_bytes(rng: Random, data: bytes) -> tuple[str, bytes]:
    made = bytearray(data or b"\0")
    at, size = rng.randrange(len(made)), rng.randrange(1, 9)
    match rng.randrange(11):
        case 0 | 1 | 2:
            made[at] ^= 1 << rng.randrange(8)
            return "bit flipped", bytes(made)
        case 3:
            made[at] = rng.randrange(256)
            return "byte changed", bytes(made)
        case 4:
            return "truncated", bytes(made[:at])
        case 5:
            made[at:at] = rng.randbytes(size)
            return "bytes put in", bytes(made)
        case 6:
            del made[at : at + size]
            return "bytes taken out", bytes(made)
        case 7:
            other = rng.randrange(len(made))
            made[at : at + size], made[other : other + size] = (
                made[other : other + size],
                made[at : at + size],
            )
            return "bytes swapped", bytes(made)
        case 8:
            return "zeros before", bytes(rng.randrange(1, 3)) + bytes(made)
        case 9:
            return "bytes behind", bytes(made) + rng.randbytes(size)
        case _:
            made[at : at + 32] = bytes(len(made[at : at + 32]))
            return "zeroed", bytes(made)


# --- formats


def _opened(data: bytes) -> tuple[str, Any, Callable[[Any], bytes]] | None:
    """Give the format of a byte string that holds values, the values, and what packs them again."""
    try:
        value = dag_cbor.decode(data, max_bytes=MAX_BYTES)
    except ProtocolError:
        pass
    else:
        if isinstance(value, list | dict) and value:
            return "cbor", value, dag_cbor.encode
    try:
        item = rlp.decode(data)
    except ProtocolError:
        return None
    return ("rlp", item, rlp.encode) if isinstance(item, list) and item else None


def _loose(rng: Random, form: str, value: Any) -> bytes:
    """Encode a container rightly but for one length, which is written longer than it has to be."""
    if form == "rlp":
        parts = [rlp.encode(item) for item in value]
        if rng.random() < 0.5:
            at = rng.randrange(len(parts))
            item = value[at]
            if isinstance(item, bytes):
                length = len(item).to_bytes(rng.choice((1, 2, 3)) if len(item) < 256 else 3, "big")
                parts[at] = bytes([0xB7 + len(length)]) + length + item
        body = b"".join(parts)
        length = len(body).to_bytes(4, "big")
        return b"\xfb" + length + body
    major, count = (5, len(value)) if isinstance(value, dict) else (4, len(value))
    items = (
        [part for pair in sorted(value.items(), key=lambda pair: (len(pair[0]), pair[0])) for part in pair]
        if major == 5
        else value
    )
    head = rng.choice((bytes([major << 5 | 26]) + count.to_bytes(4, "big"), bytes([major << 5 | 31])))
    return (
        head
        + b"".join(map(dag_cbor.encode, items))
        + (b"\xff" if head[-1] & 31 == 31 and len(head) == 1 else b"")
    )


# --- forgeries


def _forge(rng: Random, tree: Any) -> Any:
    """Change one byte string and mend every hash and link of it, and of what held them, up to the top."""
    strings = [one for one in _strings(tree) if len(one) > 8]
    if not strings:
        return _bend(rng, tree, None, top=True)[1]
    old = rng.choice(strings)
    changed = {old: _inner_change(rng, old)}
    for _ in range(MAX_TURNS):
        if not changed:
            break
        hashes = {h(before): h(after) for before, after in changed.items() for h in (keccak256, _sha256)}
        tree = _replaced(tree, changed)
        changed = {}
        for one in _strings(tree):
            mended = one
            for before, after in hashes.items():
                mended = mended.replace(before, after)
            if mended != one:
                changed[one] = mended
        tree = _relinked(tree, hashes)
    return _replaced(tree, changed)


def _inner_change(rng: Random, data: bytes) -> bytes:
    """Change a byte string so that it stays what it was in form, where that can be had."""
    opened = _opened(data)
    return _bend_bytes(rng, data)[1] if opened is None else opened[2](_deep_flip(rng, opened[1]))


def _deep_flip(rng: Random, value: Any) -> Any:
    if isinstance(value, list | dict) and value:
        key = rng.choice(list(value) if isinstance(value, dict) else list(range(len(value))))
        made = value.copy()
        made[key] = _deep_flip(rng, value[key])
        return made
    if isinstance(value, bytes) and value:
        made = bytearray(value)
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
        return bytes(made)
    return value + 1 if isinstance(value, int) and not isinstance(value, bool) else value


def _strings(value: Any) -> list[bytes]:
    if isinstance(value, bytes):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [found for one in inner for found in _strings(one)]


def _replaced(value: Any, changed: dict[bytes, bytes]) -> Any:
    if isinstance(value, bytes):
        return changed.get(value, value)
    if isinstance(value, dict):
        return {key: _replaced(one, changed) for key, one in value.items()}
    return [_replaced(one, changed) for one in value] if isinstance(value, list) else value


def _relinked(value: Any, hashes: dict[bytes, bytes]) -> Any:
    if isinstance(value, Cid):
        return Cid(value.codec, hashes.get(value.digest, value.digest))
    if isinstance(value, dict):
        return {key: _relinked(one, hashes) for key, one in value.items()}
    return [_relinked(one, hashes) for one in value] if isinstance(value, list) else value


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
