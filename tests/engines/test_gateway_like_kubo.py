"""Our gateway answers as Kubo's does, block for block: the requests are those of the trustless raw and CAR
groups of the IPFS gateway conformance suite, on directories, sharded directories, files of several blocks
and documents that the real Kubo made."""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from ledger_client.content.address import Address
from ledger_client.content.dag import links_of
from ledger_protocol.content import dag_cbor, varint
from ledger_protocol.content.cid import DAG_CBOR, Cid
from tests.support.ipfs import kubo_binary

if TYPE_CHECKING:
    from ledger_client.content.ipfs import IpfsClient

pytestmark = pytest.mark.engines("kubo")


def get(gateway, path, method="GET", **headers):
    parts = urlsplit(gateway)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, body


def addresses(body):
    """The addresses of a CAR in order, header left out, each block checked."""
    size, at = varint.decode(body, 0)
    at += size
    found = []
    while at < len(body):
        size, at = varint.decode(body, at)
        section = body[at : at + size]
        width = 34 if section.startswith(b"\x12\x20") else 36
        address = Address.from_bytes(section[:width])
        address.cid.verify(section[width:])
        found.append(str(address))
        at += size
    return found


@pytest.fixture(scope="module")
def tree(kubo_node, embedded_node, tmp_path_factory):
    """The same DAGs on both nodes; names of their roots."""
    top = tmp_path_factory.mktemp("tree")
    (top / "subdir").mkdir()
    (top / "subdir" / "ascii.txt").write_bytes(b"hello application/vnd.ipld.car\n")
    (top / "subdir" / "multiblock.txt").write_bytes(random.Random(1).randbytes(1026))
    (top / "subdir" / "twice.txt").write_bytes(b"same same " * 103)
    (top / "subdir" / "empty").write_bytes(b"")
    (top / "subdir" / "with space & ünï.txt").write_bytes(b"odd name")
    many = tmp_path_factory.mktemp("many")
    for number in range(150):
        (many / f"{number}.txt").write_bytes(f"{number} ".encode() * 100)

    def add(path, *options):
        command = [
            kubo_binary(),
            f"--api={kubo_node.api}",
            "add",
            "-Qr",
            "--chunker=size-256",
            *options,
            path,
        ]
        done = subprocess.run(
            command, env={**os.environ, "IPFS_PATH": str(top)}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    v1 = ("--cid-version=1", "--raw-leaves")
    roots = {
        "dir": add(top, *v1),
        "shards": add(many, *v1, "--max-directory-links=32", "--max-hamt-fanout=16"),
        "deep": add(top / "subdir" / "multiblock.txt", *v1, "--max-file-links=2"),
        "v0": add(top, "--cid-version=0"),
    }
    document = dag_cbor.encode(
        {"files": {"single": Cid.parse(roots["deep"])}, "list": [Cid.parse(roots["dir"])]}
    )
    with kubo_node.client() as kubo, embedded_node.client() as ours:
        roots["doc"] = str(kubo.put_block(document, DAG_CBOR))
        for _name, root in roots.items():
            copy_dag(kubo, ours, root)
    return roots


def copy_dag(source: IpfsClient, target: IpfsClient, root: str) -> None:
    pending = [Address.parse(root)]
    while pending:
        address = pending.pop()
        block = source.get_block(address.cid)
        target.put_block(block, address.codec)
        pending += links_of(address, block)


CARS = [
    "{dir}/subdir/ascii.txt?format=car",
    "{dir}/subdir/ascii.txt?format=car&dag-scope=block",
    "{dir}/subdir?format=car&dag-scope=block",
    "{dir}?format=car&dag-scope=entity",
    "{dir}?format=car",
    "{dir}/subdir?format=car&dag-scope=all",
    "{dir}/subdir/ascii.txt?format=car&dag-scope=entity",
    "{dir}/subdir/multiblock.txt?format=car&dag-scope=entity",
    "{dir}/subdir/multiblock.txt?format=car&dag-scope=all",
    "{dir}/subdir/multiblock.txt?format=car&dag-scope=entity&entity-bytes=0:*",
    "{dir}/subdir/empty?format=car",
    "{dir}/subdir/with%20space%20%26%20%C3%BCn%C3%AF.txt?format=car",
    "{dir}/subdir/twice.txt?format=car",
    "{dir}/subdir/twice.txt?format=car&car-dups=y",
    "{dir}/subdir?format=car&car-dups=y",
    "{shards}?format=car&dag-scope=block",
    "{shards}?format=car&dag-scope=entity",
    "{shards}?format=car&dag-scope=entity&entity-bytes=0:*",
    "{shards}/1.txt?format=car&dag-scope=block",
    "{shards}/149.txt?format=car",
    "{shards}/17.txt?format=car&dag-scope=entity",
    "{deep}?format=car",
    *(
        "{deep}?format=car&dag-scope=entity&entity-bytes=" + span
        for span in ("0:*", "512:*", "512:1023", "512:-256", "-5:*", "-999999:-3", "0:0", "1025:1025", "300:300", "0:99999")
    ),
    "{doc}?format=car&dag-scope=block",
    "{doc}?format=car&dag-scope=entity",
    "{doc}?format=car",
    "{doc}/files/single?format=car",
    "{doc}/list/0/subdir/ascii.txt?format=car",
    "{v0}?format=car",
    "{v0}/subdir/multiblock.txt?format=car&dag-scope=entity&entity-bytes=256:511",
]  # fmt: skip


@pytest.mark.parametrize("request_path", CARS)
def test_a_car_holds_the_same_blocks_in_the_same_order(tree, kubo_node, embedded_node, request_path):
    path = "/ipfs/" + request_path.format(**tree)
    status, theirs, kubo = get(kubo_node.gateway, path)
    assert status == 200, kubo
    status, headers, ours = get(embedded_node.gateway, path)
    assert status == 200, ours
    assert addresses(ours) == addresses(kubo)
    assert headers["content-type"].replace(" ", "") == theirs["content-type"].replace(" ", "")
    for name in ("x-ipfs-roots", "x-content-type-options"):
        assert headers[name] == theirs[name], name
    # Kubo puts raw UTF-8 into this header; ours stays ASCII, as HTTP asks.
    assert unquote(headers["x-ipfs-path"]) == unquote(theirs["x-ipfs-path"].encode("latin-1").decode())


RAWS = [
    {"accept": "application/vnd.ipld.raw"},
    {"accept": "application/vnd.ipld.raw", "range": "bytes=6-16"},
    {"accept": "application/vnd.ipld.raw", "range": "bytes=6-"},
    {"accept": "application/vnd.ipld.raw", "range": "bytes=-4"},
    {"accept": "application/vnd.ipld.raw", "range": "bytes=400-500"},
    {"accept": "application/vnd.ipld.raw", "range": "nonsense"},
]


@pytest.mark.parametrize("headers", RAWS, ids=json.dumps)
def test_a_raw_block_is_answered_alike(tree, kubo_node, embedded_node, headers):
    listing = addresses(get(kubo_node.gateway, f"/ipfs/{tree['dir']}/subdir/ascii.txt?format=car")[2])
    path = f"/ipfs/{listing[-1]}"
    if headers.get("range") == "nonsense":  # RFC 9110 lets a server ignore it, as we do; Kubo answers 416
        status, _, body = get(embedded_node.gateway, path, **headers)
        assert (status, len(body)) == (200, 31)
        return
    status, theirs, kubo = get(kubo_node.gateway, path, **headers)
    ours_status, ours, body = get(embedded_node.gateway, path, **headers)
    assert ours_status == status
    if status < 400:
        assert body == kubo
        for name in (
            "content-type",
            "content-length",
            "x-ipfs-path",
            "x-ipfs-roots",
            "etag",
            "x-content-type-options",
        ):
            assert ours[name] == theirs[name], name
    assert ours.get("content-range") == theirs.get("content-range")


@pytest.mark.parametrize(
    "request_path",
    [
        "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e?format=raw",
        "notacid?format=raw",
        "{dir}?format=car&car-version=9",
    ],
)
def test_what_kubo_refuses_we_refuse(tree, kubo_node, embedded_node, request_path):
    path = "/ipfs/" + request_path.format(**tree)
    assert get(kubo_node.gateway, path)[0] >= 400
    assert 400 <= get(embedded_node.gateway, path)[0] < 500


@pytest.mark.parametrize("request_path", ["{dir}/subdir/none?format=car", "{shards}/none.txt?format=car"])
def test_a_path_to_nothing_is_not_found(tree, embedded_node, request_path):
    # Kubo answers 200 with the blocks that show the absence; the specification allows either.
    assert get(embedded_node.gateway, "/ipfs/" + request_path.format(**tree))[0] == 404
