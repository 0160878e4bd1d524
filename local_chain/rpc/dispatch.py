"""From a JSON-RPC request body to the answer's body (JSON-RPC 2.0). Every failure becomes an error object
here.
"""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_chain.errors import ChainError, ExecutionFailed
from local_chain.json_input import parse_json
from local_chain.rpc import (
    about,
    blocks,
    dev,
    filters,
    logs,
    sending,
    signing,
    simulating,
    state,
    subscriptions,
    tracing,
    txpool,
)
from local_chain.rpc.quantities import InvalidParams, Json, hex_data
from local_chain.rpc.registry import METHODS
from local_chain.simulation import SimulationRefused

if TYPE_CHECKING:
    from local_chain.channels import Channel
    from local_chain.node import Node

MAX_EXECUTION_S = 5.0  # of all that one body of a stranger runs, as geth's limit for one call: others wait
MAX_BATCH = 1_000  # requests in one body: bounds how long one client holds the chain
MAX_BATCH_ANSWER_BYTES = (
    25_000_000  # geth's limit; the request that crosses it is the last that is carried out
)
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL = (
    -32700,
    -32600,
    -32601,
    -32602,
    -32603,
)
SERVER_ERROR, TIMED_OUT, ANSWER_TOO_LARGE, LIMIT_EXCEEDED = -32000, -32002, -32003, -32005  # as geth's
REVERTED = 3

# The modules fill the table when they are imported.
METHOD_MODULES = (
    about,
    blocks,
    dev,
    filters,
    logs,
    sending,
    signing,
    simulating,
    state,
    subscriptions,
    tracing,
    txpool,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RpcError(Exception):
    """An error object."""

    code: int
    message: str
    data: Json = None


def answer(node: Node, body: bytes, *, privileged: bool, channel: Channel | None = None) -> bytes | None:
    """The answer to a body with one request or a batch; None when it held only notifications.

    ``privileged`` allows what only the machine's own user may do, and as long as it takes. ``channel`` is
    the connection of a client that can be told of events.
    """
    with node.chain.backend.within(None if privileged else MAX_EXECUTION_S):
        return _answer(node, body, privileged=privileged, channel=channel)


def _answer(node: Node, body: bytes, *, privileged: bool, channel: Channel | None) -> bytes | None:
    try:
        request = parse_json(body)
    except ValueError as error:
        return _encode(_failure(None, RpcError(PARSE_ERROR, f"parse error: {error}")))
    if not isinstance(request, list):
        response = _single(node, request, privileged=privileged, channel=channel)
        return None if response is None else _encode(response)
    if not 1 <= len(request) <= MAX_BATCH:
        text = "empty batch"
        if request:
            text = f"batch too large: expected at most {MAX_BATCH} requests, got {len(request)}"
        return _encode(_failure(None, RpcError(INVALID_REQUEST, text)))
    parts: list[bytes] = []
    room = MAX_BATCH_ANSWER_BYTES
    deadline = math.inf if privileged else time.monotonic() + MAX_EXECUTION_S
    for item in request:
        if room < 0:
            response = _skipped(item, RpcError(ANSWER_TOO_LARGE, "response too large"))
        elif time.monotonic() >= deadline:
            response = _skipped(item, RpcError(TIMED_OUT, "request timed out"))
        else:
            response = _single(node, item, privileged=privileged, channel=channel)
        if response is not None:
            parts.append(_encode(response))
            room -= len(parts[-1])
    return b"[" + b",".join(parts) + b"]" if parts else None


def _single(
    node: Node, request: Json, *, privileged: bool, channel: Channel | None
) -> dict[str, Json] | None:
    if not isinstance(request, dict):
        return _failure(None, RpcError(INVALID_REQUEST, "invalid request: expected an object"))
    identifier = _identifier(request)
    if identifier is None and request.get("id") is not None:
        return _failure(
            None, RpcError(INVALID_REQUEST, "invalid request: expected an id that is text or a number")
        )
    try:
        result = _call(node, request, privileged=privileged, channel=channel)
    except RpcError as error:
        if node.on_failure is not None:
            node.on_failure(str(request.get("method"))[:80], error.code, error.message)
        response = _failure(identifier, error)
    else:
        response = {"jsonrpc": "2.0", "id": identifier, "result": result}
    return response if "id" in request else None


def _skipped(request: Json, error: RpcError) -> dict[str, Json] | None:
    """The answer to a request of a batch that was not carried out, because of those before it."""
    is_notification = isinstance(request, dict) and "id" not in request
    return None if is_notification else _failure(_identifier(request), error)


def _identifier(request: Json) -> Json:
    """What names the request to its sender: text, a number, or null for everything else."""
    identifier = request.get("id") if isinstance(request, dict) else None
    return None if isinstance(identifier, (dict, list, bool)) else identifier


def _call(node: Node, request: dict[str, Json], *, privileged: bool, channel: Channel | None) -> Json:
    name, params = request.get("method"), request.get("params")
    if request.get("jsonrpc") != "2.0" or not isinstance(name, str):
        raise RpcError(INVALID_REQUEST, 'invalid request: expected "jsonrpc": "2.0" and a method')
    method = METHODS.get(name)
    if method is None:
        raise RpcError(METHOD_NOT_FOUND, f"the method {name[:80]} does not exist/is not available")
    if method.privileged and not privileged:
        raise RpcError(SERVER_ERROR, f"{name} is for loopback only: this node listens on a network address")
    if method.over_socket and channel is None:
        raise RpcError(METHOD_NOT_FOUND, "notifications not supported: connect by WebSocket")
    if params is None:
        params = []
    if not isinstance(params, list):
        raise RpcError(INVALID_PARAMS, "non-array args: expected params as a list")
    try:
        context = (node, channel) if method.over_socket else (node,)
        return method.function(*context, *method.parse(params))
    except InvalidParams as error:
        raise RpcError(INVALID_PARAMS, str(error)) from error
    except ExecutionFailed as error:
        code = REVERTED if error.reverted else SERVER_ERROR
        raise RpcError(code, str(error), hex_data(error.output) if error.reverted else None) from error
    except logs.TooManyResults as error:
        raise RpcError(LIMIT_EXCEEDED, str(error)) from error
    except SimulationRefused as error:
        raise RpcError(error.code, str(error)) from error
    except ChainError as error:
        raise RpcError(SERVER_ERROR, str(error)) from error
    except Exception as error:  # a defect must not end the node; the client learns that it is ours
        _log.exception("%s failed", name)
        raise RpcError(INTERNAL, f"internal error in {name}: {type(error).__name__}") from error


def _failure(identifier: Json, error: RpcError) -> dict[str, Json]:
    body: dict[str, Json] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "id": identifier, "error": body}


def _encode(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
