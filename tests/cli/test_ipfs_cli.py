"""`fwledger ipfs up`, as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

from ledger_client.content.node.store import BlockStore
from tests.support.ipfs import ROOT, STOP_S, run_embedded_node

COMMAND = [sys.executable, "-m", "ledger_client.content.node"]


def run(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=60)


def test_a_directory_of_other_files_is_a_usage_error(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    done = run("--store", str(tmp_path), "--api-port", "0", "--gateway-port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {tmp_path} is not a block store")


def test_a_port_that_is_taken_is_a_usage_error_with_a_way_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--store", str(tmp_path / "store"), "--api-port", str(port), "--gateway-port", "0")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: cannot listen on 127.0.0.1 port {port}: got Address already in use",
        "hint: choose another port, or 0 for a free one",
    ]


def test_a_store_is_asked_for():
    done = run()
    assert done.returncode == 2
    assert "--store" in done.stderr


def test_the_ready_file_says_what_the_ready_line_says(tmp_path):
    ready = tmp_path / "ready.json"
    with run_embedded_node(tmp_path / "store", "--ready-file", str(ready)) as node:
        event = json.loads(ready.read_text())
        assert (event["schema"], event["event"]) == ("fwledger/ipfs-node/1", "ready")
        assert (event["api"], event["gateway"], event["pid"]) == (node.api, node.gateway, node.process.pid)
        assert event["api"].startswith("/ip4/127.0.0.1/tcp/")


def test_the_rpc_stays_on_this_machine_when_the_gateway_is_opened(tmp_path):
    with run_embedded_node(tmp_path / "store", "--gateway-host", "0.0.0.0") as node:
        assert node.api.startswith("/ip4/127.0.0.1/")
        with node.client() as client:
            assert client.version().startswith("fwledger/")


def test_it_stops_when_it_is_told_to_and_keeps_what_it_has(tmp_path):
    for number in (signal.SIGTERM, signal.SIGINT):
        with run_embedded_node(tmp_path / "store") as node:
            with node.client() as client:
                cid = client.put_block(b"kept over restarts")
            node.process.send_signal(number)
            assert node.process.wait(STOP_S) == 0
    assert BlockStore(tmp_path / "store").get(cid) == b"kept over restarts"


def test_it_starts_again_after_it_was_killed(tmp_path):
    with run_embedded_node(tmp_path / "store") as node:
        with node.client() as client:
            cid = client.put_block(b"durable")
        node.process.kill()
        node.process.wait(STOP_S)
    with run_embedded_node(tmp_path / "store") as node, node.client() as client:
        assert client.get_block(cid) == b"durable"
