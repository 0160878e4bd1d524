"""Every input that fuzzing found worth keeping is replayed, and every decoder has a fuzz target. This needs no
atheris; `make fuzz` does.
"""

import importlib
import inspect
import pkgutil
import re
import time
import tracemalloc
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, chunks, joined

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
MAX_SECONDS = 2.0  # for one input, on a busy machine; the slowest takes 0.1 s on a quiet one
MAX_PEAK = 24 * 2**20  # bytes of memory for one input
DECODER = re.compile(
    r"(decode|parse|read|iter|open|verify|load|walk|join|prove|scalar|get|facts_from|from_(?!private)\w+|anchored)"
    r"|(proof|trust_roots|newest|at)$"
)
# What the pattern finds and is no decoder of foreign bytes.
NOT_FOREIGN = {
    "ledger_protocol.content.car.Readable.read": "the interface of a stream",
    "device_verifier.anchors.read_anchor_proof": "gives a file's bytes on, unread",
    "device_verifier.assembly.open_agent": "opens the device's own files",
    "device_verifier.assembly.open_bundle_sources": "opens bundle.Bundle",
    "device_verifier.bootloaders.interface.BootLoader.get_primary": "an interface",
    "device_verifier.bootloaders.interface.BootLoader.get_state": "an interface",
    "device_verifier.bootloaders.simulated.SimulatedBootLoader.get_primary": "the device's own file",
    "device_verifier.bootloaders.simulated.SimulatedBootLoader.get_state": "the device's own file",
    "device_verifier.cli.checking.open_sources": "opens sources",
    "device_verifier.errors.readable": "writes text",
    "device_verifier.held.HeldBlocks.get": "gives back blocks that were verified",
    "device_verifier.identity.load_identity": "the device's own key file; test_device_bad_files feeds it",
    "device_verifier.memory.read_factory_root": "gives a file's bytes on, unread",
    "device_verifier.records.read_reason": "the device's own state file",
    "device_verifier.records.Install.from_row": "the device's own state file",
    "device_verifier.records.LogLine.from_row": "the device's own state file",
    "device_verifier.records.Refusal.from_row": "the device's own state file",
    "device_verifier.slots.readback.read_slot": "gives the slot's bytes on, unread",
    "device_verifier.slots.target.open_for_writing": "opens the device's own slot",
    "device_verifier.sources.BlockSource.get": "an interface",
    "device_verifier.sources.LedgerSource.proof": "an interface",
    "device_verifier.sources.LedgerSource.trust_roots": "an interface",
    "device_verifier.sources.bundle.Bundle.proof": "gives the bundle's bytes on, unread",
    "device_verifier.sources.bundle.Bundle.trust_roots": "gives the bundle's bytes on, unread",
    "device_verifier.sources.directory.Directory.get": "gives a file's bytes on, unread",
    "device_verifier.sources.directory.Directory.proof": "gives a file's bytes on, unread",
    "device_verifier.sources.directory.Directory.trust_roots": "gives files' bytes on, unread",
    "device_verifier.store.Store.trust_roots": "the device's own state file",
    "device_verifier.staging.read_back": "hashes the slot, reads nothing of it",
}


def _public_decoders(package):
    found = set()
    for info in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != info.name:
                continue
            members = {name: value}
            if inspect.isclass(value):
                members = {f"{name}.{inner}": one for inner, one in vars(value).items() if inner[0] != "_"}
            for path, one in members.items():
                function = one.__func__ if isinstance(one, classmethod | staticmethod) else one
                if inspect.isfunction(function) and DECODER.match(path.rpartition(".")[2]):
                    found.add(f"{info.name}.{path}")
    return found


DECODERS = _public_decoders("ledger_protocol") | _public_decoders("device_verifier")
COVERED = {name for target in TARGETS.values() for name in target.covers}
INPUTS = {name: sorted((CORPUS / name).glob("*")) for name in TARGETS}


def test_every_decoder_has_a_fuzz_target():
    assert DECODERS - COVERED - set(NOT_FOREIGN) == set()


def test_what_targets_and_exceptions_name_is_there():
    assert set() == COVERED - DECODERS
    assert set(NOT_FOREIGN) - DECODERS == set()
    assert not COVERED & set(NOT_FOREIGN)


def test_every_target_has_a_corpus_and_every_corpus_a_target():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(INPUTS.values())


def test_the_corpus_stays_small():
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 1_000_000


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_breaks_no_promise(name):
    run = TARGETS[name].run
    run(b"")
    for path in INPUTS[name]:
        data = path.read_bytes()
        started = time.process_time()
        run(data)
        assert time.process_time() - started < MAX_SECONDS, path.name


@pytest.mark.parametrize("name", TARGETS)
def test_valid_inputs_are_decoded_and_keep_every_promise(name):
    seeds = TARGETS[name].seeds()
    assert seeds
    for seed in seeds:
        TARGETS[name].run(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_of_64_kib_takes_much_memory(name):
    run = TARGETS[name].run
    run(b"")
    tracemalloc.start()
    try:
        for fill in (b"\0", b"\x80", b"\xc1", b"\x9f", b"[", b"\xf8\xff", b"\xff", b"\x81"):
            run(fill * (65_536 // len(fill)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MAX_PEAK


def test_a_target_that_meets_another_error_fails():
    with pytest.raises(TypeError):
        TARGETS["rlp"].run(None)


def test_pieces_of_an_input_come_back():
    assert chunks(joined(b"", b"a" * 300, b"b")) == [b"", b"a" * 300, b"b"]
