"""Health checks, hooks, and the commands beneath them: bounded in time and output, and never trusted to
behave.
"""

import json
import os
import time

import pytest

from device_verifier.commands import MAX_OUTPUT_BYTES, run_command
from device_verifier.health import HealthCheck, check_health
from device_verifier.hooks import HookStage, run_hooks
from ledger_protocol.report.reasons import Reason


def sh(script, timeout_s=10.0, stdin=b"", environment=None):
    return run_command(
        ["/bin/sh", "-c", script], timeout_s=timeout_s, environment=environment or {}, stdin=stdin
    )


def check(name, script, timeout_s=10.0):
    return HealthCheck(name, ("/bin/sh", "-c", script), timeout_s)


def test_a_command_that_is_not_there_fails():
    result = run_command(["/nowhere/tool"], timeout_s=1, environment={})
    assert (result.passed, result.exit_code) == (False, None)
    assert "cannot run /nowhere/tool" in result.output


def test_a_command_that_hangs_is_stopped_with_its_children():
    began = time.monotonic()
    result = sh("sleep 60 & sleep 60", timeout_s=0.2)
    assert not result.passed
    assert "stopped after 0.2 s" in result.output
    assert time.monotonic() - began < 10


def test_a_command_that_closes_its_output_and_hangs_is_stopped():
    assert not sh("exec >/dev/null 2>&1; sleep 60", timeout_s=0.2).passed


def test_a_flood_of_output_keeps_only_its_end():
    result = sh("head -c 3000000 /dev/zero | tr '\\0' x; echo the end")
    assert result.passed
    assert result.output.endswith("the end\n")
    assert len(result.output) <= MAX_OUTPUT_BYTES


def test_output_that_is_not_text_does_not_matter():
    assert sh("printf '\\377\\376'").passed


def test_the_environment_is_clean(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    assert "hunter2" not in sh("env").output
    assert "FWLEDGER_SLOT=b" in sh("env", environment={"FWLEDGER_SLOT": "b"}).output


def test_a_hook_need_not_read_its_input():
    assert sh("exit 0", stdin=bytes(1_000_000)).passed


def test_one_ill_check_is_enough():
    report = check_health(
        [check("good", "exit 0"), check("bad", "echo no camera; exit 3")],
        update_path=lambda: "",
        environment={},
    )
    assert report.reason is Reason.HEALTH_FAILED
    assert [(r.name, r.detail) for r in report.failed] == [("bad", "exit code 3: no camera")]


def test_only_cut_off_is_told_from_ill():
    report = check_health(
        [check("good", "exit 0")], update_path=lambda: "no gateway answered", environment={}
    )
    assert report.reason is Reason.CONNECTIVITY_LOST
    assert not report.healthy


def test_ill_and_cut_off_is_ill():
    report = check_health([check("bad", "exit 1")], update_path=lambda: "no gateway answered", environment={})
    assert report.reason is Reason.HEALTH_FAILED


def test_no_checks_but_the_built_in_one_is_healthy_when_it_can_still_be_updated():
    assert check_health([], update_path=lambda: "", environment={}).healthy


@pytest.fixture
def hooks(tmp_path):
    def add(stage, name, script, mode=0o755):
        directory = tmp_path / stage
        directory.mkdir(exist_ok=True, mode=0o755)
        path = directory / name
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(mode)
        return path

    return add


def run(tmp_path, stage, **arguments):
    return run_hooks(tmp_path, stage, {"release": "r1"}, environment={}, **arguments)


def test_a_hook_that_anyone_may_write_is_not_run(hooks, tmp_path):
    hooks("pre-install", "10-x", f"touch {tmp_path}/ran", mode=0o777)
    (result,) = run(tmp_path, HookStage.PRE_INSTALL)
    assert not result.passed
    assert "can be written by others" in result.detail
    assert not (tmp_path / "ran").exists()


def test_a_hook_of_another_user_is_not_run(hooks, tmp_path, monkeypatch):
    path = hooks("pre-install", "10-x", "exit 0")
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    else:
        # We cannot give our file away, so we become somebody else.
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "belongs to user" in run(tmp_path, HookStage.PRE_INSTALL)[0].detail


def test_a_hook_that_hangs_has_failed(hooks, tmp_path):
    hooks("health", "10-x", "sleep 60")
    assert not run(tmp_path, HookStage.HEALTH, timeout_s=0.2)[0].passed


def test_hooks_run_in_order_with_the_decision_on_stdin(hooks, tmp_path):
    hooks("pre-reboot", "20-second", f"echo second >> {tmp_path}/out")
    hooks("pre-reboot", "10-first", f"cat >> {tmp_path}/out; echo >> {tmp_path}/out")
    hooks("pre-reboot", "30-not-executable", "exit 1", mode=0o644)
    results = run(tmp_path, HookStage.PRE_REBOOT)
    assert [(r.name, r.passed) for r in results] == [("10-first", True), ("20-second", True)]
    first, second = (tmp_path / "out").read_text().splitlines()
    assert json.loads(first) == {"release": "r1", "stage": "pre-reboot"}
    assert second == "second"


def test_no_hooks_directory_is_no_hooks(tmp_path):
    assert run_hooks(None, HookStage.HEALTH, {}, environment={}) == ()
    assert run(tmp_path, HookStage.HEALTH) == ()
