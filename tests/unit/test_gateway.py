"""The gateway as HTTP, on our node alone; tests/engines compares its CARs and blocks with Kubo's gateway."""

from __future__ import annotations

import http.client
import io
import random
from urllib.parse import urlsplit

import pytest
import zstandard

from ledger_client.content.address import Address
from ledger_client.content.importer import import_file
from ledger_client.content.node.store import BlockStore
from ledger_client.content.publish import release_car
from ledger_protocol.content import car, dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from tests.support.ipfs import run_embedded_node

RAW_TYPE = "application/vnd.ipld.raw"
CAR_TYPE = "application/vnd.ipld.car"
TEXT = b"a text that compresses well " * 200


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return BlockStore(tmp_path_factory.mktemp("gateway") / "store")


@pytest.fixture(scope="module")
def gateway(store):
    with run_embedded_node(store.path) as node:
        yield node.gateway


@pytest.fixture
def get(gateway):
    parts = urlsplit(gateway)

    def get(path, method="GET", **headers):
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=names)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, body

    return get


@pytest.fixture(scope="module")
def text(store):
    cid = Cid.of(RAW, TEXT)
    store.put(cid, TEXT)
    return cid


@pytest.fixture(scope="module")
def image(store):
    return import_file(io.BytesIO(random.Random(7).randbytes(900_000)), sink=store)


def blocks_of(body):
    stream = io.BytesIO(body)
    return car.read_header(stream), list(car.iter_blocks(stream))


# what is refused


def test_a_request_without_a_form_is_a_bad_request(get, text):
    for headers in ({}, {"accept": "*/*"}, {"accept": "text/html, */*;q=0.8"}):
        status, _, body = get(f"/ipfs/{text}", **headers)
        assert status == 400
        assert b"format=raw" in body


@pytest.mark.parametrize("query", ["format=tar", "format=json", "format=dag-json", "format="])
def test_another_format_is_not_acceptable(get, text, query):
    assert get(f"/ipfs/{text}?{query}", accept=RAW_TYPE)[0] == 406


@pytest.mark.parametrize(
    "accept", ["text/html", "application/json", "application/vnd.ipld.raw;q=0, text/html"]
)
def test_another_media_type_is_not_acceptable(get, text, accept):
    assert get(f"/ipfs/{text}", accept=accept)[0] == 406


@pytest.mark.parametrize(
    "query",
    [
        "car-version=2",
        "car-order=bfs",
        "car-dups=maybe",
        "dag-scope=everything",
        "entity-bytes=1",
        "entity-bytes=5:1",
        "entity-bytes=a:b",
        "entity-bytes=0:",
        "entity-bytes=*:5",
        "entity-bytes=-1:-2",
        "entity-bytes=1:9999999999999999999",
    ],
)
def test_a_car_that_cannot_be_made_is_a_bad_request(get, text, query):
    assert get(f"/ipfs/{text}?format=car&{query}")[0] == 400


def test_a_block_that_is_not_here_is_not_found_and_is_not_looked_for(get):
    missing = Cid.of(RAW, b"somewhere else")
    assert get(f"/ipfs/{missing}?format=raw")[0] == 404
    assert get(f"/ipfs/{missing}?format=car")[0] == 404
    assert get(f"/ipfs/{missing}?format=raw", cache_control="only-if-cached")[0] == 412


@pytest.mark.parametrize(
    "path",
    [
        "/ipfs/",
        "/ipfs/..",
        "/ipfs/..%2f..%2fetc%2fpasswd",
        "/ipfs/%00",
        "/ipfs/bafy",
        "/ipfs/" + "b" + "a" * 3000,
        "/ipfs/b" + "a" * 57,
        "/ipfs/Qm" + "0" * 44,
        "/ipfs/zz",
        "/ipfs/f0155",
    ],
)
def test_what_is_no_address_is_a_bad_request(get, path):
    assert get(path + "?format=raw")[0] == 400


def test_a_path_too_long_is_refused(get, text):
    assert get(f"/ipfs/{text}/{'a' * 5000}?format=car")[0] in (400, 414)


@pytest.mark.parametrize("path", ["/", "/ipns/example.com?format=raw", "/api/v0/version", "/ipfs"])
def test_nothing_else_is_served(get, path):
    assert get(path)[0] in (404, 405, 307)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_written(get, text, method):
    assert get(f"/ipfs/{text}?format=raw", method=method)[0] == 405


def test_a_raw_block_has_no_path(get, text):
    assert get(f"/ipfs/{text}/below?format=raw")[0] == 400
    assert get(f"/ipfs/{text}/below?format=car")[0] == 404


