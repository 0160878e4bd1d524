"""A witness over HTTP: its notes, read from its store, so that nobody sees what is not on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ledger_client.errors import ClientError
from ledger_protocol.limits import MAX_U64

if TYPE_CHECKING:
    from starlette.requests import Request

    from ledger_client.witness.store import NoteStore, Signed

PREFIX = "/fwledger/v1/witness"
ERROR_SCHEMA = "fwledger/error/1"
NOTE_TYPE = "text/plain; charset=utf-8"

# A height's note changes only by heartbeats, the newest with every block (seconds).
_NEWEST_MAX_AGE_S = 1


def build_app(store: NoteStore) -> Starlette:
    """The ASGI application: `/newest` and `/notes/HEIGHT` under PREFIX."""

    async def newest(_: Request) -> Response:
        try:
            return _answer(await run_in_threadpool(store.newest))
        except ClientError as error:
            return _refuse(str(error), 503)

    async def at(request: Request) -> Response:
        number = request.path_params["number"]
        if number > MAX_U64 >> 1:
            return _refuse("no block has this height", 404)
        try:
            return _answer(await run_in_threadpool(store.at, number))
        except ClientError as error:
            return _refuse(str(error), 503)

    return Starlette(routes=[Route(f"{PREFIX}/newest", newest), Route(f"{PREFIX}/notes/{{number:int}}", at)])


def _answer(found: Signed | None) -> Response:
    if found is None:
        return _refuse("this witness signed no such block", 404)
    headers = {"Cache-Control": f"public, max-age={_NEWEST_MAX_AGE_S}"}
    return Response(found.note, media_type=NOTE_TYPE, headers=headers)


def _refuse(error: str, status: int) -> Response:
    return JSONResponse({"schema": ERROR_SCHEMA, "error": error, "hint": ""}, status_code=status)
