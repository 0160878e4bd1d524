"""`fwledger-device` as a person sees it: transcripts over real HTTP sources, failures first."""

import json
import stat
import subprocess
import sys
from contextlib import ExitStack

import pytest

from device_verifier.cli import main
from device_verifier.cli.arguments import make_parser
from device_verifier.reporter import Statement
from ledger_protocol.report.document import Stage
from ledger_protocol.report.enrolment import EnrolmentRequest, serial_commitment
from ledger_protocol.report.event import EventKind, chain_link, event_digest
from ledger_protocol.report.reasons import Reason
from ledger_protocol.report.receipts import Receipts
from tests.sim.device import SimDevice
from tests.sim.repository import CHAIN_ID, JOURNAL
from tests.sim.servers import Gateway, Node, Relay, http_server

GOOD = {"rootfs": b"good image" + bytes(5_000)}
BAD = {"rootfs": b"bad image" + bytes(5_000)}


class ReceiptsRelay(Relay):
    """A relay that also brings receipts to the journal, or only says that it did."""

    def __init__(self, repository):
        super().__init__(repository)
        self.status, self.records, self.received, self.down = 200, True, [], False

    def __call__(self, method, path, body):
        if self.down:
            return 503, b"down"
        if method == "GET":
            return super().__call__(method, path, body)
        assert path == "/fwledger/v1/receipts"
        receipts = Receipts.decode(body)
        events = receipts.verify(chain_id=CHAIN_ID, journal=JOURNAL)
        self.received.append([signed.event for signed in events])
        if self.status == 200 and self.records:
            last = events[-1].event
            link = chain_link(event_digest(last, chain_id=CHAIN_ID, journal=JOURNAL))
            self.repository.enrol(receipts.device, sequence=last.sequence, head=link[:20])
            self.repository.seal()
        return self.status, b"ok"


class Site:
    """A device whose sources are real servers on loopback."""

    def __init__(self, path, stack, capsys, *, extra=""):
        self.capsys = capsys
        self.device = SimDevice.make(path)
        self.repository = self.device.repository
        self.relay = ReceiptsRelay(self.repository)
        self.node, self.gateway = Node(self.repository), Gateway(self.repository.blocks)
        urls = [stack.enter_context(http_server(s)) for s in (self.node, self.gateway, self.relay)]
        self.config = path / "device.toml"
        health = f'[[health]]\nname = "app"\ncommand = ["/bin/sh", "-c", "! grep -q bad {path}/rootfs.b"]\n'
        head = f'clock = false\nrelay = "{urls[2]}"\n'
        tail = f'[[rpc]]\nurl = "{urls[0]}"\n[[gateway]]\nurl = "{urls[1]}"\n{health}{extra}'
        self.config.write_text(head + self.config.read_text() + tail)

    def __call__(self, *argv, quiet=True):
        """Run a command; return (exit code, stdout, stderr)."""
        quietly = ["--quiet"] if quiet else []
        code = main(["--config", str(self.config), *quietly, *argv])
        out, err = self.capsys.readouterr()
        return code, out, err

    def json(self, *argv):
        code, out, _ = self("--output-format", "json", *argv)
        return code, json.loads(out)


