"""What a gateway request asks for: its form, CAR parameters, range, encoding and validators. Pure functions.

Source: https://specs.ipfs.tech/http-gateways/trustless-gateway/ and RFC 9110; content.md §2.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

RAW_TYPE: Final = "application/vnd.ipld.raw"
CAR_TYPE: Final = "application/vnd.ipld.car"
_MAX_ACCEPT: Final = 32  # media types of one header
_NUMBER: Final = r"\d{1,18}"


class BadRequestError(Exception):
    """The request cannot be answered: `status` is 400, 406 or 416, the text says what was expected."""

    def __init__(self, message: str, status: int = 400) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class CarForm:
    """A CAR: every block once unless `duplicates`; `scope`, and for an entity the byte range of a file.

    `first` and `last` may be negative, counted from the end; `last` None means the end.
    """

    duplicates: bool
    scope: Literal["block", "entity", "all"]
    first: int = 0
    last: int | None = None

    @property
    def media_type(self) -> str:
        """The whole type, with all parameters as they were applied."""
        return f"{CAR_TYPE}; version=1; order=dfs; dups={'y' if self.duplicates else 'n'}"

    def tag(self, roots: str) -> str:
        """What the Etag of this CAR depends on besides the last root: the path's roots and all parameters."""
        text = f"{roots}|{self.media_type}|{self.scope}|{self.first}|{self.last}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_form(query: Mapping[str, str], accept: str | None) -> CarForm | Literal["raw"]:
    """The form that is asked for: `format` wins over `Accept`. Raises BadRequestError 400 for neither, 406
    for others.
    """
    asked = query.get("format")
    types = _accepted(accept or "")
    if asked is None:
        found = next((name for name in types if name in (RAW_TYPE, CAR_TYPE)), None)
        if found is None:
            if types and "*/*" not in types:
                raise BadRequestError(f"this gateway answers {RAW_TYPE} and {CAR_TYPE} only", 406)
            raise BadRequestError(f"ask for ?format=raw or ?format=car, or accept {RAW_TYPE} or {CAR_TYPE}")
        asked = "raw" if found == RAW_TYPE else "car"
    if asked == "raw":
        return "raw"
    if asked != "car":
        raise BadRequestError("this gateway answers format=raw and format=car only", 406)
    return _read_car(query, types.get(CAR_TYPE, {}))


def _read_car(query: Mapping[str, str], parameters: Mapping[str, str]) -> CarForm:
    def value(name: str, default: str, allowed: tuple[str, ...]) -> str:
        text = query.get(f"car-{name}", parameters.get(name, default))
        if text not in allowed:
            raise BadRequestError(f"CAR {name}: expected {' or '.join(allowed)}")
        return text

    value("version", "1", ("1",))
    value("order", "dfs", ("dfs", "unk"))  # depth first is one of the orders that "unk" allows
    duplicates = value("dups", "n", ("y", "n")) == "y"
    span = query.get("entity-bytes")
    scope = query.get("dag-scope", "all" if span is None else "entity")
    if scope in {"block", "all"}:
        return CarForm(duplicates, "block" if scope == "block" else "all")
    if scope != "entity":
        raise BadRequestError("dag-scope: expected block, entity or all")
    first, last = _read_span(span or "0:*")
    return CarForm(duplicates, "entity", first, last)


def _read_span(text: str) -> tuple[int, int | None]:
    match = re.fullmatch(rf"(-?{_NUMBER}):(\*|-?{_NUMBER})", text, re.ASCII)
    if not match:
        raise BadRequestError("entity-bytes: expected FROM:TO, two integers, or * for TO")
    first, last = int(match[1]), None if match[2] == "*" else int(match[2])
    if last is not None and last < first and (first < 0) == (last < 0):
        raise BadRequestError("entity-bytes: expected FROM not after TO")
    return first, last


def clamp_span(form: CarForm, size_bytes: int) -> tuple[int, int]:
    """The first and last byte of `form` in a file of `size_bytes`; the last is before the first where there
    is none.
    """
    first = max(form.first + size_bytes, 0) if form.first < 0 else form.first
    last = size_bytes - 1 if form.last is None else form.last
    last = last + size_bytes if last < 0 else last
    return first, min(last, size_bytes - 1)


def read_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """The first and last byte of a Range header's first range, None where there is none to apply (RFC 9110
    §14.2).

    Raises BadRequestError 416 where it lies outside of the block. Several ranges are answered with the first.
    """
    match = re.match(rf"bytes=\s*({_NUMBER})?-({_NUMBER})?\s*(?:,|$)", header or "", re.ASCII)
    if not match or (match[1] is None and match[2] is None):
        return None
    if match[1] is None:
        first, last = max(size_bytes - int(match[2]), 0), size_bytes - 1
    else:
        first = int(match[1])
        last = size_bytes - 1 if match[2] is None else min(int(match[2]), size_bytes - 1)
        if match[2] is not None and int(match[2]) < first:
            return None
    if first > last:
        raise BadRequestError(f"range outside of {size_bytes} bytes", 416)
    return first, last


def is_fresh(if_none_match: str | None, etags: tuple[str, ...]) -> bool:
    """Whether the client holds one of `etags` already (weak comparison, RFC 9110 §13.1.2)."""
    held = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    return "*" in held or any(etag.removeprefix("W/") in held for etag in etags)


def accepts_zstd(header: str | None) -> bool:
    """Whether an Accept-Encoding header names zstd, with a weight above zero."""
    for item in (header or "").lower().split(","):
        name, _, weight = item.partition(";")
        if name.strip() == "zstd":
            return not re.fullmatch(r"\s*q=0(\.0{0,3})?\s*", weight)
    return False


def disposition(filename: str | None, default: str) -> str:
    """A Content-Disposition that saves, with a file name that cannot break out of the header (RFC 6266)."""
    name = (
        "".join(char for char in filename or "" if char.isprintable() and char not in '"\\/')[:255] or default
    )
    plain = name.encode("ascii", "replace").decode("ascii").replace("?", "_")
    encoded = "".join(chr(byte) if chr(byte) in _ATTRIBUTE else f"%{byte:02X}" for byte in name.encode())
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


_ATTRIBUTE: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`|~"


def _accepted(header: str) -> dict[str, dict[str, str]]:
    """Media types with their parameters, the best first; those of weight 0 left out."""
    found: list[tuple[float, str, dict[str, str]]] = []
    for item in header.split(",")[:_MAX_ACCEPT]:
        name, *rest = (part.strip() for part in item.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {key.strip().lower(): text.strip().strip('"') for key, _, text in pairs}
        weight = parameters.pop("q", "1")
        if name and re.fullmatch(r"0(\.\d{0,3})?|1(\.0{0,3})?", weight) and float(weight) > 0:
            found.append((float(weight), name.lower(), parameters))
    found.sort(key=lambda entry: -entry[0])
    best: dict[str, dict[str, str]] = {}
    for _, name, parameters in found:
        best.setdefault(name, parameters)
    return best
