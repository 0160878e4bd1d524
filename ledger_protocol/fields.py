"""Read a decoded dag-cbor map field by field: each with its type and range, none missing, none unknown.

Every document of this package is read through `Fields`, so that each decoder is as strict as the next.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import Cid
from ledger_protocol.errors import LimitError, MalformedError
from ledger_protocol.limits import MAX_NAME_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger_protocol.content.dag_cbor import Value

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""What a name of a channel, component, slot class or handler looks like: safe in a path or a log."""


class Fields:
    """The fields of one map. Read each by name, then call `end()`, which refuses what is left."""

    def __init__(self, value: Value, *, where: str) -> None:
        if not isinstance(value, dict):
            raise MalformedError(where, expected="a map", got=type(value).__name__)
        self._left = dict(value)
        self._where = where

    @classmethod
    def document(cls, data: bytes, *, schema: str, max_bytes: int) -> Fields:
        """Decode a document of at most `max_bytes` that starts with this schema id, and no other."""
        fields = cls(dag_cbor.decode(data, max_bytes=max_bytes), where=schema)
        found = fields.take("schema")
        if found != schema:
            raise MalformedError(
                "schema of document",
                expected=schema,
                got=found if isinstance(found, str) else type(found).__name__,
                hint="a newer version of this program may know it",
            )
        return fields

    def take(self, name: str) -> Value:
        """Return the field as it was decoded."""
        if name not in self._left:
            raise MalformedError(self._where, expected=f"a field {name!r}", got="none")
        return self._left.pop(name)

    def end(self) -> None:
        """Refuse fields that nobody asked for: an unknown field may change what a known one means."""
        if self._left:
            raise MalformedError(self._where, expected="no more fields", got=", ".join(sorted(self._left)))

    def integer(self, name: str, *, low: int = 0, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise MalformedError(self._at(name), expected=f"integer {low} to {high}", got=_brief(value))
        return value

    def integer_or_null(self, name: str, *, low: int = 0, high: int) -> int | None:
        """Return an integer in range, or None for null."""
        return None if self._null(name) else self.integer(name, low=low, high=high)

    def boolean(self, name: str) -> bool:
        """Return true or false; 0 and 1 are refused."""
        value = self.take(name)
        if not isinstance(value, bool):
            raise MalformedError(self._at(name), expected="true or false", got=_brief(value))
        return value

    def octets(self, name: str, *, size: int) -> bytes:
        """Return a byte string of exactly `size` bytes."""
        return octets(self.take(name), size=size, where=self._at(name))

    def octets_or_null(self, name: str, *, size: int) -> bytes | None:
        """Return a byte string of exactly `size` bytes, or None for null."""
        return None if self._null(name) else self.octets(name, size=size)

    def octets_up_to(self, name: str, *, max_bytes: int) -> bytes:
        """Return a byte string of 1 to `max_bytes` bytes."""
        value = self.take(name)
        if not isinstance(value, bytes) or not 1 <= len(value) <= max_bytes:
            raise MalformedError(self._at(name), expected=f"1 to {max_bytes} bytes", got=_brief(value))
        return value

    def text(self, name: str, *, max_bytes: int, empty: bool = False, lines: bool = False) -> str:
        """Return text of at most `max_bytes` bytes of UTF-8 without control characters; see `text`."""
        return text(self.take(name), max_bytes=max_bytes, empty=empty, lines=lines, where=self._at(name))

    def name(self, name: str, *, pattern: re.Pattern[str] = NAME, max_bytes: int = MAX_NAME_BYTES) -> str:
        """Return text that `pattern` matches from end to end."""
        return matching(self.take(name), pattern=pattern, max_bytes=max_bytes, where=self._at(name))

    def names(
        self,
        name: str,
        *,
        max_count: int,
        min_count: int = 0,
        pattern: re.Pattern[str] = NAME,
        max_bytes: int = MAX_NAME_BYTES,
    ) -> tuple[str, ...]:
        """Return a list of names, each once."""
        where = self._at(name)
        items = self.items(name, max_count=max_count, min_count=min_count)
        found = tuple(matching(item, pattern=pattern, max_bytes=max_bytes, where=where) for item in items)
        distinct(found, where=where)
        return found

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        """Return one of `options`."""
        value = self.take(name)
        if not isinstance(value, str) or value not in options:
            raise MalformedError(self._at(name), expected=" or ".join(options), got=_brief(value))
        return value

    def link(self, name: str, *, codecs: tuple[int, ...]) -> Cid:
        """Return a link (tag 42) to a block of one of `codecs`."""
        value = self.take(name)
        if not isinstance(value, Cid):
            raise MalformedError(self._at(name), expected="a link", got=_brief(value))
        if value.codec not in codecs:
            raise MalformedError(
                self._at(name), expected=f"a link of codec {[hex(c) for c in codecs]}", got=value
            )
        return value

    def link_or_null(self, name: str, *, codecs: tuple[int, ...]) -> Cid | None:
        """Return a link, or None for null."""
        return None if self._null(name) else self.link(name, codecs=codecs)

    def items(self, name: str, *, max_count: int, min_count: int = 0) -> list[Value]:
        """Return a list of `min_count` to `max_count` undecoded items."""
        value = self.take(name)
        if not isinstance(value, list):
            raise MalformedError(self._at(name), expected="a list", got=_brief(value))
        if len(value) > max_count:
            raise LimitError(self._at(name), expected=f"at most {max_count} items", got=len(value))
        if len(value) < min_count:
            raise MalformedError(self._at(name), expected=f"at least {min_count} items", got=len(value))
        return value

    def groups(self, name: str, *, max_count: int, min_count: int = 0) -> list[Fields]:
        """Return a list of maps, each to be read and ended in turn."""
        items = self.items(name, max_count=max_count, min_count=min_count)
        return [Fields(item, where=f"{self._at(name)}[{index}]") for index, item in enumerate(items)]

    def group(self, name: str) -> Fields:
        """Return a map, to be read and ended in turn."""
        return Fields(self.take(name), where=self._at(name))

    def group_or_null(self, name: str) -> Fields | None:
        """Return a map to be read in turn, or None for null."""
        return None if self._null(name) else self.group(name)

    def _null(self, name: str) -> bool:
        if name in self._left and self._left[name] is None:
            del self._left[name]
            return True
        return False

    def _at(self, name: str) -> str:
        return f"{self._where}.{name}"


def octets(value: Value, *, size: int, where: str) -> bytes:
    """Return `value` if it is a byte string of exactly `size` bytes."""
    if not isinstance(value, bytes) or len(value) != size:
        raise MalformedError(where, expected=f"{size} bytes", got=_brief(value))
    return value


def text(value: Value, *, max_bytes: int, where: str, empty: bool = False, lines: bool = False) -> str:
    """Return `value` if it is text of at most `max_bytes` bytes without control characters.

    Text is printed on terminals, so escape sequences and bidirectional overrides are refused; `lines`
    allows line feed and tab.
    """
    if not isinstance(value, str):
        raise MalformedError(where, expected="text", got=_brief(value))
    if len(value.encode("utf-8")) > max_bytes:
        raise LimitError(
            where, expected=f"at most {max_bytes} bytes", got=f"{len(value.encode('utf-8'))} bytes"
        )
    if not value and not empty:
        raise MalformedError(where, expected="text", got="empty text")
    if not all(char.isprintable() or (lines and char in "\n\t") for char in value):
        raise MalformedError(where, expected="printable text", got=ascii(value))
    return value


def matching(value: Value, *, pattern: re.Pattern[str], max_bytes: int, where: str) -> str:
    """Return `value` if it is text that `pattern` matches from end to end."""
    found = text(value, max_bytes=max_bytes, where=where)
    if pattern.fullmatch(found) is None:
        raise MalformedError(where, expected=f"text like {pattern.pattern}", got=found)
    return found


def distinct(values: Iterable[object], *, where: str) -> None:
    """Refuse a list that holds one value twice."""
    seen = set()
    for value in values:
        if value in seen:
            raise MalformedError(where, expected="each once", got=f"{value} twice")
        seen.add(value)


def _brief(value: Value) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'map'} of {len(value)}"
    return repr(value)
