"""The calls of Kubo's RPC that fwledger makes, answered from a block store.

Shapes and errors are Kubo's (https://docs.ipfs.tech/reference/kubo/rpc/), so `ipfshttpclient` speaks to
this node and to Kubo alike: POST only, `{"Message", "Code", "Type": "error"}` with status 500, plain text
with 400. What would change a result and is not supported is refused by name rather than ignored.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ledger_client.content.errors import BlockCorruptError, BlockMissingError
from ledger_client.content.node.body import RequestBody, UploadBrokenError, UploadedFile, UploadError
from ledger_client.content.node.commands import COMMANDS, Call, CallError
from ledger_client.content.node.streaming import guarded
from ledger_client.errors import ClientError
from ledger_protocol.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from ledger_client.content.node.commands import Command
    from ledger_client.content.node.store import BlockStore

UPLOAD_IDLE_S: Final = 60.0  # a client silent for this long has gone: its worker thread is needed
_MAX_CALLS: Final = 16  # at work at once: uploads that dawdle must not take the threads of the gateway
_MAX_QUERY_BYTES: Final = 64 * 1024  # about a thousand CIDs
# Sent with every call by clients; none changes a result of ours.
_HARMLESS: Final = frozenset(
    {"stream-channels", "encoding", "offline", "timeout", "progress", "quiet", "quieter"}
)


def rpc_app(store: BlockStore, *, upload_idle_s: float = UPLOAD_IDLE_S) -> Starlette:
    """The ASGI application that answers `/api/v0/...` from `store`."""
    calls = anyio.CapacityLimiter(_MAX_CALLS)

    async def endpoint(request: Request) -> Response:
        command = COMMANDS.get(request.path_params["command"])
        # A page of another site, open in a browser here, must neither publish nor delete. Kubo says the same.
        if "origin" in request.headers:
            return PlainTextResponse("403 - Forbidden", 403)
        if command is None:
            return PlainTextResponse("404 page not found", 404)
        if request.method != "POST":
            return PlainTextResponse("405 - Method Not Allowed", 405, {"Allow": "POST"})
        body = RequestBody(request.stream(), idle_s=upload_idle_s)
        run = partial(_answer, store, command, request, body)
        return await anyio.to_thread.run_sync(run, limiter=calls)

    methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
    return Starlette(routes=[Route("/api/v0/{command:path}", endpoint, methods=methods)])


def _answer(store: BlockStore, command: Command, request: Request, body: RequestBody) -> Response:
    """Run one call in a worker thread, up to the first piece of its answer."""
    try:
        answer = command.run(_read_call(store, command, request, body))
        if isinstance(answer, dict):
            return JSONResponse(answer)
        return _stream(answer.pieces, answer.media_type)
    except (UploadError, CallError) as error:
        return PlainTextResponse(str(error), 400)
    except UploadBrokenError as error:
        return PlainTextResponse(str(error), 408)
    except (ClientError, ProtocolError) as error:
        return JSONResponse({"Message": _message(error), "Code": 0, "Type": "error"}, 500)


def _read_call(store: BlockStore, command: Command, request: Request, body: RequestBody) -> Call:
    if len(request.scope["query_string"]) > _MAX_QUERY_BYTES:
        raise CallError("query", expected=f"at most {_MAX_QUERY_BYTES} bytes", got="more")
    arguments = request.query_params.getlist("arg")
    low, high = command.arguments
    if len(arguments) < low:
        raise CallError('argument "cid" is required')
    if len(arguments) > high:
        raise CallError("arguments", expected=f"at most {high}", got=len(arguments))
    options = {
        key: value for key, value in request.query_params.items() if key != "arg" and key not in _HARMLESS
    }
    if unknown := sorted(options.keys() - command.options):
        raise CallError(f"option {unknown[0][:40]!r} is not supported by this node")
    upload = None
    if command.file:
        if "content-type" not in request.headers:
            raise CallError("file argument 'data' is required")
        upload = UploadedFile(body, request.headers["content-type"])
    return Call(store, tuple(arguments), options, upload)


def _stream(pieces: Iterator[bytes], media_type: str) -> Response:
    # The first piece decides the status: what goes wrong before it is an error, not a broken answer.
    first = next(pieces, b"")
    whole = guarded(itertools.chain((first,), pieces))
    return StreamingResponse(whole, media_type=media_type, headers={"X-Stream-Output": "1"})


def _message(error: ClientError | ProtocolError) -> str:
    if isinstance(error, BlockMissingError) and not isinstance(error, BlockCorruptError) and error.expected:
        return f"block was not found locally (offline): ipld: could not find {error.expected}"
    return str(error)