def test_a_block_that_the_disk_changed_is_never_served(get, store):
    cid = Cid.of(RAW, b"to be damaged")
    store.put(cid, b"to be damaged")
    file = next(
        path
        for path in (store.path / "blocks").rglob("*")
        if path.is_file() and path.read_bytes() == b"to be damaged"
    )
    file.write_bytes(b"to be DAMAGED")
    assert get(f"/ipfs/{cid}?format=raw")[0] == 404


def test_a_car_that_cannot_be_finished_breaks_off_instead_of_ending(get, store):
    data = random.Random(8).randbytes(3_000_000)
    broken = import_file(io.BytesIO(data), sink=store)
    last = [address.cid for address, _ in store.walk(broken.root)][-1]
    store.delete(last)
    with pytest.raises(http.client.IncompleteRead):
        get(f"/ipfs/{broken.root}?format=car")


# raw blocks


def test_a_raw_block_comes_with_the_headers_of_the_specification(get, text):
    status, headers, body = get(f"/ipfs/{text}?format=raw")
    assert (status, body) == (200, TEXT)
    assert headers["content-type"] == RAW_TYPE
    assert headers["content-length"] == str(len(TEXT))
    assert headers["etag"] == f'"{text}.raw"'
    assert headers["cache-control"] == "public, max-age=29030400, immutable"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-ipfs-path"] == f"/ipfs/{text}"
    assert headers["x-ipfs-roots"] == str(text)
    assert headers["content-disposition"].startswith(f'attachment; filename="{text}.bin"')
    assert headers["accept-ranges"] == "bytes"


def test_the_format_wins_over_the_header(get, text):
    assert get(f"/ipfs/{text}?format=raw", accept=CAR_TYPE)[1]["content-type"] == RAW_TYPE
    assert get(f"/ipfs/{text}?format=car", accept=RAW_TYPE)[1]["content-type"].startswith(CAR_TYPE)


def test_the_best_accepted_form_is_given(get, text):
    assert get(f"/ipfs/{text}", accept=f"{CAR_TYPE};q=0.5, {RAW_TYPE};q=0.9")[1]["content-type"] == RAW_TYPE


def test_a_file_name_cannot_break_out_of_its_header(get, text):
    name = "%22%0d%0aX-Evil:%201%5C%C3%BC.bin"
    headers = get(f"/ipfs/{text}?format=raw&filename={name}")[1]
    assert "x-evil" not in headers
    assert (
        headers["content-disposition"]
        == "attachment; filename=\"X-Evil: 1_.bin\"; filename*=UTF-8''X-Evil%3A%201%C3%BC.bin"
    )


@pytest.mark.parametrize(
    ("asked", "first", "last"), [("bytes=0-0", 0, 0), ("bytes=6-16", 6, 16), ("bytes=5590-", 5590, 5599), ("bytes=-3", 5597, 5599), ("bytes=5000-9999", 5000, 5599), ("bytes=-99999", 0, 5599), ("bytes=6-16,0-4", 6, 16)],
)  # fmt: skip
def test_a_range_is_partial_content(get, text, asked, first, last):
    status, headers, body = get(f"/ipfs/{text}?format=raw", range=asked, accept_encoding="zstd")
    assert status == 206
    assert headers["content-range"] == f"bytes {first}-{last}/{len(TEXT)}"
    assert body == TEXT[first : last + 1]
    assert "content-encoding" not in headers


@pytest.mark.parametrize("asked", ["bytes=5600-", "bytes=9999-10000", "bytes=-0"])
def test_a_range_outside_of_the_block_cannot_be_satisfied(get, text, asked):
    status, headers, _ = get(f"/ipfs/{text}?format=raw", range=asked)
    assert status == 416
    assert headers["content-range"] == f"bytes */{len(TEXT)}"


@pytest.mark.parametrize("asked", ["bytes=9-3", "lines=1-2", "bytes=a-b", "bytes=-", "bytes"])
def test_a_range_that_is_none_is_ignored(get, text, asked):
    assert get(f"/ipfs/{text}?format=raw", range=asked)[0] == 200


def test_a_range_of_another_version_is_the_whole_block(get, text):
    assert get(f"/ipfs/{text}?format=raw", range="bytes=0-1", if_range='"other"')[0] == 200
    assert get(f"/ipfs/{text}?format=raw", range="bytes=0-1", if_range=f'"{text}.raw"')[0] == 206


@pytest.mark.parametrize("held", ['"{0}.raw"', 'W/"{0}.raw"', '"x", "{0}.raw"', "*", '"{0}.raw.zst"'])
def test_what_the_client_holds_is_not_sent_again(get, text, held):
    status, headers, body = get(f"/ipfs/{text}?format=raw", if_none_match=held.format(text))
    assert (status, body) == (304, b"")
    assert headers["etag"] == f'"{text}.raw"'


