"""What others' contracts charge for what ours do, measured on the same machine.

EAS is the real one, the bytecode of its npm package, under the schema that a device's event would need. The registry of
strings is our own of the kind that open firmware contracts are (tests/contract/StringRegistry.vy).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eth_abi import encode
from eth_utils import function_abi_to_4byte_selector
from vyper import compile_code

from tests.contract.actors import abi_type, address, digest
from tests.contract.evm import GENESIS_TIME, Machine, Receipt, private_key

EAS_PACKAGE = Path("@ethereum-attestation-service") / "eas-contracts" / "artifacts" / "contracts"
REGISTRY = Path(__file__).parents[1] / "contract" / "StringRegistry.vy"

# What our UpdateEvent says, the device apart, which is the attestation's recipient.
SCHEMA = "bytes32 release,uint32 sequence,uint8 kind,uint40 time,bytes32 detail,bytes32 previous"
EVENT = ["bytes32", "uint32", "uint8", "uint40", "bytes32", "bytes32"]
ZERO, NOBODY = b"\0" * 32, b"\0" * 20
# So many attestations go in one transaction; a hundred would not fit in the 16 million gas of one (EIP-7825).
MANY = 50
CID = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"


class Foreign:
    """A contract by its ABI and creation code, deployed."""

    def __init__(self, machine: Machine, artifact: dict[str, Any], *args: Any) -> None:
        self.machine, self.key = machine, private_key(1)
        abi = artifact["abi"]
        self.functions = {e["name"]: e for e in abi if e["type"] == "function"}
        inputs = next((e["inputs"] for e in abi if e["type"] == "constructor"), [])
        code = bytes.fromhex(artifact["bytecode"].removeprefix("0x"))
        receipt = machine.send(self.key, b"", code + encode([abi_type(i) for i in inputs], args))
        assert receipt.ok, receipt.reason
        self.address = receipt.created

    def send(self, function: str, *args: Any) -> Receipt:
        """Send a call in a block of its own; it must succeed."""
        self.machine.advance(12)
        entry = self.functions[function]
        data = encode([abi_type(i) for i in entry["inputs"]], args)
        receipt = self.machine.send(self.key, self.address, function_abi_to_4byte_selector(entry) + data)
        assert receipt.ok, (function, receipt.reason)
        return receipt


def eas(node_modules: Path) -> dict[str, int]:
    """Gas of what EAS does, by name. `node_modules` is the folder that `.ci/javascript` prints."""
    machine = Machine("prague")
    found = {
        name: json.loads((node_modules / EAS_PACKAGE / f"{name}.sol" / f"{name}.json").read_text())
        for name in ("SchemaRegistry", "EAS")
    }
    schemas = Foreign(machine, found["SchemaRegistry"])
    service = Foreign(machine, found["EAS"], schemas.address)
    registered = schemas.send("register", SCHEMA, NOBODY, False)
    schema = registered.logs[0].topics[1].to_bytes(32, "big")

    def event(device: int, sequence: int) -> tuple[Any, ...]:
        said = (
            digest("release"),
            sequence,
            2,
            GENESIS_TIME,
            digest(f"{device} {sequence}"),
            digest(f"{device}"),
        )
        return (address(private_key(1_000 + device)), 0, False, ZERO, encode(EVENT, said), 0)

    service.send("attest", (schema, event(0, 1)))
    many = service.send("multiAttest", [(schema, [event(n, 1) for n in range(MANY)])])
    return {
        "EAS attest": service.send("attest", (schema, event(0, 2))).gas,
        f"EAS multiAttest of {MANY}, each": many.gas // MANY,
        "EAS timestamp": service.send("timestamp", digest("root")).gas,
    }


def registry_of_strings() -> dict[str, int]:
    """Gas of publishing to a registry of strings: a model's first release, and its twentieth."""
    made = compile_code(REGISTRY.read_text(encoding="utf-8"), output_formats=["abi", "bytecode"])
    registry = Foreign(Machine("prague"), made)
    gas = [
        registry.send("publish", digest("model"), f"1.{n}.0", CID, "0x" + digest(f"image {n}").hex()).gas
        for n in range(20)
    ]
    return {"registry of strings, first": gas[0], "registry of strings, next": gas[-1]}
