"""What `fwledger deploy` refuses, it refuses before anything is paid for."""

from __future__ import annotations

import pytest

from tests.support.manufacturer import found


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--publish-threshold", "2"),
        ("--release-threshold", "0"),
        ("--release-threshold", "2"),
        ("--root-threshold", "2"),
        ("--root-threshold", str(2**64)),
        ("--min-validators", "0"),
        ("--expires-days", "0"),
        ("--expires-days", "-1"),
        ("--max-age-hours", "0"),
        ("--max-age-hours", str(10**30)),
        ("--release-key", "keys/alice.pem.pub"),
        ("--root-public", "keys/root.pem.pub"),
    ],
)
def test_nothing_is_sent_for_what_makes_no_trust_root(tmp_path, chain, option, value):
    """0 days is not "no end"; a key given twice is not two keys."""
    maker = found(tmp_path / "maker", rpc=chain.url)
    before = chain.rpc("eth_blockNumber")
    line = ["deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem"]
    assert maker.refused(*line, option, value, code=2).startswith("error: ")
    assert chain.rpc("eth_blockNumber") == before
    assert not (maker.path / "trust-root.cbor").exists()
