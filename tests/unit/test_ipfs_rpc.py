"""The RPC as HTTP: what `ipfshttpclient` never sends, but others may. tests/engines compares it with Kubo."""

from __future__ import annotations

import http.client
import json

import pytest

from ledger_protocol.content import car, dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from ledger_protocol.limits import MAX_BLOCK_BYTES

BOUNDARY = "sixteen-letters!"


@pytest.fixture
def call(embedded_node):
    port = int(embedded_node.api.rsplit("/", 1)[1])

    def call(path, body=None, method="POST", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, "/api/v0/" + path, body=body, headers=names)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        return response.status, answer

    return call


def upload(call, path, content, boundary=BOUNDARY, after=b""):
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'.encode()
        + content
        + f"\r\n--{boundary}--\r\n".encode()
        + after
    )
    return call(path, body, content_type=f'multipart/form-data; boundary="{boundary}"')


def message(answer):
    error = json.loads(answer)
    assert error["Type"] == "error"
    assert error["Code"] == 0
    return error["Message"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_only_post_is_answered(call, method):
    assert call("version", method=method)[0] == 405


def test_an_unknown_call_is_not_found(call):
    assert call("config/show")[0] == 404
    assert call("../version")[0] == 404


def test_a_page_of_another_site_may_not_call(call):
    assert call("repo/gc", origin="http://evil.example")[0] == 403


@pytest.mark.parametrize("path", ["block/get", "cat", "pin/add", "dag/export"])
def test_a_missing_argument_is_named(call, path):
    status, answer = call(path)
    assert status == 400
    assert b"is required" in answer


def test_too_many_arguments_are_refused(call):
    assert call("block/get?arg=a&arg=b")[0] == 400


def test_an_option_that_would_change_the_result_is_refused_by_name(call):
    status, answer = upload(call, "add?cid-version=1&raw-leaves=true&inline=true", b"x")
    assert status == 400
    assert b"'inline'" in answer


@pytest.mark.parametrize(
    "query", ["", "cid-version=0&raw-leaves=true", "cid-version=1", "cid-version=1&raw-leaves=false"]
)
def test_add_makes_only_what_we_publish(call, query):
    status, answer = upload(call, f"add?{query}", b"x")
    assert status == 500
    assert "cid-version=1" in message(answer)


@pytest.mark.parametrize(
    "query", ["chunker=buzhash", "max-file-links=1", "max-file-links=9999", "trickle=true", "hash=blake3"]
)
def test_add_refuses_what_it_cannot_do(call, query):
    assert upload(call, f"add?cid-version=1&raw-leaves=true&{query}", b"x")[0] == 500


def test_a_flag_that_is_none_is_a_bad_request(call):
    assert upload(call, "dag/import?pin-roots=perhaps", b"x")[0] == 400


@pytest.mark.parametrize(
    "arg", ["..", "%2e%2e%2fetc", "zzz", "bafy", "/ipfs/", "Qm" + "1" * 44, "b" + "a" * 5000]
)
def test_an_argument_that_is_no_address_is_an_error(call, arg):
    status, answer = call(f"block/get?arg={arg}")
    assert status == 500
    assert "CID" in message(answer) or "varint" in message(answer)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"plain"),
        ({"content_type": "text/plain"}, b"plain"),
        ({"content_type": "multipart/form-data"}, b"plain"),
        ({"content_type": f"multipart/form-data; boundary={'b' * 71}"}, b"plain"),
        ({"content_type": f"multipart/form-data; boundary={BOUNDARY}"}, b"plain"),
        ({"content_type": f"multipart/form-data; boundary={BOUNDARY}"}, b""),
        (
            {"content_type": f"multipart/form-data; boundary={BOUNDARY}"},
            f"--{BOUNDARY}\r\nX: y\r\n\r\nunfinished".encode(),
        ),
        (
            {"content_type": f"multipart/form-data; boundary={BOUNDARY}"},
            f"--{BOUNDARY}\r\n".encode() + b"x" * 20_000,
        ),
    ],
)
def test_an_upload_that_is_not_one_file_is_a_bad_request(call, headers, body):
    assert call("block/put", body, **headers)[0] == 400


