"""An auditor against a real chain: an honest node, nodes that leave something out, and exports that were
touched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ledger_client.audit.statements import contract_abi
from ledger_client.config import load_config
from ledger_client.signers import dev_account
from ledger_protocol.content import dag_cbor
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.release.trust_root import SignedTrustRoot
from ledger_protocol.report.event import EventKind
from tests.support.device_twin import DeviceTwin
from tests.support.lying_rpc import lying_node

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.chain import RunningChain
    from tests.support.manufacturer import Manufacturer


def topic(contract: str, event: str) -> str:
    entry = next(e for e in contract_abi(contract) if e["type"] == "event" and e["name"] == event)
    return "0x" + keccak256(f"{event}({','.join(i['type'] for i in entry['inputs'])})".encode()).hex()


QUEUE = "0x" + keccak256(b"QueueRecorded(address,uint256,bytes32[],(uint256,bytes32)[])").hex()


@dataclass
class Told:
    """A manufacturer with a history: two releases, a halt, a revocation by a guardian, a device's events."""

    maker: Manufacturer
    twin: DeviceTwin
    releases: list[str]

    def audit(self, *arguments: str, code: int = 0, rpc: str | None = None) -> Any:
        node = [] if rpc is None else ["--rpc", rpc]
        line = ["audit", *arguments, "--trust-root", "trust-root.cbor", *node, "--json"]
        return self.maker.run(*line, expect=code).document


@pytest.fixture(scope="module")
def told(maker: Manufacturer, chain: RunningChain) -> Told:
    journal = load_config(maker.path / "fwledger.toml", environ={}).chain.journal
    assert journal is not None
    twin = DeviceTwin(chain.chain_id, journal)
    (maker.path / "twin.request").write_bytes(twin.request())
    maker.run("device", "enrol", "twin.request", "--group", "1", "--yes")
    releases = []
    for version, sequence in (("1.0.0", 1), ("1.1.0", 2)):
        folder = maker.signed(version, sequence, image=version.encode())
        made = maker.json("release", "publish", folder, "--channel", "stable", "--immediate", "--yes")
        releases.append(made["release"])
        release = bytes.fromhex(releases[-1][2:])
        for kind in (EventKind.INSTALLED, EventKind.CONFIRMED):
            twin.say(kind, release)
        (maker.path / f"{version}.receipts").write_bytes(twin.receipts(2 * sequence - 2))
        maker.run("receipts", "submit", f"{version}.receipts", "--skip-reports", "--yes")
    maker.run("channel", "halt", "stable", "--yes")
    maker.run("channel", "resume", "stable", "--yes")
    maker.run("release", "revoke", releases[0], "--reason", "7", "--yes")
    maker.run("channel", "create", "stable", "--group", "2", "--yes")
    maker.run("device", "retire", "0x" + twin.address.hex(), "--group", "2", "--yes")
    return Told(maker, twin, releases)


def test_an_honest_history_is_proved_whole(told):
    """Groups and devices that were placed raise a channel's epoch after its last act: that is no gap."""
    verdict = told.audit("verify")
    assert (verdict["gaps"], verdict["wrong"]) == ([], [])
    assert verdict["proved"] > verdict["statements"] > 10


@pytest.mark.parametrize(
    ("contract", "events", "named"),
    [
        ("FirmwareLedger", ["Published"], "acts were left out"),
        ("FirmwareLedger", ["Resumed"], "acts were left out"),
        ("FirmwareLedger", ["Halted"], "1 acts on channel"),
        ("FirmwareLedger", ["Revoked"], "it is revoked, and its revocation was left out"),
        ("FirmwareLedger", ["GroupAssigned"], "an assignment was left out"),
        ("FirmwareLedger", ["TrustRootSet"], "the announcement of"),
        ("UpdateJournal", ["Enrolled"], "has no enrolment in this history"),
        ("UpdateJournal", ["DevicesPlaced", "Placed"], "it was moved to group 2, retired"),
    ],
)
def test_a_log_that_a_node_withholds_is_named(told, chain, contract, events, named):
    hidden = {topic(contract, event) for event in events if event != "DevicesPlaced"}
    hidden |= {topic("FirmwareLedger", event) for event in events if event == "DevicesPlaced"}
    with lying_node(chain.url) as node:
        node.withhold_logs(lambda log: log["topics"][0] in hidden)
        verdict = told.audit("verify", rpc=node.url, code=1)
    assert "eth_getLogs" in node.asked
    assert any(named in gap for gap in verdict["gaps"]), verdict["gaps"]


