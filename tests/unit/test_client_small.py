"""Small pieces: image options, runs of events, where blocks of a bundle's parts lie."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_client.bundles import parts_of
from ledger_client.cli.words import percent, read_release_id, utc
from ledger_client.deploy import created_address
from ledger_client.errors import NotTrustedError, UsageError
from ledger_client.images import ImageSpec
from ledger_client.journal import MAX_QUEUE, MAX_QUEUE_RELEASES, runs
from ledger_client.receipts import recovery_of
from ledger_protocol.report import device_key
from ledger_protocol.report.event import EventKind, SignedEvent, UpdateEvent


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=x.img",
        "a=",
        "a=x.img,slot",
        "a=x.img,slot=",
        "a=x.img,read_only=yes",
        "a=x.img,colour=red",
        "a=x.img,",
    ],
)
def test_an_image_that_is_not_described_rightly_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="image"):
        ImageSpec.parse(text, arch="aarch64")


def test_an_image_takes_its_name_from_its_file_and_its_slot_from_its_name() -> None:
    spec = ImageSpec.parse("out/rootfs.v2.img", arch="aarch64")
    assert (spec.name, spec.path, spec.slot_class, spec.arch) == (
        "rootfs",
        Path("out/rootfs.v2.img"),
        "rootfs",
        "aarch64",
    )
    spec = ImageSpec.parse("mcu=fw.bin,slot=app,handler=command,arch=cortex-m4,read_only", arch="aarch64")
    assert (spec.slot_class, spec.handler, spec.arch, spec.read_only) == ("app", "command", "cortex-m4", True)


events = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5)), max_size=60)


@given(events)
def test_runs_keep_order_and_each_fits_one_call(steps: list[tuple[int, int]]) -> None:
    sequence, signed = 0, []
    for step, release in steps:
        sequence += step
        event = UpdateEvent(
            release=bytes([release]) * 32,
            sequence=sequence,
            kind=EventKind.REJECTED,
            time=0,
            detail=bytes(32),
            previous=bytes(32),
        )
        signed.append(SignedEvent(event, bytes(64)))
    cut = runs(signed)
    assert [one for run in cut for one in run] == signed
    for run in cut:
        numbers = [one.event.sequence for one in run]
        assert numbers == list(range(numbers[0], numbers[0] + len(run)))
        assert 0 < len(run) <= MAX_QUEUE
        assert len({one.event.release for one in run}) <= MAX_QUEUE_RELEASES


def test_the_recovery_id_is_found_and_another_device_has_none() -> None:
    found = set()
    for number in range(8):
        key = device_key.new_private_key()
        address = device_key.address_of(device_key.public_key_bytes(key))
        digest = bytes([number]) * 32
        signature = device_key.sign_digest(key, digest)
        found.add(recovery_of(digest, signature, device=address))
        with pytest.raises(NotTrustedError, match="is not of device"):
            recovery_of(digest, signature, device=bytes(20))
        with pytest.raises(NotTrustedError):
            recovery_of(digest, bytes(64), device=address)
    assert found <= {27, 28}


def test_addresses_of_contracts_follow_from_deployer_and_nonce() -> None:
    # The first two contracts of the first development account, as every Ethereum tool shows them.
    deployer = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")
    assert created_address(deployer, 0).hex() == "5fbdb2315678afecb367f032d93f642f64180aa3"
    assert created_address(deployer, 1).hex() == "e7f1725e7734ce288f8367e1bb143e90bb3f0512"


def test_all_parts_of_a_bundle_are_found_by_the_first(tmp_path: Path) -> None:
    names = ["s.car", "s.1.car", "s.2.car", "s.4.car"]
    for name in names:
        (tmp_path / name).touch()
    assert parts_of(tmp_path / "s.car") == [tmp_path / name for name in names[:3]]


def test_ids_times_and_shares_as_people_read_them() -> None:
    assert read_release_id("0x" + "ab" * 32) == read_release_id("ab" * 32) == b"\xab" * 32
    with pytest.raises(UsageError):
        read_release_id("ab" * 31)
    assert utc(1_700_000_000) == "2023-11-14 22:13:20 UTC"
    assert (percent(10_000), percent(250), percent(1)) == ("100 %", "2.5 %", "0.01 %")