def test_two_files_at_once_are_refused(call):
    two = f"one\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=file\r\n\r\ntwo".encode()
    status, answer = upload(call, "block/put", two)
    assert status == 400
    assert b"more parts" in answer


def test_a_block_that_is_too_large_is_refused(call):
    status, answer = upload(call, "block/put", bytes(MAX_BLOCK_BYTES + 1))
    assert status == 500
    assert "too large" in message(answer)


def test_a_block_may_hold_what_looks_like_a_boundary(call):
    block = f"\r\n--{BOUNDARY[:-1]}\r\n--\r\n\r\n--".encode() * 3
    status, answer = upload(call, "block/put", block)
    assert status == 200
    assert json.loads(answer) == {"Key": str(Cid.of(RAW, block)), "Size": len(block)}


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_000_000])
def test_a_block_of_any_length_arrives_whole(call, size):
    block = bytes(number % 251 for number in range(size))
    answer = upload(call, "block/put?cid-codec=raw", block)[1]
    assert json.loads(answer)["Key"] == str(Cid.of(RAW, block))
    assert call(f"block/get?arg={Cid.of(RAW, block)}") == (200, block)


def test_an_unknown_codec_is_refused(call):
    assert upload(call, "block/put?cid-codec=git-raw", b"x")[0] == 500


def test_a_giant_section_of_a_car_is_refused_before_it_is_read(call):
    content = car.encode_header([Cid.of(RAW, b"x")]) + b"\xff\xff\xff\xff\x7f" + b"x" * 1000
    status, answer = upload(call, "dag/import", content)
    assert status == 500
    assert "at most" in message(answer)


def test_stats_of_an_import_are_counted(call):
    block = dag_cbor.encode({"n": 1})
    root = Cid.of(DAG_CBOR, block)
    content = car.encode_header([root]) + car.encode_section(root, block)
    status, answer = upload(call, "dag/import?stats=true&pin-roots=false", content)
    assert (status, json.loads(answer)) == (200, {"Stats": {"BlockCount": 1, "BlockBytesCount": len(block)}})


def test_pins_are_listed_one_a_line_where_asked(call):
    cid = json.loads(upload(call, "block/put?pin=true", b"pinned alone")[1])["Key"]
    lines = call("pin/ls?stream=true&type=recursive")[1].splitlines()
    assert {"Cid": cid, "Type": "recursive"} in [json.loads(line) for line in lines]
    assert json.loads(call(f"pin/rm?arg=/ipfs/{cid}")[1]) == {"Pins": [cid]}


def test_a_document_cannot_be_read_as_a_file(call):
    document = dag_cbor.encode({"not": "a file"})
    upload(call, "block/put?cid-codec=dag-cbor", document)
    status, answer = call(f"cat?arg={Cid.of(DAG_CBOR, document)}")
    assert status == 500
    assert "not a file" in message(answer)


def test_a_node_that_is_not_what_its_codec_says_is_an_error_and_no_crash(call):
    block = b"\xff\xff not dag-pb"
    cid = json.loads(upload(call, "block/put?cid-codec=dag-pb", block)[1])["Key"]
    for path in ("cat", "dag/export", "pin/add"):
        assert call(f"{path}?arg={cid}")[0] in (200, 500)
    assert call("version")[0] == 200


@pytest.mark.parametrize("query", ["offset=-1", "offset=x", "length=1e3", "offset=99999999999999999999"])
def test_a_range_that_is_no_number_is_refused(call, query):
    upload(call, "block/put", b"0123456789")
    assert call(f"cat?arg={Cid.of(RAW, b'0123456789')}&{query}")[0] == 500


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", b"0123456789"),
        ("offset=4", b"456789"),
        ("offset=4&length=2", b"45"),
        ("length=0", b""),
        ("offset=50", b""),
    ],
)
def test_a_range_of_a_file_is_given(call, query, expected):
    upload(call, "block/put", b"0123456789")
    assert call(f"cat?arg={Cid.of(RAW, b'0123456789')}&{query}") == (200, expected)


def test_what_the_store_holds_is_counted(call):
    upload(call, "block/put", b"something")
    stat = json.loads(call("repo/stat")[1])
    assert stat["NumObjects"] >= 1
    assert stat["RepoSize"] >= 9