@pytest.fixture
def site(tmp_path, capsys):
    with ExitStack() as stack:
        yield Site(tmp_path / "device", stack, capsys)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["frobnicate"],
        ["install", "--bundle"],
        ["--output-format", "xml", "status"],
        ["receipts"],
        ["log", "--limit", "x"],
    ],
)
def test_a_wrong_command_line_is_two_lines_and_exit_code_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: see `fwledger-device")


def test_the_version_is_printed_without_a_config(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("fwledger-device, version ")


def test_a_missing_config_is_exit_code_2(tmp_path, capsys):
    assert main(["--config", str(tmp_path / "none.toml"), "status"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert (
        error
        == f"error: {tmp_path / 'none.toml'}: expected a readable file, got No such file or directory [usage]"
    )
    assert "FWLEDGER_DEVICE_CONFIG" in hint


def test_the_environment_names_the_config(site, monkeypatch, capsys):
    monkeypatch.setenv("FWLEDGER_DEVICE_CONFIG", str(site.config))
    assert main(["--quiet", "status"]) == 0
    assert "slot a runs" in capsys.readouterr().out


def test_a_device_without_a_key_is_told_to_enrol(site):
    site.device.config.device_key.unlink()
    code, out, err = site("check")
    assert (code, out) == (2, "")
    assert "hint: run `fwledger-device enrol` once" in err


def test_a_key_that_others_can_read_is_refused(site):
    site.device.config.device_key.chmod(0o644)
    code, _, err = site("check")
    assert code == 2
    assert "expected mode 0600, got mode 0644" in err


@pytest.mark.parametrize(
    "content", [b"", b"not pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_key_is_refused(site, content):
    key = site.device.config.device_key
    key.write_bytes(content)
    assert site("check")[0] == 2


def test_a_trust_root_that_is_not_one_is_refused(site):
    (site.device.path / "trust-root").write_bytes(b"trust me")
    code, _, err = site("check")
    assert code == 2
    assert "expected the manufacturer's signed trust root" in err


def test_a_dead_network_is_exit_code_3_with_every_source_named(site):
    site.node.refused = {"debug_getRawHeader", "eth_getBlockByNumber"}
    site.relay.down = True
    code, out, err = site("check")
    assert (code, out) == (3, "")
    assert err.splitlines()[0].endswith("[source-unreachable]")


def test_a_bundle_that_is_not_there_is_exit_code_3(site):
    code, _, err = site("install", "--bundle", "/nowhere/stick.car")
    assert code == 3
    assert "hint: check the path and the medium" in err


def test_a_refused_release_is_exit_code_1_and_status_says_why(site):
    site.device.release(compatible="acme,toaster")
    code, out, _ = site("install")
    assert (code, out) == (1, "nothing installed: incompatible: the release is for other hardware\n")
    code, out, _ = site("status", "--detailed")
    assert code == 0
    assert "incompatible" in out


def test_status_says_why_nothing_was_installed(site):
    site.device.release(images=GOOD)
    site.repository.halt()
    site.repository.seal()
    assert (
        site("install")[1] == "nothing installed: halted: the channel is halted: nobody installs its head\n"
    )
    _, document = site.json("status")
    assert document["last_check"]["reason"] == "halted"
    assert "halted: the channel is halted" in site("status")[1]


def test_a_full_file_system_for_the_request_is_named(site):
    code, _, err = site("enrol", "--output", "/proc/enrolment.cbor")
    assert code == 4
    assert "name another file with --output" in err


def test_errors_are_documents_for_programs(site):
    site.device.config.device_key.unlink()
    code, document = site.json("check")
    assert (code, document["schema"], document["reason"]) == (2, "fwledger/device-error/1", "usage")


def test_a_refusal_says_to_programs_how_far_it_came(site):
    site.device.repository.seal(signers=[0, 1])
    code, document = site.json("check")
    assert (code, document["reason"]) == (1, "header-quorum")
    assert [(step["check"], step["ok"]) for step in document["steps"]] == [("V0", True), ("V1", False)]


def test_a_reboot_needs_to_be_simulated(site):
    code, _, err = site("reboot")
    assert code == 2
    assert "systemctl reboot" in err


def test_consent_without_a_question_is_refused(site):
    assert site("consent")[0] == 2


def test_report_without_a_relay_names_the_file_way(site):
    site.config.write_text(
        site.config.read_text().replace("relay = ", "serial_ = ").replace('serial_ = "http', '# "http')
    )
    code, _, err = site("report")
    assert code == 2
    assert "receipts export" in err


def test_a_device_that_is_not_enrolled_is_told_so(site):
    site.repository.journal_words.clear()
    site.repository.seal()
    code, _, err = site("report")
    assert code == 2
    assert "[not-enrolled]" in err


def test_a_relay_that_refuses_loses_nothing(site):
    site.device.release(images=GOOD)
    site.relay.status = 500
    code, _, err = site("install")
    assert code == 0
    assert "note: not reported yet: " in err
    assert len(site.device.events()) == 2


def test_a_relay_that_only_says_ok_loses_nothing(site):
    site.device.release(images=GOOD)
    site.relay.records = False
    assert site("install")[0] == 0
    assert site("report")[0] == 3
    site.relay.records = True
    assert site("report")[:2] == (0, "2 events proven to be on the ledger, 0 pending\n")
    assert site.device.events() == []


def test_a_long_queue_goes_in_parts_that_a_relay_takes(site):
    statement = Statement(EventKind.REJECTED, b"r" * 32, Stage.VERIFY, Reason.INCOMPATIBLE)
    with site.device.agent() as agent:
        for _ in range(150):
            with agent.store.change() as change:
                agent.say(change, statement)
    assert site("report")[:2] == (0, "151 events proven to be on the ledger, 0 pending\n")
    assert [len(part) for part in site.relay.received] == [64, 64, 23]


def test_a_health_check_cannot_paint_the_terminal(site):
    config = site.config.read_text()
    site.config.write_text(config.replace("! grep -q bad", "printf '\\\\033[31mred\\\\007'; ! grep -q bad"))
    site.device.release(images=BAD)
    site("install")
    code, out, _ = site("boot")
    assert code == 4
    assert "red" in out
    assert "\x1b" not in out
    assert "\x1b" not in site("status", "--detailed")[1]


def test_a_foreign_head_stops_the_reports_and_keeps_them(site):
    site.device.release(images=GOOD)
    site.relay.status = 500
    site("install")
    site.repository.enrol(site.device.address, sequence=9, head=b"x" * 20)
    site.repository.seal()
    code, _, err = site("report")
    assert code == 1
    assert "[foreign-head]" in err
    assert len(site.device.events()) == 2


def test_a_new_key_begins_a_history_of_its_own(site, tmp_path):
    site.device.release(images=GOOD)
    site.relay.status = 500
    site("install")
    old = site.device.address
    site.device.config.device_key.rename(tmp_path / "old.key")
    assert site("status")[1].startswith("device   without a key")
    assert site("enrol", "--output", str(tmp_path / "device.request"))[0] == 0
    site.repository.enrol(site.device.address)
    site.repository.seal()
    site.relay.status = 200
    assert site.device.address != old
    assert site("report")[:2] == (0, "1 event proven to be on the ledger, 0 pending\n")
    assert site.json("status")[1]["pending_events"] == 0


def test_a_wiped_state_file_goes_on_from_the_journals_word(site):
    site.device.release(images=GOOD)
    site("install")
    for path in site.device.config.state_dir.glob("state.db*"):
        path.unlink()
    site.relay.status = 500
    site.device.release(3, images=GOOD)
    site("install")
    events = site.device.events()
    assert [event.sequence for event in events] == [3, 4]
    assert site.relay.received[0][-1].sequence == 2
    site.relay.status = 200
    assert site("report")[:2] == (0, "2 events proven to be on the ledger, 0 pending\n")


def test_enrol_makes_a_private_key_and_a_request_that_proves_it(site, tmp_path):
    key, request = site.device.config.device_key, tmp_path / "request.cbor"
    key.unlink()
    code, document = site.json("enrol", "--output", str(request))
    assert (code, document["key_made"]) == (0, True)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    decoded = EnrolmentRequest.decode(request.read_bytes())
    assert "0x" + decoded.device.hex() == document["address"]
    assert decoded.commitment == serial_commitment("0001", bytes.fromhex(document["serial_salt"]))
    before = request.read_bytes()
    code, again = site.json("enroll", "--output", str(request))
    assert (again["key_made"], again["address"]) == (False, document["address"])
    assert (
        EnrolmentRequest.decode(request.read_bytes()).commitment == EnrolmentRequest.decode(before).commitment
    )


def test_a_whole_update_from_the_command_line(site):
    code, out, _ = site("check")
    assert code == 0
    assert out.splitlines() == [
        # The machine's clock is years behind the chain's.
        "this is the ledger at block 100 of 2027-01-15T08:00:00Z: age unknown (no clock)",
        "nothing to install: up-to-date: the device runs the channel's head",
    ]
    release = site.device.release(images=GOOD)
    code, out, _ = site("check", "--explain")
    assert code == 10
    lines = out.splitlines()
    assert lines[-1] == f"version 1.2 (0x{release.id.hex()}) may be installed"
    assert {line.split()[0] for line in lines[:-1]} >= {
        "V0",
        "V1",
        "V2",
        "V3",
        "V4",
        "V5",
        "V6",
        "V7",
        "V8",
        "V9",
    }
    assert all(line.split()[1] == "ok" for line in lines[:-2])
    code, out, err = site("install", quiet=False)
    assert (code, out) == (0, "version 1.2 is in slot b and starts at the next boot\n")
    assert err.splitlines() == [
        "asking for the newest proof",
        f"fetching rootfs ({len(GOOD['rootfs'])} bytes)",
        "asking again for the newest proof",
        "slot b is armed: version 1.2 starts at the next boot",
        "sending 2 events",
    ]
    assert site("boot")[:2] == (0, "slot b runs and is confirmed\n")
    code, status = site.json("status")
    assert (status["phase"], status["running"], status["pending_events"]) == ("confirmed", "b", 0)
    assert [e.kind.name for received in site.relay.received for e in received] == [
        "BASELINE",
        "INSTALLED",
        "CONFIRMED",
    ]
    code, out, _ = site("log")
    assert [line.split()[1] for line in out.splitlines()] == [
        "factory", "offered", "downloading", "staged", "armed", "trial", "confirmed",
    ]  # fmt: skip


ALL_CHECKS = [f"V{number}" for number in range(10)]


def explained(text):
    """The lines of an explanation: (check, how it went)."""
    return [tuple(line.split()[:2]) for line in text.splitlines() if line.startswith("V")]


@pytest.mark.parametrize(
    ("spoil", "stopped", "missing"),
    [
        (lambda site: site.repository.seal(signers=[0]), "V1", ALL_CHECKS[2:]),
        (
            lambda site: site.repository.announce_root(b"\x01" * 32) or site.repository.seal(),
            "V4",
            ALL_CHECKS[5:],
        ),
        (lambda site: site.repository.halt() or site.repository.seal(), "V5", ALL_CHECKS[6:9]),
    ],
    ids=["forged header", "missing root", "halted"],
)
def test_an_explanation_names_every_check_and_those_that_it_did_not_come_to(site, spoil, stopped, missing):
    site.device.release(images=GOOD)
    site.relay.down = True
    spoil(site)
    _, out, err = site("check", "--explain")
    lines = explained(out + err)
    assert {check for check, _ in lines} == set(ALL_CHECKS)
    assert [check for check, how in lines if how == "--"] == missing
    assert stopped in {check for check, how in lines if how == "NO"}
    assert "what to do: " in out or "hint: " in err


def test_an_explanation_where_nobody_answers_names_every_check_too(site):
    site.node.refused = {"eth_getProof"}
    site.relay.down = True
    code, _, err = site("check", "--explain")
    assert code == 3
    assert {check for check, _ in explained(err)} == set(ALL_CHECKS)


def test_an_unhealthy_update_falls_back_on_the_command_line(site):
    site.device.release(images=BAD)
    site("install")
    code, out, _ = site("reboot", "--simulate")
    assert code == 4
    assert out.splitlines() == [
        "health check app failed: exit code 1",
        "fell back to slot a: health-failed: the new release did not pass the health check",
    ]
    assert [e.kind.name for received in site.relay.received for e in received][-1] == "REVERTED"
    assert site("check")[0] == 1
    assert site("boot")[:2] == (0, "slot a runs\n")


def test_a_slot_that_hangs_uses_up_its_tries(site):
    site.device.release(images=GOOD)
    site("install")
    assert [site("boot", "--hang")[0] for _ in range(3)] == [4, 4, 4]
    code, out, _ = site("boot")
    assert (code, out) == (
        4,
        "fell back to slot a: boot-failed: the new release never came up and the boot loader fell back\n",
    )


def test_receipts_go_home_by_file(site, tmp_path):
    bundle = site.device.bundle(site.device.release(images=GOOD))
    assert site("install", "--bundle", str(bundle))[0] == 0
    file = tmp_path / "receipts.cbor"
    assert site("receipts", "export", str(file))[0] == 0
    events = [
        signed.event
        for signed in Receipts.decode(file.read_bytes()).verify(chain_id=CHAIN_ID, journal=JOURNAL)
    ]
    assert [event.kind.name for event in events] == ["BASELINE", "INSTALLED"]
    assert len(site.device.events()) == 2, "a file is no proof"
    site.device.record(events)
    assert site("report")[:2] == (0, "2 events proven to be on the ledger, 0 pending\n")
    assert site("receipts", "export", str(file))[0] == 2


def test_consent_lets_the_next_install_go(site):
    site.config.write_text(site.config.read_text() + '\n[install]\nmode = "consent"\n')
    site.device.release(images=GOOD)
    assert site("install")[1].startswith("nothing installed: needs-consent")
    assert site("consent")[0] == 0
    assert site("install")[1].startswith("version 1.2 is in slot b")


def test_run_installs_and_stops_for_the_reboot(site):
    site.device.release(images=GOOD)
    assert site("run", "--rounds", "1")[1] == "version 1.2 is in slot b and starts at the next boot\n"


def test_run_outlives_a_dead_network(site):
    site.node.refused = {"debug_getRawHeader", "eth_getBlockByNumber"}
    site.relay.down = True
    code, out, err = site("run", "--rounds", "1", quiet=False)
    assert (code, out) == (0, "1 rounds done\n")
    assert "[source-unreachable]" in err


def test_status_for_shells_can_be_sourced(site):
    _, out, _ = site("--output-format", "shell", "status")
    shown = subprocess.run(
        ["/bin/sh", "-c", out + "\necho $FWLEDGER_SLOTS_A_STATE $FWLEDGER_RUNNING"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "good a\n"


def test_status_facts_are_what_release_check_reads(site):
    code, out, _ = site("status", "--facts")
    assert code == 0
    assert json.loads(out)["schema"] == "fwledger/device-facts/1"


def test_status_works_beside_an_install(site):
    with site.device.agent():
        assert site("status")[0] == 0


def test_every_command_has_help_with_an_example_at_the_top(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "fwledger-device install --bundle stick.car" in out
    assert "10 update available" in out
    assert make_parser().prog == "fwledger-device"


def test_the_command_loads_nothing_that_a_device_does_not_have(site):
    code = (
        "import sys\n"
        "from device_verifier.cli import main\n"
        f"main(['--config', {str(site.config)!r}, '--quiet', 'check'])\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(tops))\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(eval(shown.stdout.splitlines()[-1]))  # a list that we just printed
    # cffi and its parser come with cryptography and pycryptodome.
    allowed = {
        "cffi",
        "pycparser",
        "device_verifier",
        "ledger_protocol",
        "cryptography",
        "Crypto",
        "Cryptodome",
        "zstandard",
        "_cffi_backend",
    }
    third_party = {n for n in loaded if n not in sys.stdlib_module_names and not n.startswith("_")}
    assert third_party <= allowed
