"""Bundles and proofs as files: made from a real chain, checked as a device checks them. Damaged ones
first.
"""

from __future__ import annotations

import random
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import TrustedLedger
from ledger_protocol.ledger.qbft import verify_seals
from ledger_protocol.ledger.receipt_proof import ReceiptProof, verify_receipt
from ledger_protocol.release.manifest import channel_id
from ledger_protocol.release.trust_root import verify_first

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.manufacturer import Manufacturer

IMAGE = random.Random(1).randbytes(300_000)


@pytest.fixture(scope="module")
def published(maker: Manufacturer) -> dict[str, object]:
    folder = maker.signed("1.0.0", 1, image=IMAGE)
    return maker.json("release", "publish", folder, "--channel", "stable", "--yes")


@pytest.fixture(scope="module")
def bundle(maker: Manufacturer, published: dict[str, object]) -> Path:
    maker.run("bundle", "make", "--channel", "stable", "--out", "stable.car")
    return maker.path / "stable.car"


def damaged(bundle: Path, where: float, maker: Manufacturer) -> str:
    raw = bytearray(bundle.read_bytes())
    raw[int(len(raw) * where)] ^= 1
    (maker.path / "damaged.car").write_bytes(bytes(raw))
    return "damaged.car"


@pytest.mark.parametrize("where", [0.001, 0.01, 0.5, 0.99])
def test_a_bundle_with_one_wrong_bit_is_refused(maker: Manufacturer, bundle: Path, where: float) -> None:
    err = maker.run("bundle", "show", damaged(bundle, where, maker), expect=None)
    assert err.code == 1
    assert err.err.startswith("error: ")


def test_a_truncated_bundle_is_refused(maker: Manufacturer, bundle: Path) -> None:
    (maker.path / "short.car").write_bytes(bundle.read_bytes()[:-100])
    assert maker.refused("bundle", "show", "short.car", code=1).startswith("error: short.car is not a bundle")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x00" * 100, b"\xff" * 100])
def test_a_file_that_is_no_bundle_is_refused(maker: Manufacturer, content: bytes, published: object) -> None:
    (maker.path / "other.car").write_bytes(content)
    assert maker.refused("bundle", "show", "other.car", code=1).startswith("error: other.car is not a bundle")


def test_a_bundle_that_is_not_there_is_a_usage_error(maker: Manufacturer) -> None:
    assert "no such file" in maker.refused("bundle", "show", "absent.car", code=2)


def test_a_bundle_shows_what_a_device_would_believe(
    maker: Manufacturer, bundle: Path, published: dict[str, object]
) -> None:
    shown = maker.json("bundle", "show", bundle)
    assert shown["release"] == published["release"]
    assert (shown["revoked"], shown["halted"], len(shown["signers"])) == (False, False, 2)
    assert shown["bytes"] > len(IMAGE)


def test_a_bundle_is_not_overwritten_and_a_missing_channel_is_named(
    maker: Manufacturer, bundle: Path
) -> None:
    assert "exists already" in maker.refused(
        "bundle", "make", "--channel", "stable", "--out", "stable.car", code=2
    )
    assert "nothing was published on channel beta" in maker.refused(
        "bundle", "make", "--channel", "beta", "--out", "beta.car", code=2
    )
    assert "expected some of rootfs, got kernel" in maker.refused(
        "bundle", "make", "--channel", "stable", "--component", "kernel", "--out", "kernel.car", code=2
    )
    assert not (maker.path / "kernel.car").exists()


def test_blocks_come_from_ipfs_where_the_machine_has_none(maker: Manufacturer, bundle: Path) -> None:
    shutil.move(maker.path / "blocks", maker.path / "elsewhere")
    try:
        maker.run("bundle", "make", "--channel", "stable", "--out", "again.car")
    finally:
        shutil.rmtree(maker.path / "blocks", ignore_errors=True)
        shutil.move(maker.path / "elsewhere", maker.path / "blocks")
    assert (
        maker.json("bundle", "show", "again.car")["blocks"] == maker.json("bundle", "show", bundle)["blocks"]
    )


def test_the_proof_of_a_channel_is_one_that_a_device_takes(
    maker: Manufacturer, published: dict[str, object]
) -> None:
    made = maker.json("proof", "channel", "stable", "--out", "stable.proof")
    assert made["bytes"] < 6_000
    trusted = TrustedLedger(trust_root=(maker.path / "trust-root.cbor").read_bytes(), floor=None, now_s=None)
    trusted.update_header((maker.path / "stable.proof").read_bytes())
    for query in (StateQuery(channel="stable"), StateQuery(group=1)):
        view = trusted.read(query)
        assert view.head is not None
        assert "0x" + view.head.hex() == published["release"]
        assert view.channel == channel_id("stable")


def test_the_proof_of_a_receipt_holds_under_the_sealed_header(
    maker: Manufacturer, published: dict[str, object]
) -> None:
    transaction = published["transactions"][0]["transaction"]
    maker.run("proof", "receipt", transaction, "--out", "receipt.proof")
    proof = ReceiptProof.decode((maker.path / "receipt.proof").read_bytes())
    root = verify_first((maker.path / "trust-root.cbor").read_bytes(), now_s=None)
    assert root.headers.qbft is not None
    receipt = verify_receipt(proof, header=verify_seals(proof.header, root.headers.qbft))
    assert receipt.succeeded
    assert receipt.logs[0].address == root.ledger.address


def test_a_transaction_that_nobody_knows_has_no_proof(maker: Manufacturer) -> None:
    assert "knows no mined transaction" in maker.refused(
        "proof", "receipt", "0x" + "ab" * 32, "--out", "x", code=3
    )
    assert "expected 64 hex digits" in maker.refused("proof", "receipt", "0x12", "--out", "x", code=2)


@pytest.mark.parametrize(
    ("days", "expected", "advised"),
    [
        (0, "proved    block", False),
        (90, "90.0 days in which it may have been replaced, revoked or halted", True),
    ],
)
def test_a_stick_says_how_old_it_is_and_what_may_have_changed(
    maker: Manufacturer,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
    expected: str,
    advised: bool,
) -> None:
    made_at = maker.json("bundle", "show", bundle)["block_time"]
    monkeypatch.setattr(time, "time", lambda: made_at + days * 86_400)
    shown = maker.run("bundle", "show", bundle).out
    assert expected in shown
    assert "a device takes it whatever its age" in shown
    assert ("make a new one" in shown) is advised
    told = maker.json("bundle", "show", bundle)
    assert (told["age_s"], told["too_old_for_a_clock"]) == (days * 86_400, False)


def test_a_stick_that_devices_with_a_clock_refuse_says_so(
    maker: Manufacturer, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_at = maker.json("bundle", "show", bundle)["block_time"]
    maker.run("trust", "new", "--max-age-hours", "48", "--expires-days", "100", "--out", "aged")
    maker.run("trust", "sign", "aged", "--key", "keys/root.pem", "--out", "aged.cbor")
    config = (maker.path / "fwledger.toml").read_text().replace('"trust-root.cbor"', '"aged.cbor"')
    (maker.path / "aged.toml").write_text(config)
    for days, says in (
        (1, "a device with a clock takes it for 24.0 h more"),
        (90, "refuses it: no older than 2.0 days is accepted"),
        (200, "refuses it: trust root 2 expired"),
    ):
        monkeypatch.setattr(time, "time", lambda days=days: made_at + days * 86_400)
        assert says in maker.run("bundle", "show", bundle, "--config", "aged.toml").out
