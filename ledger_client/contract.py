"""A contract of ours at an address: reads, calls to be sent, and logs, by the ABI that is committed."""

from __future__ import annotations

import functools
import importlib.resources
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from web3 import Web3

from ledger_client.errors import NodeRefusedError
from ledger_client.network import Call, translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ledger_client.network import Network, Receipt

# Public nodes refuse wide ranges of logs; halved when one does, down to a single block.
_LOG_RANGE_BLOCKS = 10_000


@dataclass(frozen=True, slots=True)
class Artifact:
    """What the compiler made: ABI, creation code, and the code that will be on chain but for its immutables
    (their names by offset, one word each).
    """

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    runtime: bytes
    immutables: Mapping[int, str]

    def code(self, words: Mapping[str, bytes]) -> bytes:
        """The code on chain, once each immutable has its 32-byte word."""
        return self.runtime + b"".join(words[name] for _, name in sorted(self.immutables.items()))


@dataclass(frozen=True, slots=True)
class Log:
    """One decoded log. `values` by the names of the event's arguments; bytes32 as bytes, addresses as 20
    bytes.
    """

    event: str
    values: Mapping[str, Any]
    block_number: int
    block_hash: bytes
    transaction: bytes
    log_index: int
    address: bytes


@functools.cache
def artifact(name: str) -> Artifact:
    """A committed artifact: `FirmwareLedger` or `UpdateJournal`."""
    text = (
        importlib.resources.files("contracts")
        .joinpath("artifacts", f"{name}.json")
        .read_text(encoding="utf-8")
    )
    document = json.loads(text)
    return Artifact(
        name=name,
        abi=tuple(document["abi"]),
        bytecode=bytes.fromhex(document["bytecode"].removeprefix("0x")),
        runtime=bytes.fromhex(document["runtime_bytecode"].removeprefix("0x")),
        immutables={place["offset"]: immutable for immutable, place in document["immutables"].items()},
    )


class Contract:
    """An artifact at an address on a network."""

    def __init__(self, network: Network, address: bytes, made: Artifact) -> None:
        self.network = network
        self.address = address
        self.artifact = made
        self._web3 = network.web3.eth.contract(address=Web3.to_checksum_address(address), abi=list(made.abi))

    def read(self, function: str, *arguments: object, block: int | str = "latest") -> Any:
        """Call a view; addresses come back as 20 bytes."""
        with translated(f"{self.artifact.name}.{function}"):
            found = self._web3.get_function_by_name(function)(*map(_outward, arguments))
            return _inward(found.call(block_identifier=block))

    def call(self, function: str, *arguments: object, what: str) -> Call:
        """A call to be prepared and sent. Raises UsageError where an argument does not fit the ABI."""
        with translated(what):
            data = self._web3.encode_abi(function, args=[_outward(argument) for argument in arguments])
        return Call(self.address, bytes.fromhex(data[2:]), what)

    def logs(
        self, event: str, *, from_block: int, to_block: int, match: Mapping[str, object] | None = None
    ) -> Iterator[Log]:
        """Decoded logs of one event in both blocks and between, in order; `match` filters by indexed
        arguments.
        """
        start, width = from_block, _LOG_RANGE_BLOCKS
        while start <= to_block:
            end = min(start + width - 1, to_block)
            try:
                with translated(f"logs of {event}"):
                    entries = self._web3.events[event].get_logs(
                        from_block=start,
                        to_block=end,
                        argument_filters={k: _outward(v) for k, v in (match or {}).items()},
                    )
                    found = [_log(entry) for entry in entries]
            except NodeRefusedError:
                if width == 1:
                    raise
                width = max(width // 2, 1)
                continue
            yield from found
            start = end + 1

    def logs_of(self, receipt: Receipt, event: str) -> list[Log]:
        """The decoded logs of one event in a receipt, from this contract only."""
        found = []
        for entry in receipt.logs:
            if bytes.fromhex(entry["address"][2:]) == self.address and bytes(
                entry["topics"][0]
            ) == self._topic(event):
                with translated(f"logs of {event}"):
                    found.append(_log(self._web3.events[event].process_log(entry)))
        return found

    def topics(self) -> dict[bytes, str]:
        """Event names by their first topic."""
        names = [entry["name"] for entry in self.artifact.abi if entry["type"] == "event"]
        return {self._topic(name): name for name in names}

    def _topic(self, event: str) -> bytes:
        return Web3.to_bytes(hexstr=self._web3.events[event].topic)


def creation(network: Network, made: Artifact, *arguments: object, what: str) -> Call:
    """The call that creates a contract."""
    contract = network.web3.eth.contract(abi=list(made.abi), bytecode=made.bytecode)
    with translated(what):
        data = contract.constructor(*map(_outward, arguments)).data_in_transaction
    return Call(None, bytes.fromhex(data[2:]), what)


def _outward(value: Any) -> Any:
    """Our 20 bytes become the checksum text that web3 wants; lists and tuples are walked."""
    if isinstance(value, bytes) and len(value) == 20:
        return Web3.to_checksum_address(value)
    if isinstance(value, list | tuple):
        return type(value)(map(_outward, value))
    return value


def _inward(value: Any) -> Any:
    if isinstance(value, str) and len(value) == 42 and value.startswith("0x"):
        return bytes.fromhex(value[2:])
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, list | tuple):
        return tuple(map(_inward, value))
    return value


def _log(entry: Any) -> Log:
    return Log(
        event=entry["event"],
        values={name: _inward(value) for name, value in entry["args"].items()},
        block_number=int(entry["blockNumber"]),
        block_hash=bytes(entry["blockHash"]),
        transaction=bytes(entry["transactionHash"]),
        log_index=int(entry["logIndex"]),
        address=bytes.fromhex(entry["address"][2:]),
    )