@pytest.mark.parametrize(
    ("kept", "named"), [(0, "events 1 to 4 were left out"), (1, "events 3 to 4 were left out")]
)
def test_a_device_event_that_a_node_withholds_is_named(told, chain, kept, named):
    seen: list[str] = []

    def hidden(log):
        if log["topics"][0] != QUEUE:
            return False
        seen.append(log["transactionHash"])
        return len(set(seen)) > kept

    with lying_node(chain.url) as node:
        node.withhold_logs(hidden)
        verdict = told.audit("verify", rpc=node.url, code=1)
    assert [gap for gap in verdict["gaps"] if named in gap], verdict
    assert not verdict["wrong"]


def test_an_event_withheld_in_the_middle_is_a_gap_and_what_follows_is_still_proved(told, chain):
    seen: list[str] = []

    def hidden(log):
        if log["topics"][0] == QUEUE:
            seen.append(log["transactionHash"])
        return log["topics"][0] == QUEUE and log["transactionHash"] == seen[0]

    with lying_node(chain.url) as node:
        node.withhold_logs(hidden)
        verdict = told.audit("verify", rpc=node.url, code=1)
    assert len(verdict["gaps"]) == 1
    assert "events 1 to 2 of 0x" in verdict["gaps"][0]
    assert verdict["gaps"][0].endswith("are missing")
    assert verdict["wrong"] == []


def test_receipts_of_another_block_are_refused(told, chain):
    with lying_node(chain.url) as node:
        node.lies["eth_getBlockReceipts"] = lambda receipts: [
            {**one, "logs": [], "logsBloom": "0x" + "00" * 256} for one in receipts
        ]
        ran = told.maker.run(
            "audit", "verify", "--trust-root", "trust-root.cbor", "--rpc", node.url, expect=3
        )
    assert "receipts of block" in ran.err


@pytest.fixture(scope="module")
def export(told: Told) -> Path:
    told.maker.run("audit", "export", "--trust-root", "trust-root.cbor", "--output", "history.ndjson")
    return told.maker.path / "history.ndjson"


def altered(export: Path, lines: list[str]) -> str:
    export.with_name("altered.ndjson").write_text("".join(line + "\n" for line in lines))
    return "altered.ndjson"


def lines_of(export: Path) -> list[str]:
    return export.read_text().splitlines()


def test_an_export_is_proved_without_any_node(told, export):
    verdict = told.audit("verify", "--from", "history.ndjson", rpc="http://127.0.0.1:9")
    assert (verdict["gaps"], verdict["wrong"]) == ([], [])
    assert verdict["proved"] == told.audit("verify")["proved"]


def test_statements_in_an_export_are_never_believed(told, export):
    documents = [json.loads(line) for line in lines_of(export)]
    for document in documents:
        document.pop("statements", None)
    name = altered(export, [json.dumps(document) for document in documents])
    assert told.audit("verify", "--from", name)["proved"] > 0


@pytest.mark.parametrize("place", [0, 3, -1])
def test_a_proof_in_an_export_that_was_touched_proves_nothing_else(told, export, place):
    """Each tenth of it is touched. One of four seals, or a node that no path crosses, may be anything."""
    lines = lines_of(export)
    document = json.loads(lines[place])
    proof, whole, refused = document["proof"], told.audit("verify", "--from", "history.ndjson"), 0
    for tenth in range(1, 10):
        at = len(proof) * tenth // 10
        document["proof"] = proof[:at] + ("0" if proof[at] != "0" else "1") + proof[at + 1 :]
        touched = [*lines]
        touched[place] = json.dumps(document)
        line = ("audit", "verify", "--trust-root", "trust-root.cbor", "--json", "--from")
        ran = told.maker.run(*line, altered(export, touched), expect=None)
        if ran.code == 0:
            assert ran.document == whole
        refused += ran.code == 1
    assert refused > 0


