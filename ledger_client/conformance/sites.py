"""What a case serves over HTTP: a relay's files, a gateway's blocks, a node's JSON-RPC, endless answers."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledger_client.conformance.world.manufacturer import Block, Release
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.keccak import keccak256

PUBLISHED: Final = keccak256(b"Published(bytes32,bytes32,uint256,bytes32,uint256)")
TRUST_ROOT_SET: Final = keccak256(b"TrustRootSet(uint256,bytes32,bytes32,uint256)")
# An endless answer ends here, so that a client without limits fails and does not fill the machine.
ENDLESS_BYTES: Final = 64 * 2**20
CHUNK_BYTES: Final = 256 * 1024


class Hangup(Exception):  # noqa: N818 - it is no error of ours: the server hangs up on purpose
    """Close the connection without an answer."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer: `length` is the Content-Length that is claimed (None: chunked)."""

    status: int
    pieces: Iterable[bytes]
    length: int | None

    @classmethod
    def of(cls, body: bytes, status: int = 200) -> "Response":
        """Give a whole body."""
        return cls(status, [body], len(body))


class BaseSite:
    """Counts what it sends, and knows when the case is over."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.over = threading.Event()

    def close(self) -> None:
        """End what is still being answered."""
        self.over.set()

    def endless(self, *, chunked: bool, start: bytes = b"") -> Response:
        """Answer with bytes without end, with or without a length."""
        return Response(200, self._pieces(start), None if chunked else 2**40)

    def trickle(self, body: bytes, *, every_s: float = 0.1) -> Response:
        """Answer with one byte at a time."""

        def pieces() -> Iterator[bytes]:
            for byte in body:
                if self.over.wait(every_s):
                    return
                yield bytes([byte])

        return Response(200, pieces(), len(body))

    def silence(self) -> Response:
        """Answer nothing until the case is over."""
        self.over.wait(60)
        raise Hangup

    def _pieces(self, start: bytes) -> Iterator[bytes]:
        yield start
        for _ in range(ENDLESS_BYTES // CHUNK_BYTES):
            if self.over.is_set():
                return
            yield bytes(CHUNK_BYTES)


class Relay(BaseSite):
    """A relay's files: one proof for every question, and trust roots by version (the first is version 1)."""

    def __init__(self, proof: bytes, roots: Sequence[bytes]) -> None:
        super().__init__()
        self.proof, self.roots = proof, roots

    def answer(self, _method: str, path: str, _body: bytes) -> Response:
        """Answer one request."""
        kind, _, name = path.removeprefix("/fwledger/v1/").rpartition("/")
        if kind == "trust-roots":
            return self.root(int(name))
        return self.serve_proof()

    def serve_proof(self) -> Response:
        """Answer with the proof."""
        return Response.of(self.proof)

    def root(self, version: int) -> Response:
        """Answer with a trust root."""
        if 1 <= version <= len(self.roots):
            return Response.of(self.roots[version - 1])
        return Response.of(b"not here", 404)


class Gateway(BaseSite):
    """A trustless gateway: `lies` are other answers for a CID, `before` is told of each request."""

    def __init__(
        self,
        blocks: Mapping[Cid, bytes],
        *,
        lies: Mapping[Cid, Callable[["Gateway"], Response]] | None = None,
        before: Callable[[Cid], None] | None = None,
    ) -> None:
        super().__init__()
        self.blocks, self.lies, self.before = blocks, lies or {}, before

    def answer(self, _method: str, path: str, _body: bytes) -> Response:
        """Answer one request."""
        cid = Cid.parse(path.removeprefix("/ipfs/").split("?", 1)[0])
        if self.before is not None:
            self.before(cid)
        if cid in self.lies:
            return self.lies[cid](self)
        block = self.blocks.get(cid)
        return Response.of(b"not here", 404) if block is None else Response.of(block)


class Node(BaseSite):
    """A JSON-RPC node whose newest block is `block`; `mangle(method, result)` lets it lie.

    `roots` are all signed trust roots, `published` block, channel and release of each publication.
    """

    def __init__(
        self,
        block: Block,
        roots: Sequence[bytes],
        published: Sequence[tuple[int, bytes, Release]],
        *,
        mangle: Callable[[str, Any], Any],
    ) -> None:
        super().__init__()
        self.block, self.mangle = block, mangle
        self._roots, self._published = roots, published

    def answer(self, _method: str, _path: str, body: bytes) -> Response:
        """Answer one call."""
        request = json.loads(body)
        method = request["method"]
        answer: dict[str, object] = {"jsonrpc": "2.0", "id": request["id"]}
        call = getattr(self, f"_{method}", None)
        if call is None:
            answer["error"] = {"code": -32601, "message": f"the method {method} does not exist"}
        else:
            answer["result"] = self.mangle(method, call(*request["params"]))
        return Response.of(json.dumps(answer).encode())

    def _debug_getRawHeader(self, _at: str) -> str:  # noqa: N802 - the method's name on the wire
        return "0x" + self.block.header.hex()

    def _eth_getStorageAt(self, _address: str, _slot: str, _at: str) -> str:  # noqa: N802
        return hex(len(self._roots))  # devices ask it for the newest root's version only

    def _eth_getProof(self, address: str, keys: list[str], _at: str) -> dict[str, object]:  # noqa: N802
        where, state = bytes.fromhex(address[2:]), self.block.state
        entries = []
        for text in keys:
            key = bytes.fromhex(text[2:].rjust(64, "0"))
            nodes = ["0x" + node.hex() for node in state.storage_proof(where, key)]
            entries.append({"key": text, "value": hex(state.word(where, key)), "proof": nodes})
        return {
            "address": address,
            "accountProof": ["0x" + node.hex() for node in state.account_proof(where)],
            "storageHash": "0x" + state.storage_root(where).hex(),
            "storageProof": entries,
        }

    def _eth_getLogs(self, asked: dict[str, Any]) -> list[dict[str, object]]:  # noqa: N802
        return [
            log
            for log in self._logs()
            if all(
                want is None or want == have
                for want, have in zip(asked["topics"], log["topics"], strict=False)
            )
        ]

    def _logs(self) -> Iterator[dict[str, Any]]:
        for version, signed in enumerate(self._roots, start=1):
            yield _log(bytes(32), Cid.of(DAG_CBOR, signed), TRUST_ROOT_SET, version.to_bytes(32, "big"))
        for _at, channel, release in self._published:
            yield _log(bytes(32), release.envelope_cid, PUBLISHED, channel, release.id)


def lying_value(key: bytes, value: int) -> Callable[[str, Any], Any]:
    """Give a node's lie: the JSON value beside the proof of one key is another, the nodes are right."""

    def mangle(method: str, result: Any) -> Any:
        if method == "eth_getProof":
            for entry in result["storageProof"]:
                if bytes.fromhex(entry["key"][2:].rjust(64, "0")) == key:
                    entry["value"] = hex(value)
        return result

    return mangle


def _log(first: bytes, envelope: Cid, *topics: bytes) -> dict[str, Any]:
    data = first + envelope.digest + (96).to_bytes(32, "big") + bytes(32)
    return {"topics": ["0x" + topic.hex() for topic in topics], "data": "0x" + data.hex()}
