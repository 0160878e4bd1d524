"""A device through its own command, against a real chain, real contracts, an IPFS node, a relay, and the
publisher's command.
"""

import os

from tests.support.fleet import Device, network, publish

GOOD_1 = b"good 1" + os.urandom(300_000)
GOOD_2 = b"good 2" + GOOD_1[:200_000] + os.urandom(100_000)
BAD = b"bad" + os.urandom(50_000)


def test_a_devices_life(tmp_path, maker, chain, embedded_node, relay):
    reached = network(rpc=[chain.url], gateways=[embedded_node.gateway], relay=relay)
    online = Device(tmp_path / "online", maker, network=reached)
    publish(maker, "1.0.0", 1, GOOD_1)
    assert online.ok("check", code=10)["version"] == "1.0.0"

    assert online.ok("install")["slot"] == "b"
    assert online.slot("b")[: len(GOOD_1)] == GOOD_1
    assert online.ok("status")["pending_events"] == 0, (
        "baseline and installed are on the ledger before the reboot"
    )
    assert online.ok("boot")["phase"] == "confirmed"
    assert online.ok("status")["pending_events"] == 0

    publish(maker, "1.1.0", 2, BAD)
    online.ok("install")
    assert online.ok("boot", code=4)["reason"] == "health-failed"
    assert online.ok("check", code=1)["reason"] == "already-failed"
    assert online.ok("report")["pending"] == 0

    publish(maker, "1.2.0", 3, GOOD_2)
    maker.run("bundle", "make", "--channel", "stable", "--out", tmp_path / "stick.car")
    offline = Device(tmp_path / "offline", maker, network="")
    assert offline.ok("install", "--bundle", tmp_path / "stick.car")["version"] == "1.2.0"
    assert offline.ok("boot")["phase"] == "confirmed"
    assert offline.slot("b")[: len(GOOD_2)] == GOOD_2
    assert offline.ok("receipts", "export", tmp_path / "offline.receipts")["events"] == 3
    maker.run("receipts", "submit", tmp_path / "offline.receipts", "--yes")
    maker.run("receipts", "submit", tmp_path / "offline.receipts", "--yes")

    online.ok("install")
    assert online.slot("a")[: len(GOOD_2)] == GOOD_2
    maker.run("release", "revoke", "releases/1.2.0", "--reason", "7", "--yes")
    assert online.ok("boot", code=4)["reason"] == "revoked", "it asks once more before it confirms"
    assert online.ok("check", code=1)["reason"] == "revoked"
    assert online.ok("report")["pending"] == 0
    assert online.ok("status")["address"] != offline.ok("status")["address"]
