"""Files in forms that no program of ours writes, for whatever reads files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HUGE_BYTES = 1 << 31  # sparse: costs nothing on disk, and everything to who reads it whole


def directory(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 40)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(HUGE_BYTES)


def brackets(path: Path) -> None:
    path.write_bytes(b"[" * 200_000)


def cbor_brackets(path: Path) -> None:
    path.write_bytes(b"\x81" * 60_000)


def json_of_another_kind(path: Path) -> None:
    path.write_bytes(b'{"schema": 7, "version": -1, "validators": [null], "act": [], "crypto": {"kdf": 1}}')


def json_list(path: Path) -> None:
    path.write_bytes(b"[1, 2, null, {}]")


def long_line(path: Path) -> None:
    path.write_bytes(b"x" * 3_000_000)


def dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("nothing-there"))


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


FORMS = [
    directory, empty, binary, huge, brackets, cbor_brackets, json_of_another_kind, json_list, long_line,
    dangling_link, link_to_itself,
]  # fmt: skip
