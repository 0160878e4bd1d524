"""What anvil's and geth's JSON-RPC answers mean, for tests/contract/on_anvil.py and on_geth.py."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from tests.contract.evm import RawLog, Receipt
from tests.support.chain import RpcError
from tests.support.merged import to_bytes, to_hex

BLOCK_GAS = 10**9  # many transactions of 16 million in one block
ONLY_THE_TOP = {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}}

# What tests/contract/conftest.py closes at the end of the session, and of each test.
processes, borrowed = ExitStack(), ExitStack()


def receipt_of(got: dict[str, Any], reason: str, done: Receipt) -> Receipt:
    logs = tuple(
        RawLog(to_bytes(log["address"]), tuple(int(t, 16) for t in log["topics"]), to_bytes(log["data"]))
        for log in got["logs"]
    )
    created = got.get("contractAddress")
    return Receipt(
        ok=got["status"] == "0x1",
        gas=int(got["gasUsed"], 16),
        reason=reason,
        logs=logs,
        created=to_bytes(created) if created else done.created,
        transaction=done.transaction,
    )


def call_of(rpc: Any, sender: bytes, to: bytes, data: bytes, at: Any, time: int) -> bytes:
    call = {"from": to_hex(sender), "to": to_hex(to), "data": to_hex(data), "gas": hex(10_000_000)}
    try:
        return to_bytes(rpc("eth_call", call, at, {}, {"time": hex(time)}))
    except RpcError as error:
        raise AssertionError(f"call failed: {error}") from error