@pytest.mark.parametrize("place", [0, -1])
def test_a_root_in_an_export_that_was_touched_is_refused(told, export, place):
    """What the seals cover, and every path of the proof begins at."""
    lines = lines_of(export)
    document = json.loads(lines[place])
    header = parse_header(dag_cbor.decode(bytes.fromhex(document["proof"]), max_bytes=1 << 20)["header"])
    for root in (header.receipts_root, header.state_root):
        other = bytes([root[0] ^ 1]) + root[1:]
        touched = {**document, "proof": document["proof"].replace(root.hex(), other.hex())}
        changed = [*lines]
        changed[place] = json.dumps(touched)
        verdict = told.audit("verify", "--from", altered(export, changed), code=1)
        assert verdict["wrong"]


def test_a_device_signature_in_an_export_that_was_touched_is_refused(told, export):
    lines = lines_of(export)
    at = next(i for i, line in enumerate(lines) if '"DeviceEvent"' in line)
    document = json.loads(lines[at])
    calldata = bytearray.fromhex(document["calldata"])
    r_word = 4 + 32 * 3  # releases, reports, previous, then r
    calldata[r_word + 31] ^= 1
    document["calldata"] = calldata.hex()
    lines[at] = json.dumps(document)
    verdict = told.audit("verify", "--from", altered(export, lines), code=1)
    assert any("no signature of 0x" in wrong for wrong in verdict["wrong"])


def test_calldata_that_does_not_decode_is_refused_not_a_crash(told, export):
    lines = lines_of(export)
    at = next(i for i, line in enumerate(lines) if '"DeviceEvent"' in line)
    document = json.loads(lines[at])
    for calldata in ("", document["calldata"][:200], document["calldata"][:8] + "ff" * 500):
        lines[at] = json.dumps({**document, "calldata": calldata})
        verdict = told.audit("verify", "--from", altered(export, lines), code=1)
        assert any("no signature of 0x" in wrong for wrong in verdict["wrong"])


def test_a_previous_that_is_no_link_is_a_finding_not_a_crash(told, export):
    """Devices and who carries their events choose it: low bits that are not zero shall end no audit."""
    lines = lines_of(export)
    first, second = (i for i, line in enumerate(lines) if '"DeviceEvent"' in line)
    document = json.loads(lines[second])
    calldata = bytearray.fromhex(document["calldata"])
    calldata[4 + 32 * 3 - 1] = 1  # releases, reports, previous
    lines[second] = json.dumps({**document, "calldata": calldata.hex()})
    del lines[first]
    verdict = told.audit("verify", "--from", altered(export, lines), code=1)
    assert any("event: previous" in wrong for wrong in verdict["wrong"]), verdict
    assert verdict["proved"]


def test_a_truncated_export_is_never_whole(told, export):
    """Cut after every line, and in the middle of the last: somebody left the end out."""
    lines = lines_of(export)
    for count in range(len(lines)):
        name = altered(export, lines[:count])
        verdict = told.audit("verify", "--from", name, code=1)
        assert verdict["gaps"]
    text = export.read_text()
    export.with_name("altered.ndjson").write_text(text[: len(text) - 40])
    ran = told.maker.run(
        "audit", "verify", "--trust-root", "trust-root.cbor", "--from", "altered.ndjson", expect=1
    )
    assert f"line {len(lines)}" in ran.err


def test_an_export_in_another_order_is_refused(told, export):
    lines = lines_of(export)
    swapped = [lines[0], lines[2], lines[1], *lines[3:]]
    assert any(
        "not in the ledger's order" in wrong
        for wrong in told.audit("verify", "--from", altered(export, swapped), code=1)["wrong"]
    )
    repeated = [lines[0], lines[0], *lines[1:]]
    verdict = told.audit("verify", "--from", altered(export, repeated), code=1)
    assert any("repeated" in wrong for wrong in verdict["wrong"])


