"""A small HTTP/1.1 client that a hostile server cannot hold: every size and every time is bounded.

`http.client` restarts its timeout at each byte that arrives; a server that sends one byte every few seconds
keeps it for ever. Here one deadline covers a whole exchange, and a minimum rate covers the body.
"""

import base64
import contextlib
import http.client
import io
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from device_verifier.errors import SourceUnreachable, UsageError
from ledger_protocol.report.reasons import Reason

__all__ = ["OPERATION_S", "Answer", "HttpClient", "HttpLimits"]

# Idle connections kept for the next request; the fetcher runs 4 at a time.
MAX_IDLE: Final = 8
CHUNK_BYTES: Final = 65_536
# Longest that all the exchanges for one question to a ledger source may take together, seconds.
OPERATION_S: Final = 180.0


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How long one exchange may take. The defaults suit a narrow mobile link and still stop a slow-loris
    server.
    """

    connect_s: float = 10.0
    stall_s: float = 15.0
    """Longest silence, seconds."""
    total_s: float = 120.0
    """Longest exchange, from connecting to the last byte, seconds."""
    min_rate_bytes_s: int = 1_024
    """Slowest body, on average, once `grace_s` has passed."""
    grace_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: the status, and a body no longer than was asked for. Unverified."""

    status: int
    body: bytes


class HttpClient:
    """Requests below one base URL over kept-alive connections. Safe to use from several threads.

    `base_url` is http or https; a user and password in it are sent as basic authentication and never shown.
    """

    def __init__(self, base_url: str, *, limits: HttpLimits | None = None) -> None:
        self._url = _checked(base_url)
        self._limits = HttpLimits() if limits is None else limits
        self._path = self._url.path.rstrip("/")
        host = self._url.hostname or ""
        port = f":{self._url.port}" if self._url.port else ""
        self.name = f"{self._url.scheme}://{f'[{host}]' if ':' in host else host}{port}"
        # A deque's append and pop are atomic, which is all the locking that a pool of idle connections needs.
        self._idle: deque[_Connection] = deque(maxlen=MAX_IDLE)
        self._busy: set[_Connection] = set()
        self._busy_lock = threading.Lock()
        self._epoch = 0  # rises when what is in flight is abandoned
        self._operation = threading.local()
        # Made once: reading the system's authorities takes tens of milliseconds.
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "fwledger-device"}
        if self._url.username is not None:
            pair = f"{unquote(self._url.username)}:{unquote(self._url.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()

    def get(self, path: str, *, max_bytes: int, headers: Mapping[str, str] | None = None) -> Answer:
        """GET `path` (with its query) below the base URL; the body may have at most `max_bytes`."""
        return self._exchange("GET", path, None, max_bytes, dict(headers or {}))

    def post(self, path: str, body: bytes, *, max_bytes: int, content_type: str) -> Answer:
        """POST `body` to `path` below the base URL; the answer's body may have at most `max_bytes`."""
        return self._exchange("POST", path, body, max_bytes, {"Content-Type": content_type})

    @contextlib.contextmanager
    def operation(self, total_s: float) -> Generator[None]:
        """Bound all exchanges of this thread inside by one deadline; `abandon` ends them all, not only the
        present.
        """
        self._operation.bounds = (self._epoch, time.monotonic() + total_s)
        try:
            yield
        finally:
            self._operation.bounds = None

    def may_go_on(self) -> bool:
        """Say whether this thread's operation has time left and was not broken off."""
        try:
            self._check_wanted(*self._bounds())
        except TimeoutError:
            return False
        return True

    def abandon(self) -> None:
        """Break off every exchange and operation in flight; those who wait get SourceUnreachable."""
        with self._busy_lock:
            self._epoch += 1
            busy = list(self._busy)
        for connection in busy:
            connection.break_off()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _exchange(
        self, method: str, path: str, body: bytes | None, max_bytes: int, extra: dict[str, str]
    ) -> Answer:
        epoch, until = self._bounds()
        deadline = min(time.monotonic() + self._limits.total_s, until)
        while True:
            kept = self._kept()
            connection = self._connection() if kept is None else kept
            try:
                self._check_wanted(epoch, deadline)
                return self._on(connection, method, path, body, max_bytes, extra, deadline)
            except (http.client.RemoteDisconnected, ConnectionError, http.client.CannotSendRequest) as error:
                # A server may close a connection that is idle: what failed on a kept one is asked again,
                # until none is left and a new one is made.
                connection.close()
                if kept is None:
                    raise self._unreachable(error) from error
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise self._unreachable(error) from error

    def _bounds(self) -> tuple[int, float]:
        """Return the epoch and the deadline of this thread's operation; now and never outside of one."""
        return getattr(self._operation, "bounds", None) or (self._epoch, float("inf"))

    def _check_wanted(self, epoch: int, deadline: float) -> None:
        if epoch != self._epoch:
            raise TimeoutError("it was broken off")
        if time.monotonic() >= deadline:
            raise TimeoutError("no time is left")

    def _on(
        self,
        connection: "_Connection",
        method: str,
        path: str,
        body: bytes | None,
        max_bytes: int,
        extra: dict[str, str],
        deadline: float,
    ) -> Answer:
        connection.deadline = deadline
        with self._busy_lock:
            self._busy.add(connection)
        try:
            return self._talk(connection, method, path, body, max_bytes, extra)
        finally:
            with self._busy_lock:
                self._busy.discard(connection)

    def _talk(
        self,
        connection: "_Connection",
        method: str,
        path: str,
        body: bytes | None,
        max_bytes: int,
        extra: dict[str, str],
    ) -> Answer:
        connection.request(method, self._path + path, body=body, headers=self._headers | extra)
        response = connection.getresponse()
        try:
            data = self._body(response, max_bytes)
            whole = response.isclosed() or response.length == 0
        except BaseException:
            # Both: an answer without a length keeps the socket open through its own file.
            response.close()
            connection.close()
            raise
        response.close()
        if whole and not response.will_close:
            self._idle.append(connection)
        else:
            connection.close()
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise SourceUnreachable(
                f"{self.name} answers in an encoding that was not asked for",
                reason=Reason.SOURCE_UNREACHABLE,
                expected="identity",
                got=printable(response.headers["Content-Encoding"]),
                hint="turn off forced compression there",
            )
        return Answer(response.status, data)

    def _body(self, response: http.client.HTTPResponse, max_bytes: int) -> bytes:
        started = time.monotonic()
        parts: list[bytes] = []
        size = 0
        while part := response.read1(min(CHUNK_BYTES, max_bytes + 1 - size)):
            parts.append(part)
            size += len(part)
            spent = time.monotonic() - started
            if size > max_bytes:
                raise SourceUnreachable(
                    f"{self.name} sends more than was asked for",
                    reason=Reason.SOURCE_UNREACHABLE,
                    expected=f"at most {max_bytes} bytes",
                    got="more",
                    hint="the source is broken or hostile; remove it",
                )
            if spent > self._limits.grace_s and size < spent * self._limits.min_rate_bytes_s:
                raise SourceUnreachable(
                    f"{self.name} is too slow",
                    reason=Reason.SOURCE_UNREACHABLE,
                    expected=f"at least {self._limits.min_rate_bytes_s} bytes/s",
                    got=f"{size / spent:.0f} bytes/s",
                    hint="another source is used where there is one",
                )
        if response.length not in {None, 0}:
            raise http.client.IncompleteRead(b"", response.length)
        return b"".join(parts)

    def _kept(self) -> "_Connection | None":
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connection(self) -> "_Connection":
        host = self._url.hostname or ""
        # Always a port: without one, `http.client` takes the end of an IPv6 address for it.
        port = self._url.port or (http.client.HTTP_PORT if self._tls is None else http.client.HTTPS_PORT)
        if self._tls is not None:
            return _TlsConnection(
                host, port, timeout=self._limits.connect_s, stall_s=self._limits.stall_s, context=self._tls
            )
        return _PlainConnection(host, port, timeout=self._limits.connect_s, stall_s=self._limits.stall_s)

    def _unreachable(self, error: Exception) -> SourceUnreachable:
        text = (
            "no answer in time"
            if isinstance(error, TimeoutError)
            else printable(str(error)) or type(error).__name__
        )
        return SourceUnreachable(
            f"{self.name} cannot be reached",
            reason=Reason.SOURCE_UNREACHABLE,
            expected="an answer",
            got=text,
            hint="check the network and the URL; other sources are tried where there are any",
        )


