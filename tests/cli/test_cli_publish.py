"""From images to the head of a channel, with the real command, chain and IPFS node. Refusals first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device_verifier.facts import DeviceFacts, Slot, facts_to_json
from ledger_client.cli.app import App
from ledger_client.errors import RevertedError
from ledger_protocol.content.cid import Cid
from ledger_protocol.release.envelope import Envelope

if TYPE_CHECKING:
    from tests.support.manufacturer import Manufacturer

ZERO = "0x" + "00" * 31 + "01"


def test_a_release_with_too_few_signatures_is_not_published(maker: Manufacturer) -> None:
    folder = maker.build("0.1.0", 1)
    maker.run("release", "sign", folder, "--key", "keys/alice.pem")
    err = maker.refused("release", "publish", folder, "--channel", "stable", "--yes", code=1)
    assert err.startswith("error: release 0.1.0 is not signed as the trust root demands: expected 2 of 2")
    assert "hint: `fwledger release sign`" in err


def test_a_signature_of_a_key_that_the_root_does_not_name_does_not_count(maker: Manufacturer) -> None:
    folder = maker.build("0.2.0", 1)
    maker.run("key", "new", "keys/mallory.pem")
    maker.run("release", "sign", folder, "--key", "keys/alice.pem")
    maker.run("release", "sign", folder, "--key", "keys/mallory.pem")
    assert "got 1 (0 invalid, 2 offered)" in maker.refused(
        "release", "publish", folder, "--channel", "stable", "--yes", code=1
    )


def test_nothing_is_sent_without_a_yes_where_nobody_can_be_asked(maker: Manufacturer) -> None:
    folder = maker.signed("0.3.0", 1)
    err = maker.refused("release", "publish", folder, "--channel", "stable", "--quiet", code=2)
    assert "error: nothing was sent: there is no terminal to ask at" in err
    assert "paid by  0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266" in err
    assert maker.run("release", "list").out == "nothing was published yet\n"


def test_a_channel_that_the_signers_did_not_name_is_refused(maker: Manufacturer) -> None:
    folder = maker.signed("0.4.0", 1)
    err = maker.refused("release", "publish", folder, "--channel", "beta", "--yes", code=2)
    assert "error: release 0.4.0 is not made for channel beta: expected one of stable, got beta" in err


def test_signatures_over_another_manifest_do_not_merge(maker: Manufacturer) -> None:
    first, second = maker.build("0.5.0", 1), maker.build("0.5.1", 2)
    maker.run("release", "sign", f"{second}/manifest.cbor", "--key", "keys/alice.pem", "--out", "second.sig")
    assert "error: these signatures are over another manifest" in maker.refused(
        "release", "merge", first, "second.sig", code=1
    )


def test_a_folder_that_holds_another_release_is_not_overwritten(maker: Manufacturer) -> None:
    maker.build("0.6.0", 1, "--out", "releases/kept")
    (maker.path / "other.img").write_bytes(b"other")
    err = maker.refused(
        "release", "build", "rootfs=other.img", "--compatible", "acme,cam", "--version", "0.6.1", "--sequence", "2",
        "--channel", "stable", "--out", "releases/kept", code=2,
    )  # fmt: skip
    assert "error: releases/kept holds another release" in err


def test_two_signers_who_share_no_machine_make_a_release_that_is_published(maker: Manufacturer) -> None:
    folder = maker.build("1.0.0", 10, "--security-version", "3", image=b"\x01" * 100_000)
    for who in ("alice", "bob"):
        maker.run(
            "release", "sign", f"{folder}/manifest.cbor", "--key", f"keys/{who}.pem", "--out", f"{who}.sig"
        )
    assert maker.json("release", "merge", folder, "alice.sig", "bob.sig")["signatures"] == 2
    published = maker.json("release", "publish", folder, "--channel", "stable", "--yes")
    assert published["schema"] == "fwledger/cli/release-publish/1"
    assert published["sequence"] == 10
    assert published["transactions"][0]["act"] == "publish"
    block = maker.path / folder / "envelope.cbor"
    assert str(Envelope.decode(block.read_bytes()).cid) == published["envelope"]
    shown = maker.json("release", "show", folder)
    assert shown["signed"]
    assert shown["head_of"] == ["stable"]
    # By id, the release comes from IPFS and is the same.
    assert maker.json("release", "show", published["release"]) == shown
    status = maker.json("channel", "status", "stable")["channels"][0]
    assert (status["sequence"], status["security_version"], status["share_bps"]) == (10, 3, 10_000)


def test_the_published_blocks_are_pinned_on_the_node(maker: Manufacturer, embedded_node) -> None:
    folder = maker.signed("1.1.0", 11, "--security-version", "3", image=b"\x02" * 70_000)
    envelope = maker.json("release", "publish", folder, "--channel", "stable", "--yes")["envelope"]
    with embedded_node.client() as client:
        assert client.pinned(Cid.parse(envelope))


def test_a_sequence_that_does_not_rise_is_refused_before_anything_is_sent(maker: Manufacturer) -> None:
    folder = maker.signed("1.1.1", 11, "--security-version", "3")
    err = maker.refused("release", "publish", folder, "--channel", "stable", "--yes", code=2)
    assert "error: sequence of release 1.1.1: expected 12 to 65547 on channel stable, got 11" in err
    assert "paid by" not in err


def test_a_security_version_that_falls_is_refused(maker: Manufacturer) -> None:
    folder = maker.signed("1.1.2", 12, "--security-version", "2")
    err = maker.refused("release", "publish", folder, "--channel", "stable", "--yes", code=2)
    assert "error: security version of release 1.1.2: expected at least 3, got 2" in err


def facts(tmp_path, **more) -> str:
    slots = (Slot("rootfs", 1_000_000),)
    base = {"compatible": "acme,cam", "hw_revision": "r1", "arch": "aarch64", "channel": "stable"}
    path = tmp_path / "facts.json"
    path.write_text(facts_to_json(DeviceFacts(address=b"\x11" * 20, slots=slots, **(base | more))))
    return str(path)


def test_release_check_says_what_the_device_would_do(maker: Manufacturer, tmp_path) -> None:
    folder = maker.signed("1.2.0", 20, "--security-version", "3")
    checked = maker.json("release", "check", folder, "--device", facts(tmp_path), "--channel", "stable")
    assert (checked["installs"], checked["reason"]) == (True, "update-available")
    assert {"V1", "V3", "V4", "V5", "V6", "V7", "V8", "V9"} <= {step["check"] for step in checked["steps"]}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"compatible": "acme,lock"}, "incompatible"),
        ({"arch": "armv7"}, "incompatible"),
        ({"security_floor": 9}, "rollback"),
    ],
)
def test_release_check_refuses_what_the_device_would_refuse(maker, tmp_path, wrong, reason) -> None:
    folder = maker.signed("1.2.0", 20, "--security-version", "3")
    result = maker.run("release", "check", folder, "--device", facts(tmp_path, **wrong), "--json", expect=1)
    assert result.document["reason"] == reason
    assert not result.document["installs"]


def test_a_misspelt_device_fact_is_refused_by_name(maker: Manufacturer, tmp_path) -> None:
    folder = maker.signed("1.2.0", 20, "--security-version", "3")
    path = Path(facts(tmp_path))
    document = json.loads(path.read_text())
    document["securty_floor"] = document.pop("security_floor")
    path.write_text(json.dumps(document))
    assert "securty_floor" in maker.refused("release", "check", folder, "--device", path, code=2)


def test_a_halted_channel_shows_it_and_resumes_no_lower(maker: Manufacturer) -> None:
    folder = maker.signed("1.3.0", 30, "--security-version", "3")
    maker.run(
        "release",
        "publish",
        folder,
        "--channel",
        "stable",
        "--yes",
        "--initial-bps",
        "2500",
        "--hold-hours",
        "99",
        "--halt-bps",
        "6000",
        "--min-reports",
        "3",
    )
    maker.run("channel", "halt", "stable", "--yes")
    assert maker.json("channel", "status", "stable")["channels"][0]["halted"]
    assert "error: the ledger refused halt: channel is halted" in maker.refused(
        "channel", "halt", "stable", "--yes", code=1
    )
    err = maker.refused("channel", "resume", "stable", "--initial-bps", "100", "--yes", code=1)
    assert "share below the one reached" in err
    assert "hint: give at least the share" in err
    maker.run("channel", "resume", "stable", "--initial-bps", "5000", "--hold-hours", "9", "--yes")
    status = maker.json("channel", "status", "stable")["channels"][0]
    assert (status["halted"], status["share_bps"]) == (False, 5000)
    assert (status["halt_bps"], status["min_reports"]) == (6000, 3)


def test_a_resumed_channel_goes_on_from_where_it_was_halted(maker: Manufacturer) -> None:
    """Not to everybody at once, and with the breaker that it had."""
    folder = maker.signed("1.3.1", 31, "--security-version", "3")
    curve = ("--initial-bps", "2500", "--ramp-hours", "99", "--halt-bps", "6000", "--min-reports", "3")
    maker.run("release", "publish", folder, "--channel", "stable", "--yes", *curve)
    maker.run("channel", "halt", "stable", "--yes")
    frozen = maker.json("channel", "status", "stable")["channels"][0]["share_bps"]
    maker.run("channel", "resume", "stable", "--yes")
    status = maker.json("channel", "status", "stable")["channels"][0]
    assert 2500 <= frozen <= status["share_bps"] < 2600
    assert (status["ramp_hours"], status["halt_bps"], status["min_reports"]) == (99, 6000, 3)


def test_a_revoked_release_is_never_published_again(maker: Manufacturer) -> None:
    folder = maker.signed("1.4.0", 40, "--security-version", "3")
    maker.run("release", "publish", folder, "--channel", "stable", "--yes")
    maker.run("release", "revoke", folder, "--reason", "7", "--yes")
    assert "error: the ledger refused revoke: release is revoked" in maker.refused(
        "release", "revoke", folder, "--yes", code=1
    )
    revoked = maker.json("release", "show", folder)["revoked"]
    assert (revoked["reason"], revoked["mandatory"]) == (7, False)
    maker.run("release", "revoke", folder, "--mandatory", "--yes")
    assert maker.json("release", "show", folder)["revoked"]["mandatory"]
    assert "revoked" in maker.run("release", "list").out


def test_without_an_ipfs_node_nothing_reaches_the_ledger(maker: Manufacturer, tmp_path: Path) -> None:
    folder = maker.signed("1.5.0", 50, "--security-version", "3")
    other = tmp_path / "fwledger.toml"
    text = (maker.path / "fwledger.toml").read_text().splitlines()
    absolute = [
        line.replace('"blocks"', f'"{maker.path}/blocks"').replace('"trust-root', f'"{maker.path}/trust-root')
        for line in text
    ]
    other.write_text(
        "\n".join('api = "/ip4/127.0.0.1/tcp/1"' if line.startswith("api") else line for line in absolute)
    )
    before = maker.json("release", "list")
    err = maker.refused(
        "release", "publish", folder, "--channel", "stable", "--yes", "--config", other, code=3
    )
    assert "error: no IPFS node at /ip4/127.0.0.1/tcp/1: got connection refused" in err
    assert maker.json("release", "list") == before


def test_what_the_ledger_refuses_after_a_long_push_is_not_paid_for(maker: Manufacturer) -> None:
    app = App(config=maker.path / "fwledger.toml", flags={}, as_json=False, quiet=True, yes=True)
    release = b"\x77" * 32
    call = app.ledger.revoke(release, 1)
    before = app.network.nonce(app.account.address)

    def push() -> None:
        maker.run("release", "revoke", release.hex(), "--yes")

    with pytest.raises(RevertedError, match="release is revoked"):
        app.send(call, first=push)
    assert app.network.nonce(app.account.address) == before + 1  # the other's
