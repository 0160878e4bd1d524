"""Small HTTP servers on loopback: honest ones over a repository, and raw ones that break the protocol by script."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from device_verifier.sources import StateQuery
from device_verifier.sources.rpc import PUBLISHED_TOPIC, TRUST_ROOT_SET_TOPIC
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.release.trust_root import SignedTrustRoot
from tests.sim.repository import Block, Repository

_JSON_NAMES = {
    "parentHash": 0, "sha3Uncles": 1, "miner": 2, "stateRoot": 3, "transactionsRoot": 4, "receiptsRoot": 5,
    "logsBloom": 6, "difficulty": 7, "number": 8, "gasLimit": 9, "gasUsed": 10, "timestamp": 11, "extraData": 12,
    "mixHash": 13, "nonce": 14, "baseFeePerGas": 15,
}  # fmt: skip
_SCALARS = {"difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas"}


@contextmanager
def raw_server(
    script: Callable[[socket.socket, threading.Event], object], *, seen: list[bytes] | None = None
) -> Iterator[str]:
    """Run `script(connection, over)` for each connection; `over` is set when the test has ended. Yields the URL.

    `seen` collects the first bytes that each client sends.
    """
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                request = connection.recv(65_536)
                if seen is not None:
                    seen.append(request)
                script(connection, over)
            except OSError:
                pass  # the client hung up on us, as it should

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)


def handler(answer: Callable[[str, str, bytes], tuple[int, bytes]]) -> type[BaseHTTPRequestHandler]:
    """Make the request handler that serves `answer(method, path, body) -> (status, body)`, connections kept alive."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._reply(b"")

        def do_POST(self) -> None:
            self._reply(self.rfile.read(int(self.headers["Content-Length"])))

        def _reply(self, body: bytes) -> None:
            status, data = answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def http_server(answer: Callable[[str, str, bytes], tuple[int, bytes]]) -> Iterator[str]:
    """Serve `answer(method, path, body) -> (status, body)`. Yields the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(answer))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class Gateway:
    """A trustless gateway over blocks; `paths` is what was asked."""

    def __init__(self, blocks: dict[Cid, bytes]) -> None:
        self.blocks = blocks
        self.paths: list[str] = []

    def __call__(self, method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        self.paths.append(path)
        assert method == "GET"
        assert path.endswith("?format=raw")
        block = self.blocks.get(Cid.parse(path.removeprefix("/ipfs/").removesuffix("?format=raw")))
        return (404, b"not here") if block is None else (200, block)


class Relay:
    """A relay's files over a repository."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository

    def __call__(self, _method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        kind, _, name = path.removeprefix("/fwledger/v1/").rpartition("/")
        if kind == "trust-roots":
            known = self.repository.signed_roots
            return (200, known[int(name) - 1]) if int(name) <= len(known) else (404, b"")
        queries = {
            "proof/channel": lambda: StateQuery(channel=name),
            "proof/group": lambda: StateQuery(group=int(name)),
            "proof/device": lambda: StateQuery(device=bytes.fromhex(name[2:])),
        }
        return 200, self.repository.proof(queries[kind]())


class Node:
    """A JSON-RPC node over a repository. `refused` are methods that it does not offer; `wide_logs` whether it
    allows eth_getLogs over any range; `mangle(method, result)` lets it lie.
    """

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.refused: set[str] = set()
        self.max_log_range: int | None = None
        self.mangle: Callable[[str, object], object] = lambda _method, result: result
        self.calls: list[str] = []
        self.pruned: set[str] = set()

    def __call__(self, _method: str, _path: str, body: bytes) -> tuple[int, bytes]:
        request = json.loads(body)
        method = request["method"]
        self.calls.append(method)
        answer: dict[str, object] = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            if method in self.refused:
                raise ValueError(f"the method {method} does not exist")
            answer["result"] = self.mangle(method, getattr(self, f"_{method}")(*request["params"]))
        except ValueError as error:
            answer["error"] = {"code": -32601, "message": str(error)}
        return 200, json.dumps(answer).encode()

    def _block(self, at: str) -> Block:
        chain = self.repository.chain
        return chain[-1] if at == "latest" else next(b for b in chain if b.number == int(at, 16))

    def _debug_getRawHeader(self, at: str) -> str:
        return "0x" + self._block(at).raw_header.hex()

    def _eth_getBlockByNumber(self, at: str, _full: bool) -> dict[str, str]:
        fields = parse_header(self._block(at).raw_header).fields
        block = {"hash": "0x" + "00" * 32, "totalDifficulty": "0x0"}
        for name, place in _JSON_NAMES.items():
            if place < len(fields):
                value = fields[place]
                block[name] = hex(int.from_bytes(value, "big")) if name in _SCALARS else "0x" + value.hex()
        return block

    def _eth_getStorageAt(self, _address: str, _slot: str, _at: str) -> str:
        return (
            "0x" + len(self.repository.signed_roots).to_bytes(32, "big").hex()
        )  # only ever the roots' version

    def _eth_getProof(self, address: str, keys: list[str], at: str) -> dict[str, object]:
        if at in self.pruned:
            raise ValueError("missing trie node")
        return self._block(at).state.get_proof(
            bytes.fromhex(address[2:]), [bytes.fromhex(key[2:]) for key in keys]
        )

    def _eth_getLogs(self, asked: dict[str, object]) -> list[dict[str, object]]:
        first, last = int(str(asked["fromBlock"]), 16), int(str(asked["toBlock"]), 16)
        if self.max_log_range is not None and last - first >= self.max_log_range:
            raise ValueError("block range is too wide")
        topics = list(asked["topics"])  # type: ignore[call-overload]
        logs = [log for at, log in self._logs() if first <= at <= last]
        return [
            log
            for log in logs
            if all(want is None or want == have for want, have in zip(topics, log["topics"], strict=False))  # type: ignore[call-overload]
        ]

    def _logs(self) -> Iterator[tuple[int, dict[str, object]]]:
        repository = self.repository
        for version, signed in enumerate(repository.signed_roots, start=1):
            digest = SignedTrustRoot.decode(signed).digest
            data = digest + Cid.of(DAG_CBOR, signed).digest + (96).to_bytes(32, "big") + bytes(32)
            yield repository.first_block, _log(data, TRUST_ROOT_SET_TOPIC, version.to_bytes(32, "big"))
        for at, channel, release, envelope in repository.publications:
            data = bytes(32) + envelope.digest + (96).to_bytes(32, "big") + bytes(32)
            yield at, _log(data, PUBLISHED_TOPIC, channel, release)


class Witness:
    """What `fwledger witness run` serves: its notes by height, the newest of them first."""

    def __init__(self, notes: dict[int, bytes]) -> None:
        self.notes = notes
        self.paths: list[str] = []

    def __call__(self, _method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        self.paths.append(path)
        what = path.removeprefix("/fwledger/v1/witness/")
        height = max(self.notes, default=-1) if what == "newest" else int(what.removeprefix("notes/"))
        return (200, self.notes[height]) if height in self.notes else (404, b"{}")


def _log(data: bytes, *topics: bytes) -> dict[str, object]:
    return {"topics": ["0x" + topic.hex() for topic in topics], "data": "0x" + data.hex()}
