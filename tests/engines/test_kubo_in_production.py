"""What differs between Kubo as others run it, on line and guarded by a secret, and Kubo as most tests run
it."""

from __future__ import annotations

import pytest

from ledger_client.content.errors import BlockMissingError
from ledger_client.content.ipfs import IpfsClient
from ledger_client.errors import NodeRefusedError, UnreachableError
from ledger_protocol.content import car, dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from tests.support.ipfs import kubo_binary, run_kubo

pytestmark = pytest.mark.engines("kubo")

SECRET = "bearer:correct horse"
OTHER = "basic:publisher:battery staple"
ALLOWED = {
    "token": {"AuthSecret": SECRET, "AllowedPaths": ["/api/v0"]},
    "password": {"AuthSecret": OTHER, "AllowedPaths": ["/api/v0"]},
}


@pytest.fixture(scope="module")
def guarded_node(tmp_path_factory):
    repository = tmp_path_factory.mktemp("guarded") / "repository"
    with run_kubo(kubo_binary(), repository, online=True, settings={"API.Authorizations": ALLOWED}) as node:
        yield node


@pytest.mark.parametrize("secret", ["", "bearer:wrong", "basic:publisher:wrong"])
def test_a_guarded_node_refuses_who_lacks_the_secret(guarded_node, secret):
    with IpfsClient(guarded_node.api, authorization=secret) as client, pytest.raises(NodeRefusedError):
        client.version()


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_a_guarded_node_answers_who_has_the_secret(guarded_node, secret):
    with IpfsClient(guarded_node.api, authorization=secret) as client:
        assert client.version() == "0.42.0"
        assert client.put_block(b"guarded") == Cid.of(RAW, b"guarded")


def test_a_node_on_line_is_not_left_to_look_for_a_missing_block(guarded_node):
    missing = Cid.of(RAW, b"nobody on any network has this")
    with IpfsClient(guarded_node.api, authorization=SECRET, timeout_s=20) as client:
        assert not client.has_block(missing)
        for ask in (
            client.get_block,
            client.pin,
            lambda cid: list(client.cat(cid)),
            lambda cid: list(client.export_car(cid)),
        ):
            with pytest.raises(BlockMissingError):
                ask(missing)


def test_a_node_on_line_that_waits_for_a_missing_block_is_left_in_time(guarded_node):
    # It pins what it imports, and searches for what the CAR lacks: no option of its RPC stops that
    # (content.md §3).
    document = dag_cbor.encode({"image": Cid.of(RAW, b"not in the CAR")})
    root = Cid.of(DAG_CBOR, document)
    pieces = [car.encode_header([root]) + car.encode_section(root, document)]
    with IpfsClient(guarded_node.api, authorization=SECRET, timeout_s=2) as client:
        with pytest.raises(UnreachableError, match="silent"):
            client.import_car(pieces, roots=[root])
        assert not client.pinned(root)
