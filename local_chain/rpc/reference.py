"""The reference page of the methods, written from their table."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from local_chain.rpc import dispatch
from local_chain.rpc.registry import METHODS

if TYPE_CHECKING:
    from local_chain.rpc.registry import Method, Param

_INTRODUCTION = f"""# JSON-RPC of the development chain

Written by `fwledger-chain methods` from the table of methods; `tests/chain/test_chain_reference.py` compares.

HTTP (POST) and WebSocket (text or binary frames) on one port, one request or a batch of at most
{dispatch.MAX_BATCH}. A parameter in brackets may be left out or be `null`. A *block* is a height, a hash,
one of `latest`, `pending`, `safe`, `finalized`, `earliest`, or EIP-1898's object; every block is final.
On a network address what a request or a batch runs is ended after {dispatch.MAX_EXECUTION_S:g} seconds.
*Loopback* methods answer only on a node that listens on the machine itself, *socket* methods over WebSocket.

| code | when |
|---|---|
| {dispatch.PARSE_ERROR} | the body is not JSON, or nests too deep |
| {dispatch.INVALID_REQUEST} | not a request, or a batch of the wrong size |
| {dispatch.METHOD_NOT_FOUND} | no such method |
| {dispatch.INVALID_PARAMS} | a parameter of the wrong type; the message names it |
| {dispatch.INTERNAL} | a defect of ours, which the node's log tells |
| {dispatch.SERVER_ERROR} | refused by the chain, in geth's words where geth has some |
| {dispatch.ANSWER_TOO_LARGE} | the answers of a batch are too large: this request was not carried out |
| {dispatch.TIMED_OUT} | the batch took too long before its turn came, on a network address |
| {dispatch.LIMIT_EXCEEDED} | the answer would be too large |
| {dispatch.REVERTED} | a call reverted: `data` is what the contract returned |
"""
# What a parser's own name does not tell to a client's author.
_KINDS = {
    "20 bytes": "address",
    "32 bytes": "hash",
    "block_ref": "block",
    "mapping": "object",
    "proof_slot": "slot",
    "list of proof_slot": "list of slots",
    "list of percentile": "list of percentiles",
    "nonce": "quantity",
    "kind": "kind",
}


def page() -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION]
    for module in dispatch.METHOD_MODULES:
        methods = [
            METHODS[name] for name in sorted(METHODS) if METHODS[name].function.__module__ == module.__name__
        ]
        parts.append(f"## {_one_line(module.__doc__).split('. ')[0].rstrip('.')}\n")
        parts.append("| method | parameters | what it does | only |\n|---|---|---|---|")
        parts.append("\n".join(_row(method) for method in methods) + "\n")
    return "\n".join(parts)


def _row(method: Method) -> str:
    params = ", ".join(_shown(param) for param in method.params)
    only = ", ".join(
        word for word, holds in (("loopback", method.privileged), ("socket", method.over_socket)) if holds
    )
    cells = (f"`{method.name}`", params, _one_line(inspect.getdoc(method.function)), only)
    return "| " + " | ".join(cells).rstrip() + " |"


def _shown(param: Param) -> str:
    name = param.parser.__name__
    shown = _KINDS.get(name, name.replace("_", " "))
    return shown if param.required else f"[{shown}]"


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("``", "`").replace("|", "\\|")