def test_a_state_from_before_the_end_does_not_close_the_history(told, export, chain):
    """A node that is asked for an old height gives an honest, old state."""
    lines = lines_of(export)
    with lying_node(chain.url) as node:
        node.lies["eth_blockNumber"] = lambda newest: hex(int(newest, 16) - 3)
        told.maker.run(
            "audit", "export", "--trust-root", "trust-root.cbor", "--rpc", node.url, "--output", "old.ndjson"
        )
    states = [line for line in lines_of(export.with_name("old.ndjson")) if "audit-state" in line]
    receipts = [line for line in lines if "audit-receipt" in line]
    verdict = told.audit("verify", "--from", altered(export, receipts + states), code=1)
    assert any("come after it" in gap for gap in verdict["gaps"])


def test_a_wrong_fingerprint_or_trust_root_is_refused(told, export, tmp_path):
    digest = SignedTrustRoot.decode((told.maker.path / "trust-root.cbor").read_bytes()).digest.hex()
    told.audit("verify", "--from", "history.ndjson", "--fingerprint", digest)
    wrong = ("0" if digest[0] != "0" else "1") + digest[1:]
    err = told.maker.refused(
        "audit", "verify", "--trust-root", "trust-root.cbor", "--fingerprint", wrong, "--from",
        "history.ndjson", code=1,
    )  # fmt: skip
    assert err.startswith("error: fingerprint of the trust root: expected")
    assert "hint: " in err
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    for name in ("empty", "noise"):
        err = told.maker.refused("audit", "verify", "--trust-root", tmp_path / name, code=1)
        assert err.startswith("error: trust root")


def test_the_trust_root_of_another_manufacturer_proves_nothing_of_this_one(told, export, chain, tmp_path):
    from tests.support.manufacturer import deployed

    other = deployed(tmp_path / "other", rpc=chain.url)
    verdict = other.run(
        "audit", "verify", "--trust-root", "trust-root.cbor", "--from", export, "--json", expect=1
    ).document
    assert verdict["statements"] == 0
    assert len(verdict["wrong"]) == len(lines_of(export))


def test_the_timeline_says_who_and_what(told, chain):
    ran = told.maker.run("audit", "timeline", "--trust-root", "trust-root.cbor")
    revoked = next(line for line in ran.out.splitlines() if " revoked " in line)
    guardian = dev_account(0, chain_id=chain.chain_id).address
    assert f"0x{guardian.hex()[:8]} " in revoked
    mine = told.maker.run(
        "audit", "timeline", "--trust-root", "trust-root.cbor", "--device", "0x" + told.twin.address.hex()
    ).out
    assert [word for word in ("enrolled", "installed", "confirmed", "placed") if word in mine] == [
        "enrolled", "installed", "confirmed", "placed",
    ]  # fmt: skip
    assert "published" not in mine.split("last statement")[0]


def test_an_export_that_fails_leaves_the_file_that_was_there(told, export, chain):
    before = export.read_bytes()
    with lying_node(chain.url) as node:
        node.lies["eth_getBlockReceipts"] = lambda receipts: []
        node.lies["eth_getBlockByNumber"] = lambda block: None
        told.maker.run(
            "audit", "export", "--trust-root", "trust-root.cbor", "--rpc", node.url, "--output",
            "history.ndjson", expect=3,
        )  # fmt: skip
    assert export.read_bytes() == before
    assert not list(export.parent.glob(".history*"))


def test_what_programs_read_has_a_schema_and_labelled_times(told):
    verdict = told.audit("verify")
    assert verdict["schema"] == "fwledger/cli/audit-verify/1"
    assert set(verdict) == {
        "schema", "findings", "block", "ledger_time", "statements", "proved", "gaps", "wrong",
    }  # fmt: skip
    assert all(set(finding) == {"verdict", "where", "what"} for finding in verdict["findings"])
    timeline = told.audit("timeline")
    assert timeline["schema"] == "fwledger/cli/audit-timeline/1"
    assert len(timeline["rows"]) == timeline["statements"]
    for row in timeline["rows"]:
        assert set(row) == {"block", "ledger_time", "device_time", "who", "what", "release", "text"}
        assert (row["device_time"] is None) == (row["what"] not in ("installed", "confirmed"))
    standings = {(one["release"], one["last_statement"]) for one in timeline["standings"]}
    assert standings == {(release, "confirmed") for release in told.releases}
