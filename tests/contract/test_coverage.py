"""`make coverage` measures what the contracts' tests run; that it measures is tested here."""

from __future__ import annotations

import pytest

from tests.contract.actors import World, digest, refused
from tests.support.coverage import Tracer

STABLE = digest("stable")


@pytest.fixture(scope="module")
def compiled() -> Tracer:
    return Tracer()


@pytest.fixture
def tracer(compiled) -> Tracer:
    for trace in compiled.traces:
        trace.ran.clear()
        trace.went.clear()
    return compiled


def line(module: str, text: str) -> int:
    """The number of the only line of a module that reads so."""
    from contracts.compile import ROOT

    lines = (ROOT / "contracts" / module).read_text(encoding="utf-8").splitlines()
    (found,) = [number for number, read in enumerate(lines, 1) if read.strip() == text]
    return found


def test_what_does_not_run_is_missing_by_file_and_line(tracer):
    report = tracer.report()
    assert report.missing_statements == report.statements
    assert report.missing_arms == report.arms
    assert (
        f"modules/refuse.vy:{line('modules/refuse.vy', 'raise reason')}: never executed" in report.missing()
    )


def test_every_module_is_held(tracer):
    from contracts.compile import ROOT

    modules = {path.relative_to(ROOT / "contracts").as_posix() for path in ROOT.glob("contracts/**/*.vy")}
    assert {place.module for place in tracer.report().statements} == modules


def test_both_arms_of_an_if_are_told_apart(tracer, world: World):
    at = line("modules/devices.vy", "if msg.sender != ledger:")
    with tracer.watching():
        refused(world.send(world.anyone, world.journal, "place", [], 1, True), "caller is not the ledger")
    missing = tracer.report().missing()
    assert f"modules/devices.vy:{at}: `if` never false" in missing
    assert f"modules/devices.vy:{at}: `if` never true" not in missing
    assert f"modules/devices.vy:{at + 1}: never executed" not in missing
    assert f"modules/devices.vy:{at + 2}: never executed" in missing


def test_what_ran_before_and_after_the_watch_does_not_count(tracer, world: World):
    with tracer.watching():
        pass
    world.publish(STABLE, digest("release"), sequence=1)
    report = tracer.report()
    assert report.missing_statements == report.statements


def test_the_code_that_deploys_counts_too(tracer, world: World):
    module = "modules/governance.vy"
    at = line(module, "self._set_thresholds(publish_threshold, govern_threshold)")
    with tracer.watching():
        assert world.deploy("FirmwareLedger", *world.ledger_args(world.journal.address)).ok
    assert f"{module}:{at}: never executed" not in tracer.report().missing()