def printable(text: str, limit: int = 200) -> str:
    """Return what a stranger sent as one short line without control characters, fit for a log."""
    return "".join(char if char.isprintable() else "?" for char in text[:limit])


class _Timed:
    """Mixed into a connection: bounds each call of its socket by the exchange's deadline."""

    deadline: float = 0.0

    def __init__(self, *arguments: Any, stall_s: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._stall_s = stall_s
        self._create_connection = self._dial  # what `http.client` opens its socket with

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock: Any = _TimedSocket(self.sock, self)

    def _dial(self, address: tuple[str, int], timeout: float, _source: object) -> socket.socket:
        """Try the addresses of a name, which may have any number of dead ones, all within the deadline."""
        last: OSError = ConnectionError("the name has no address")
        for family, kind, protocol, _, place in socket.getaddrinfo(*address, 0, socket.SOCK_STREAM):
            sock = None
            allowed_s = min(timeout, self.allowance_s())
            try:
                sock = socket.socket(family, kind, protocol)
                sock.settimeout(allowed_s)
                sock.connect(place)
            except OSError as error:
                last = error
                if sock is not None:
                    sock.close()
            else:
                return sock
        raise last

    def break_off(self) -> None:
        """End the exchange from another thread: what waits on the socket sees it closed."""
        self.deadline = 0.0
        sock = self.sock
        if isinstance(sock, _TimedSocket):
            sock.break_off()

    def allowance_s(self) -> float:
        """Return how long the next socket call may take; TimeoutError when the deadline has passed."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the exchange took too long")
        return min(left, self._stall_s)


class _PlainConnection(_Timed, http.client.HTTPConnection):
    pass


class _TlsConnection(_Timed, http.client.HTTPSConnection):
    pass


_Connection = _PlainConnection | _TlsConnection


class _TimedSocket:
    """What `http.client` needs of a socket, each call bounded."""

    def __init__(self, sock: socket.socket, owner: _Timed) -> None:
        self._sock = sock
        self._owner = owner

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._owner.allowance_s())
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - http.client always asks for "rb"
        return io.BufferedReader(_TimedReader(self._sock, self._owner))

    def break_off(self) -> None:
        with contextlib.suppress(OSError):  # it may be closed already
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._sock.close()


class _TimedReader(io.RawIOBase):
    """The socket's raw reader; it keeps the socket open until the answer has been read."""

    def __init__(self, sock: socket.socket, owner: _Timed) -> None:
        super().__init__()
        self._sock = sock
        self._owner = owner
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._owner.allowance_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _checked(base_url: str) -> SplitResult:
    try:
        url = urlsplit(base_url)
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and not url.query and not url.fragment
        _ = url.port  # a port that is no number raises only when asked for
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(
            "the URL of a source",
            reason=Reason.USAGE,
            expected="http:// or https://, a host, and no query",
            got=printable(base_url.rpartition("@")[2], 80),
            hint="write it as https://host:port/path",
        )
    return url