def test_head_is_get_without_the_bytes(get, text):
    status, headers, body = get(f"/ipfs/{text}?format=raw", method="HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", str(len(TEXT)))
    status, headers, body = get(f"/ipfs/{text}?format=car", method="HEAD")
    assert (status, body) == (200, b"")
    assert "content-length" not in headers
    assert get(f"/ipfs/{Cid.of(RAW, b'nowhere')}?format=car", method="HEAD")[0] == 404


@pytest.mark.parametrize("path", ["/ipfs/bafkqaaa", "/ipfs/bafkqaaa?format=raw"])
def test_the_empty_identity_address_is_always_there(get, path):
    status, headers, body = get(path)
    assert (status, body, headers["content-type"]) == (200, b"", RAW_TYPE)


def test_an_inline_block_is_served_from_its_address(get):
    assert get(f"/ipfs/{Address(1, RAW, b'hi', inline=True)}?format=raw")[2] == b"hi"


def test_an_address_may_be_spelled_in_another_base(get, text):
    for spelled in ("f" + text.to_bytes().hex(), str(text).upper()):
        assert get(f"/ipfs/{spelled}?format=raw")[2] == TEXT


# encodings


def test_a_block_is_compressed_where_the_client_can_read_it(get, text):
    status, headers, body = get(f"/ipfs/{text}?format=raw", accept_encoding="gzip, zstd")
    assert (status, headers["content-encoding"]) == (200, "zstd")
    assert headers["etag"] == f'"{text}.raw.zst"'
    assert len(body) < len(TEXT)
    assert zstandard.ZstdDecompressor().decompress(body) == TEXT


@pytest.mark.parametrize("encodings", ["gzip", "identity", "zstd;q=0", "zstandard", ""])
def test_a_block_is_plain_where_the_client_cannot_read_zstd(get, text, encodings):
    headers = get(f"/ipfs/{text}?format=raw", accept_encoding=encodings)[1]
    assert "content-encoding" not in headers
    assert "Accept-Encoding" in headers["vary"]


def test_what_does_not_compress_is_sent_plain(get, store, image):
    leaf = next(address for address, _ in store.walk(image.root) if address.codec == RAW)
    assert "content-encoding" not in get(f"/ipfs/{leaf}?format=raw", accept_encoding="zstd")[1]


def test_a_compressed_car_holds_the_same_blocks(get, image):
    plain = get(f"/ipfs/{image.root}?format=car")[2]
    _, headers, packed = get(f"/ipfs/{image.root}?format=car", accept_encoding="zstd")
    assert headers["content-encoding"] == "zstd"
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == plain


# CARs


def test_a_car_of_a_release_is_what_publishing_sends(get, store, image):
    document = dag_cbor.encode({"image": image.root})
    root = Cid.of(DAG_CBOR, document)
    store.put(root, document)
    status, headers, body = get(f"/ipfs/{root}", accept=f"{CAR_TYPE}; version=1; order=dfs; dups=n")
    assert (status, body) == (200, b"".join(release_car(store, root)))
    assert headers["content-type"] == f"{CAR_TYPE}; version=1; order=dfs; dups=n"
    assert headers["content-disposition"].startswith(f'attachment; filename="{root}.car"')


def test_parameters_of_the_query_win_over_those_of_the_header(get, text):
    headers = get(f"/ipfs/{text}?format=car&car-dups=y", accept=f"{CAR_TYPE}; dups=n")[1]
    assert headers["content-type"].endswith("dups=y")
    assert get(f"/ipfs/{text}", accept=f"{CAR_TYPE}; dups=y")[1]["content-type"].endswith("dups=y")


def test_a_range_of_a_file_needs_only_the_blocks_in_it(get, store):
    partial = import_file(io.BytesIO(random.Random(9).randbytes(600_000)), sink=store)
    leaves = [address.cid for address, _ in store.walk(partial.root) if address.codec == RAW]
    sizes = [store.size(leaf) for leaf in leaves]
    for leaf in leaves[2:]:
        store.delete(leaf)
    span = f"0:{sizes[0] + sizes[1] - 1}"
    _, blocks = blocks_of(get(f"/ipfs/{partial.root}?format=car&dag-scope=entity&entity-bytes={span}")[2])
    assert [cid for cid, _ in blocks] == [partial.root, *leaves[:2]]


def test_the_etag_of_a_car_depends_on_everything_that_was_asked(get, image):
    queries = [
        "",
        "&dag-scope=block",
        "&dag-scope=entity",
        "&car-dups=y",
        "&entity-bytes=0:5",
        "&entity-bytes=0:6",
    ]
    etags = [get(f"/ipfs/{image.root}?format=car{query}")[1]["etag"] for query in queries]
    assert len(set(etags)) == len(queries)
    status, _, body = get(f"/ipfs/{image.root}?format=car", if_none_match=etags[0])
    assert (status, body) == (304, b"")
    assert get(f"/ipfs/{image.root}?format=car&car-dups=y", if_none_match=etags[0])[0] == 200
