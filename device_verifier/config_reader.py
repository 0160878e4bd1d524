"""Read TOML tables strictly: each key once, by type and bounds; whatever is left over is refused by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from device_verifier.errors import UsageError
from ledger_protocol.report.reasons import Reason

__all__ = ["Table", "bad_config"]

MAX_TEXT_CHARS: Final = 256
# Linux refuses longer paths.
MAX_PATH_CHARS: Final = 4096
_MISSING: Final = object()


def bad_config(what: str, expected: str, got: str, *, hint: str = "correct device.toml") -> UsageError:
    """Return the error for a configuration value that is not as it must be."""
    return UsageError(what, reason=Reason.USAGE, expected=expected, got=got, hint=hint)


class Table:
    """One table. Every reader takes its key out; `end` refuses what nobody asked for.

    `where` is the table's name in messages; `base` the directory that relative paths count from.
    """

    def __init__(self, values: Mapping[str, object], where: str, base: Path) -> None:
        self._values = dict(values)
        self._known: set[str] = set()
        self.where = where
        self._base = base

    def end(self) -> None:
        """Refuse keys that no reader took."""
        if self._values:
            raise bad_config(
                self.where,
                "only the keys " + ", ".join(sorted(self._known)),
                ", ".join(sorted(self._values))[:200],
            )

    def text(self, key: str) -> str:
        """Return required text of 1 to 256 characters."""
        value = self._take(key)
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT_CHARS or not value.isprintable():
            raise self._bad(key, f"printable text of 1 to {MAX_TEXT_CHARS} characters", value)
        return value

    def text_or_none(self, key: str) -> str | None:
        """Return text, or None where the key is absent."""
        return self.text(key) if self._has(key) else None

    def texts(self, key: str, most: int, *, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """Return a list of at most `most` texts."""
        value = self._take(key, default)
        if (
            isinstance(value, tuple | list)
            and len(value) <= most
            and all(isinstance(item, str) for item in value)
        ):
            return tuple(value)
        raise self._bad(key, f"a list of at most {most} texts", value)

    def one_of(self, key: str, choices: Sequence[str], *, default: str | None = None) -> str:
        """Return one of the texts `choices`."""
        value = self._take(key, default)
        if value not in choices:
            raise self._bad(key, " or ".join(choices), value)
        return str(value)

    def integer(self, key: str, least: int, most: int, *, default: int | None = None) -> int:
        """Return a whole number from `least` to `most`."""
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._bad(key, f"a whole number from {least} to {most}", value)
        return value

    def integer_or_none(self, key: str, least: int, most: int) -> int | None:
        """Return a whole number, or None where the key is absent."""
        return self.integer(key, least, most) if self._has(key) else None

    def boolean(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self._bad(key, "true or false", value)
        return value

    def path(self, key: str, default: Path | None = None) -> Path:
        """Return a path, made absolute."""
        value = self._take(key, default)
        if isinstance(value, Path):
            return value
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_PATH_CHARS or "\0" in value:
            raise self._bad(key, "a path", value)
        return self._base / value

    def path_or_none(self, key: str) -> Path | None:
        """Return a path, or None where the key is absent."""
        return self.path(key) if self._has(key) else None

    def url(self, key: str) -> str:
        """Return an http or https URL without a trailing slash."""
        value = self.text(key)
        try:
            parts = urlsplit(value)
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good:
            # Shown without its user and password, which a misspelt URL carries too.
            raise self._bad(key, "an http or https URL with a host", value.rpartition("@")[2])
        return value.rstrip("/")

    def url_or_none(self, key: str) -> str | None:
        """Return a URL, or None where the key is absent."""
        return self.url(key) if self._has(key) else None

    def table(self, key: str) -> "Table":
        """Return a required table."""
        return self._table(key, self._take(key))

    def table_or_empty(self, key: str) -> "Table":
        """Return a table, empty where the key is absent."""
        return self._table(key, self._take(key, {}))

    def tables(self, key: str, most: int) -> "list[Table]":
        """Return a list of at most `most` tables ([[key]]), empty where the key is absent."""
        value = self._take(key, [])
        if not isinstance(value, list) or len(value) > most:
            raise self._bad(key, f"at most {most} tables [[{key}]]", value)
        return [self._table(f"{key}[{i}]", item) for i, item in enumerate(value)]

    def named_tables(self, key: str, most: int) -> "list[tuple[str, Table]]":
        """Return the tables [key.NAME], by name; at most `most`."""
        value = self._take(key, {})
        if not isinstance(value, dict) or len(value) > most:
            raise self._bad(key, f"at most {most} tables [{key}.NAME]", value)
        return [(name, self._table(f"{key}.{name}", item)) for name, item in value.items()]

    def _table(self, key: str, value: object) -> "Table":
        if not isinstance(value, dict):
            raise self._bad(key, "a table", value)
        return Table(value, f"{self.where}: {key}", self._base)

    def _has(self, key: str) -> bool:
        self._known.add(key)
        return key in self._values

    def _take(self, key: str, default: object = None) -> object:
        self._known.add(key)
        value = self._values.pop(key, _MISSING)
        if value is not _MISSING:
            return value
        if default is None:
            raise bad_config(f"{self.where}: {key}", "a value", "nothing")
        return default

    def _bad(self, key: str, expected: str, value: object) -> UsageError:
        return bad_config(f"{self.where}: {key}", expected, repr(value)[:100])
