"""Fuzz targets for what a device reads from other programs: answers over HTTP, JSON-RPC, a stick."""

from __future__ import annotations

import io
import os
import socket
import tempfile
from contextlib import nullcontext, suppress
from pathlib import Path

from device_verifier.errors import NotTrusted, SourceUnreachable
from device_verifier.sources.bundle import Bundle
from device_verifier.sources.gateway import GatewayBlocks
from device_verifier.sources.http import Answer, HttpClient, HttpLimits, _PlainConnection
from device_verifier.sources.relay import RelayLedger
from device_verifier.sources.rpc import RpcLedger
from device_verifier.sources.witnesses import WitnessNotes
from ledger_protocol.bundle import open_bundle
from ledger_protocol.content.cid import Cid
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger.proof import MAX_NOTE_BYTES, LedgerProof
from ledger_protocol.limits import MAX_ROOT_STEPS
from ledger_protocol.report.reasons import Reason
from tests.fuzz import worlds

MAX_BODY = 4_096
MAX_ASKED = 64  # questions that one check may put to a node, whatever it answers
LIMITS = HttpLimits(connect_s=1.0, stall_s=1.0, total_s=2.0)


def stick_target(data: bytes) -> None:
    """A bundle of one part, and of two that are cut where the first byte says; then as a file on a stick."""
    cut = data[0] * len(data) // 256 if data else 0
    for parts in ([data], [data[:cut], data[cut:]]):
        with suppress(ProtocolError):
            reader = open_bundle([io.BytesIO(part) for part in parts])
            Cid.of(reader.envelope_cid.codec, reader.envelope)
            for cid, block in reader.blocks():
                cid.verify(block)
                assert reader.block(cid) == block
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder, "stick.car")
        path.write_bytes(data)
        with suppress(NotTrusted, SourceUnreachable), Bundle(path) as bundle:
            bundle.get(Cid.from_bytes(worlds.cids()[0]), max_bytes=MAX_BODY)


def _memory() -> str | None:
    """A file system in memory where there is one: a target writes thousands of files a minute."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class _Script:
    """In place of the HTTP client: each line of the input answers one question; then all is silent."""

    name = "script"

    def __init__(self, lines: list[bytes]) -> None:
        self.left = iter(lines)
        self.asked = 0

    def post(self, *_: object, max_bytes: int, **__: object) -> Answer:
        self.asked += 1
        assert self.asked <= MAX_ASKED
        line = next(self.left, None)
        if line is None or len(line) > max_bytes:
            raise SourceUnreachable("script", reason=Reason.SOURCE_UNREACHABLE)
        return Answer(200, line)

    def operation(self, _total_s: float) -> nullcontext[None]:
        return nullcontext()

    def may_go_on(self) -> bool:
        return True

    def abandon(self) -> None:
        """Nothing is in flight."""


def rpc_target(data: bytes) -> None:
    """A node whose every answer is the stranger's: what comes out is a proof in form, or one refusal."""
    lines = data.split(b"\n")
    ledger = RpcLedger("http://127.0.0.1:1", blocks=())
    ledger._http = _Script(lines)  # type: ignore[assignment]
    with suppress(SourceUnreachable):
        LedgerProof.decode(ledger.proof(worlds.QUERY, ledger=worlds.root().ledger))
    ledger._http = _Script(lines)  # type: ignore[assignment]
    with suppress(SourceUnreachable):
        assert ledger.trust_roots(after_version=0, ledger=worlds.root().ledger) == []


class _Canned(HttpClient):
    """A client whose server has said all that it ever will before it is asked."""

    canned = b""

    def _connection(self) -> _PlainConnection:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        with suppress(BlockingIOError):
            theirs.sendall(self.canned)
        theirs.shutdown(socket.SHUT_WR)
        connection = _PlainConnection("stranger", 80, timeout=1.0, stall_s=1.0)
        connection._create_connection = lambda *_: ours
        self.ends.append(theirs)
        return connection

    @property
    def ends(self) -> list[socket.socket]:
        return self.__dict__.setdefault("_ends", [])


def http_target(data: bytes) -> None:
    """A server, a gateway, a relay that answer with these very bytes."""
    for ask in (_ask_plainly, _ask_gateway, _ask_relay, _ask_witness):
        client = _Canned("http://stranger", limits=LIMITS)
        client.canned = data
        said = ""
        try:
            ask(client)
        except SourceUnreachable as error:
            said = str(error)
        finally:
            client.close()
            for end in client.ends:
                end.close()
        assert said == "" or said.isprintable()


def _ask_plainly(client: HttpClient) -> None:
    answer = client.get("/x", max_bytes=MAX_BODY)
    assert len(answer.body) <= MAX_BODY


def _ask_gateway(client: HttpClient) -> None:
    gateway = GatewayBlocks("http://stranger")
    gateway._http = client
    assert len(gateway.get(Cid.from_bytes(worlds.cids()[0]), max_bytes=MAX_BODY)) <= MAX_BODY


def _ask_relay(client: HttpClient) -> None:
    relay = RelayLedger("http://stranger")
    relay._http = client
    relay.proof(worlds.QUERY, ledger=worlds.root().ledger)
    assert len(relay.trust_roots(after_version=0, ledger=worlds.root().ledger)) <= MAX_ROOT_STEPS


def _ask_witness(client: HttpClient) -> None:
    witness = WitnessNotes("http://stranger")
    witness._http = client
    assert len(witness.newest()) <= MAX_NOTE_BYTES
    assert all(len(note) <= MAX_NOTE_BYTES for note in witness.at([1]))
