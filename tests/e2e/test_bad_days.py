"""What goes wrong on a real day, on real processes: each time one clear line, the documented exit code, the
running slot untouched, the state intact, and the next try works.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import Device, network, publish, run_relay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.chain import RunningChain
    from tests.support.ipfs import IpfsNode
    from tests.support.manufacturer import Manufacturer

IMAGE = b"good" + os.urandom(900_000)
NOT_TRUSTED, UNREACHABLE, SLOT_FAILURE = 1, 3, 4


def closed_port() -> str:
    """A URL where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextlib.contextmanager
def gateway(upstream: str, spoil: Callable[[int, bytes], bytes | None]) -> Iterator[str]:
    """A gateway that passes blocks on, each after `spoil` (its number, the block); None = it hangs."""
    count, done = 0, threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal count
            count += 1
            with contextlib.suppress(OSError, urllib.error.URLError):
                request = urllib.request.Request(
                    upstream + self.path, headers={"Accept": self.headers["Accept"] or "*/*"}
                )
                with urllib.request.urlopen(request, timeout=20) as answer:
                    body, kind = spoil(count, answer.read()), answer.headers["Content-Type"]
                if body is None:
                    done.wait(60)
                    return
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *values: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        done.set()
        server.shutdown()
        server.server_close()
        thread.join()


def lie_from(block: int) -> Callable[[int, bytes], bytes]:
    return lambda number, body: body if number < block else body[:-1] + bytes([body[-1] ^ 1])


def hang_from(block: int) -> Callable[[int, bytes], bytes | None]:
    return lambda number, body: body if number < block else None


@pytest.fixture(scope="module")
def offered(maker: Manufacturer) -> str:
    return publish(maker, "1.0.0", 1, IMAGE)


@pytest.fixture
def device(tmp_path: Path, maker: Manufacturer, offered: str) -> Device:
    return Device(tmp_path / "device", maker, network=network())


@pytest.fixture
def reached(chain: RunningChain, embedded_node: IpfsNode) -> str:
    return network(rpc=[chain.url], gateways=[embedded_node.gateway])


def installs_at_last(device: Device, reached: str) -> None:
    device.configure(reached)
    assert device.ok("install")["slot"] == "b"
    assert device.slot("b")[: len(IMAGE)] == IMAGE
    assert device.ok("boot")["phase"] == "confirmed"


def fails(device: Device, *arguments: str, code: int, before: Callable[[], None] | None = None) -> str:
    """Run a command that must fail; its one error line."""
    running = device.slot("a")
    ran = device(*arguments, before=before)
    assert ran.code == code, (ran.code, ran.out, ran.err)
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, ran.err
    assert "\nhint: " in ran.err
    assert "Traceback" not in ran.err
    assert device.slot("a") == running
    assert device.ok("status")["running"] == "a"
    return errors[0]


def test_a_dead_first_rpc_and_a_dead_first_gateway_are_passed_over(device, chain, embedded_node):
    dead = closed_port()
    installs_at_last(device, network(rpc=[dead, chain.url], gateways=[dead, embedded_node.gateway]))


def test_no_rpc_at_all_is_unreachable(device, embedded_node, reached):
    device.configure(network(rpc=[closed_port()], gateways=[embedded_node.gateway]))
    fails(device, "install", code=UNREACHABLE)
    installs_at_last(device, reached)


def test_no_gateway_at_all_is_unreachable(device, chain, reached):
    device.configure(network(rpc=[chain.url], gateways=[closed_port()]))
    fails(device, "install", code=UNREACHABLE)
    installs_at_last(device, reached)


def test_a_gateway_that_lies_half_way_is_not_believed(device, chain, embedded_node, reached):
    with gateway(embedded_node.gateway, lie_from(9)) as liar:
        device.configure(network(rpc=[chain.url], gateways=[liar]))
        fails(device, "install", code=NOT_TRUSTED)
    installs_at_last(device, reached)


def test_a_gateway_that_lies_or_hangs_half_way_is_overtaken_by_another(device, chain, embedded_node):
    with (
        gateway(embedded_node.gateway, lie_from(6)) as liar,
        gateway(embedded_node.gateway, hang_from(6)) as slow,
    ):
        installs_at_last(device, network(rpc=[chain.url], gateways=[liar, slow, embedded_node.gateway]))


def test_a_relay_that_is_down_keeps_events_for_later(device, maker, chain, embedded_node):
    where = {"rpc": [chain.url], "gateways": [embedded_node.gateway]}
    installs_at_last(device, network(relay=closed_port(), **where))
    pending = device.ok("status")["pending_events"]
    assert pending >= 2
    ran = device("report")
    assert ran.code == UNREACHABLE, ran.err
    assert device.ok("status")["pending_events"] == pending
    with run_relay(maker) as url:
        device.configure(network(relay=url, **where))
        assert device.ok("report")["pending"] == 0


def test_a_missing_slot_is_named(device, reached):
    device.configure(reached)
    (device.path / "rootfs.b").rename(device.path / "away")
    assert "rootfs.b" in fails(device, "install", code=SLOT_FAILURE)
    (device.path / "away").rename(device.path / "rootfs.b")
    installs_at_last(device, reached)


def test_a_slot_that_is_too_small_is_refused_before_it_is_written(device, reached):
    device.configure(reached)
    os.truncate(device.path / "rootfs.b", 1000)
    assert device.ok("install", code=NOT_TRUSTED)["reason"] == "too-large"
    assert device.slot("b") == bytes(1000)
    os.truncate(device.path / "rootfs.b", 2_000_000)
    installs_at_last(device, reached)


@pytest.mark.parametrize("most_bytes", [0, 4_096, 40_000, 300_000])
def test_a_full_disk_is_one_clear_error_and_the_next_try_works(device, reached, most_bytes):
    """No file can grow, or be written, beyond so many bytes: SQLite's journal, the slot, the boot state."""
    device.configure(reached)

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    fails(device, "install", code=SLOT_FAILURE, before=full)
    installs_at_last(device, reached)
