"""The relay over HTTP: proofs and trust roots as cacheable files, receipts in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ledger_client.config import parse_address
from ledger_client.errors import ClientError, UnreachableError, UsageError
from ledger_client.relay.service import PROOF_LIFE_S, Relay, TooManyError
from ledger_client.witness.app import NOTE_TYPE
from ledger_client.witness.app import PREFIX as NOTES
from ledger_protocol.errors import ProtocolError
from ledger_protocol.limits import MAX_NAME_BYTES, MAX_U24, MAX_U32
from ledger_protocol.report.receipts import MAX_RECEIPTS_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

PREFIX = "/fwledger/v1"
RESULT_SCHEMA = "fwledger/receipts-result/1"
ERROR_SCHEMA = "fwledger/error/1"

# A stick's worth of receipts over a slow link (seconds); who drips a body holds memory that others need.
BODY_S = 60.0

_CBOR = "application/cbor"
_MAX_AGE_S = int(PROOF_LIFE_S)
_ROOT_MAX_AGE_S = 3_600  # a version never changes


def build_app(relay: Relay, *, body_s: float = BODY_S) -> Starlette:
    """The ASGI application of a relay; a request's body must be there after `body_s` seconds."""

    async def channel(request: Request) -> Response:
        name = request.path_params["name"]
        if not 0 < len(name.encode()) <= MAX_NAME_BYTES:
            return _refuse(UsageError("channel", expected=f"1 to {MAX_NAME_BYTES} bytes", got=len(name)), 400)
        return await _proof(lambda: relay.channel(name))

    async def group(request: Request) -> Response:
        number = _number(request.path_params["number"])
        if number is None or number > MAX_U24:
            return _refuse(UsageError("group", expected=f"0 to {MAX_U24}", got="another"), 400)
        return await _proof(lambda: relay.group(number))

    async def device(request: Request) -> Response:
        try:
            address = parse_address(request.path_params["address"], where="device")
        except UsageError as error:
            return _refuse(error, 400)
        return await _proof(lambda: relay.device(address))

    async def trust_root(request: Request) -> Response:
        version = _number(request.path_params["version"])
        if version is None or not 0 < version <= MAX_U32:
            return _refuse(UsageError("version", expected=f"1 to {MAX_U32}", got="another"), 404)
        try:
            found = await run_in_threadpool(relay.trust_root, version)
        except (ClientError, ProtocolError) as error:
            return _refuse(error, 503)
        if found is None:
            return _refuse(UsageError(f"no trust root of version {version}"), 404)
        headers = {"Cache-Control": f"public, max-age={_ROOT_MAX_AGE_S}"}
        return Response(found, media_type=_CBOR, headers=headers)

    async def receipts(request: Request) -> Response:
        try:
            async with asyncio.timeout(body_s):
                raw = await _body(request, MAX_RECEIPTS_BYTES)
        except TimeoutError:
            return _refuse(
                UsageError("receipts", expected=f"all of them within {body_s:g} s", got="less"), 408
            )
        except ClientDisconnect:
            return Response(status_code=400)
        if raw is None:
            limit = f"at most {MAX_RECEIPTS_BYTES} bytes"
            return _refuse(UsageError("receipts", expected=limit, got="more"), 413)
        try:
            outcome = await run_in_threadpool(relay.submit, raw)
        except (ClientError, ProtocolError) as error:
            return _refuse(error, _status(error))
        return JSONResponse({"schema": RESULT_SCHEMA, **outcome.document()})

    async def newest_note(_: Request) -> Response:
        return await _note(None)

    async def note(request: Request) -> Response:
        number = _number(request.path_params["number"])
        if number is None:
            return _refuse(UsageError("height", expected="a number", got="another text"), 400)
        return await _note(number)

    async def _note(number: int | None) -> Response:
        try:
            found = await run_in_threadpool(relay.note, number)
        except (ClientError, ProtocolError) as error:
            return _refuse(error, 503)
        if found is None:
            return _refuse(UsageError("no note of enough witnesses is at hand"), 404)
        headers = {"Cache-Control": f"public, max-age={_MAX_AGE_S}"}
        return Response(found, media_type=NOTE_TYPE, headers=headers)

    return Starlette(
        routes=[
            Route(f"{PREFIX}/proof/channel/{{name}}", channel),
            Route(f"{PREFIX}/proof/group/{{number}}", group),
            Route(f"{PREFIX}/proof/device/{{address}}", device),
            Route(f"{PREFIX}/trust-roots/{{version}}", trust_root),
            Route(f"{PREFIX}/receipts", receipts, methods=["POST"]),
            Route(f"{NOTES}/newest", newest_note),
            Route(f"{NOTES}/notes/{{number}}", note),
        ]
    )


def _number(text: str) -> int | None:
    """A decimal number; None for anything else, and for more digits than any of ours has."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


async def _proof(make: Callable[[], bytes]) -> Response:
    try:
        made = await run_in_threadpool(make)
    except (ClientError, ProtocolError) as error:
        return _refuse(error, 503)
    return Response(made, media_type=_CBOR, headers={"Cache-Control": f"public, max-age={_MAX_AGE_S}"})


async def _body(request: Request, limit: int) -> bytes | None:
    """The request's body; None where it is over the limit, whatever its Content-Length says."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _status(error: ClientError | ProtocolError) -> int:
    if isinstance(error, UnreachableError):
        return 503
    if isinstance(error, TooManyError):
        return 429
    return 400 if isinstance(error, UsageError) else 422


def _refuse(error: ClientError | ProtocolError, status: int) -> Response:
    document = {"schema": ERROR_SCHEMA, "error": str(error), "hint": error.hint}
    return JSONResponse(document, status_code=status)
