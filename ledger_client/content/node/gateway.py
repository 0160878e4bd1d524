"""A trustless HTTP gateway: raw blocks and CARs that the receiver verifies, from a block store alone.

https://specs.ipfs.tech/http-gateways/trustless-gateway/; content.md §2. It is not recursive: what the store
does not hold is 404, never looked for elsewhere.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote

import anyio.to_thread
import zstandard
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ledger_client.content import dag, files, publish
from ledger_client.content.address import Address
from ledger_client.content.errors import BlockMissingError
from ledger_client.content.node import negotiation
from ledger_client.content.node.negotiation import BadRequestError, CarForm
from ledger_client.content.node.streaming import guarded
from ledger_client.errors import ClientError
from ledger_protocol.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from ledger_client.content.files import Resolved
    from ledger_client.content.node.store import BlockStore

MAX_AGE_S: Final = 29_030_400  # 48 weeks: what a CID names never changes
_MAX_PATH_BYTES: Final = 4096
_ZSTD_LEVEL: Final = 3  # image chunks are small and served live: more effort gains little
_PIECE_BYTES: Final = 256 * 1024
_CACHE: Final = f"public, max-age={MAX_AGE_S}, immutable"
_OPEN: Final = {  # anybody may read: it is public content, and what it is the receiver checks
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Content-Range, Content-Length, X-Ipfs-Path, X-Ipfs-Roots",
}


def gateway_app(store: BlockStore) -> Starlette:
    """The ASGI application that answers `GET` and `HEAD /ipfs/CID[/PATH]` from `store`."""

    async def endpoint(request: Request) -> Response:
        return await anyio.to_thread.run_sync(partial(_answer, store, request))

    return Starlette(routes=[Route("/ipfs/{rest:path}", endpoint, methods=["GET", "HEAD"])])


def _answer(store: BlockStore, request: Request) -> Response:
    try:
        root, segments, shown = _read_path(request)
        form = _read_form(request, root)
        if form == "raw":
            return _raw(store, request, root, segments, shown)
        return _car(store, request, files.resolve(root, segments, store.get), form, shown)
    except BadRequestError as error:
        return PlainTextResponse(f"{error}\n", error.status, headers=_OPEN)
    except BlockMissingError as error:
        only_cached = "only-if-cached" in request.headers.get("cache-control", "")
        return PlainTextResponse(f"{error}\n", 412 if only_cached else 404, headers=_OPEN)
    except (ClientError, ProtocolError) as error:
        return PlainTextResponse(f"{error}\n", 500, headers=_OPEN)


def _read_path(request: Request) -> tuple[Address, list[str], str]:
    """Root, decoded segments, and the path as it was asked for (safe in a header: still percent-encoded)."""
    raw = request.scope["raw_path"].split(b"?")[0]
    if len(raw) > _MAX_PATH_BYTES:
        raise BadRequestError(f"path: expected at most {_MAX_PATH_BYTES} bytes", 414)
    shown = raw.decode("ascii", "replace")
    first, *rest = [part for part in shown.removeprefix("/ipfs/").split("/") if part] or [""]
    try:
        root = Address.parse(unquote(first))
    except ProtocolError as error:
        raise BadRequestError(f"{error}") from None
    return root, [unquote(part, errors="replace") for part in rest], shown


def _read_form(request: Request, root: Address) -> CarForm | Literal["raw"]:
    try:
        return negotiation.read_form(request.query_params, request.headers.get("accept"))
    except BadRequestError:
        if root.inline and "format" not in request.query_params:
            return "raw"  # clients probe a gateway with the empty identity CID, bafkqaaa, in any form
        raise


def _raw(store: BlockStore, request: Request, root: Address, segments: list[str], shown: str) -> Response:
    if segments:
        raise BadRequestError("a raw block has no path below it: ask for its own CID, or for a CAR")
    name = str(root)
    etags = f'"{name}.raw"', f'"{name}.raw.zst"'
    headers = _headers(request, shown, name, f"{name}.bin") | {"Accept-Ranges": "bytes"}
    if negotiation.is_fresh(request.headers.get("if-none-match"), etags):
        return Response(status_code=304, headers=headers | {"ETag": etags[0]})
    block = files.fetch(root, store.get)
    headers["ETag"] = etags[0]
    may_range = request.headers.get("if-range", etags[0]) == etags[0]
    try:
        span = negotiation.read_range(request.headers.get("range"), len(block)) if may_range else None
    except BadRequestError as error:
        return PlainTextResponse(
            f"{error}\n", 416, headers=_OPEN | {"Content-Range": f"bytes */{len(block)}"}
        )
    if span is not None:
        first, last = span
        headers["Content-Range"] = f"bytes {first}-{last}/{len(block)}"
        return Response(block[first : last + 1], 206, headers, negotiation.RAW_TYPE)
    if negotiation.accepts_zstd(request.headers.get("accept-encoding")):
        packed = zstandard.ZstdCompressor(_ZSTD_LEVEL).compress(block)
        if len(packed) < len(block):
            headers |= {"Content-Encoding": "zstd", "ETag": etags[1]}
            return Response(packed, 200, headers, negotiation.RAW_TYPE)
    return Response(block, 200, headers, negotiation.RAW_TYPE)


def _car(store: BlockStore, request: Request, found: Resolved, form: CarForm, shown: str) -> Response:
    roots = ",".join(map(str, found.roots))
    packed = negotiation.accepts_zstd(request.headers.get("accept-encoding"))
    etag = f'W/"{found.address}.car.{form.tag(roots)}"'
    headers = _headers(request, shown, roots, f"{found.address}.car") | {
        "ETag": etag,
        "Accept-Ranges": "none",
    }
    if negotiation.is_fresh(request.headers.get("if-none-match"), (etag,)):
        return Response(status_code=304, headers=headers)
    blocks = _once(_car_blocks(store, found, form), duplicates=form.duplicates)
    first = next(blocks)  # what is missing at the very end of the path is a 404, not a broken answer
    if packed:
        headers["Content-Encoding"] = "zstd"
    if request.method == "HEAD":
        # A stream, though an empty one: a Content-Length of 0 would claim an empty CAR.
        return StreamingResponse(iter(()), 200, headers, form.media_type)
    sections = publish.car_sections(found.address, itertools.chain((first,), blocks))
    pieces = publish.in_pieces(_compressed(sections) if packed else sections, _PIECE_BYTES)
    return StreamingResponse(guarded(pieces), 200, headers, form.media_type)


def _car_blocks(store: BlockStore, found: Resolved, form: CarForm) -> Iterator[tuple[Address, bytes]]:
    yield from found.passed
    end = found.address
    if form.scope == "all":
        yield from dag.walk(end, store.get, repeat=form.duplicates)
        return
    block = files.fetch(end, store.get)
    if form.scope == "block":
        yield end, block
        return
    first, last = 0, None
    if files.is_file(end, block):
        first, last = negotiation.clamp_span(form, files.file_size(end, block))
    yield from files.entity_blocks(end, store.get, first, last)


def _once(blocks: Iterator[tuple[Address, bytes]], *, duplicates: bool) -> Iterator[tuple[Address, bytes]]:
    seen: set[bytes] = set()
    for address, block in blocks:
        if duplicates or address.digest not in seen:
            seen.add(address.digest)
            yield address, block


def _compressed(parts: Iterator[bytes]) -> Iterator[bytes]:
    packer = zstandard.ZstdCompressor(_ZSTD_LEVEL).compressobj()
    for part in parts:
        yield packer.compress(part)
    yield packer.flush()


def _headers(request: Request, shown: str, roots: str, filename: str) -> dict[str, str]:
    return _OPEN | {
        "Cache-Control": _CACHE,
        "Content-Disposition": negotiation.disposition(request.query_params.get("filename"), filename),
        "Vary": "Accept, Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "X-Ipfs-Path": shown,
        "X-Ipfs-Roots": roots,
    }
