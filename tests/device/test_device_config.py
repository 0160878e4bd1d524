"""device.toml is strict: what is wrong is refused by name."""

from pathlib import Path

import pytest

from device_verifier.config import load_config, parse_config
from device_verifier.errors import UsageError
from device_verifier.facts import InstallMode, Window

GOOD = """
trust_root = "trust-root"
compatible = "acme,cam-2"
hw_revision = "C2"
arch = "aarch64"
group = 7

[[rpc]]
url = "http://127.0.0.1:8545/"

[[gateway]]
url = "https://gw.example/ipfs"

[slot.rootfs]
a = "a.img"
b = "/dev/disk/by-partlabel/rootfs-b"

[bootloader]
kind = "simulated"
state = "boot.json"

[install]
mode = "consent"

[[install.window]]
days = ["sat", "sun"]
start = "23:30"
end = "04:00"

[[health]]
name = "app"
command = ["/usr/bin/true"]
"""


def edited(old, new):
    assert old in GOOD
    return GOOD.replace(old, new).encode()


def refused(data, base=Path("/etc/fwledger")):
    with pytest.raises(UsageError) as caught:
        parse_config(data, base=base)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("group = 7", 'group = 7\ngruop = "x"', "gruop"),
        ("group = 7", 'group = 7\nchannel = "stable"', "expected at most one of group and channel, got both"),
        ("group = 7", "group = 16777216", "expected a whole number from 0 to 16777215, got 16777216"),
        ("group = 7", "group = true", "group: expected a whole number"),
        ("group = 7", 'group = "7"', "group: expected a whole number"),
        ('arch = "aarch64"', "", "arch: expected a value, got nothing"),
        ('arch = "aarch64"', 'arch = ""', "arch: expected printable text"),
        ('arch = "aarch64"', f'arch = "{"x" * 257}"', "arch: expected printable text"),
        ('arch = "aarch64"', 'arch = "a\\u0000b"', "arch: expected printable text"),
        ('trust_root = "trust-root"', "trust_root = 1", "trust_root: expected a path, got 1"),
        ('"http://127.0.0.1:8545/"', '"ftp://127.0.0.1"', "rpc[0]: url: expected an http or https URL"),
        ('"http://127.0.0.1:8545/"', '"http://"', "rpc[0]: url"),
        ('"http://127.0.0.1:8545/"', '"http://h:99999"', "rpc[0]: url"),
        ("[[rpc]]\nurl", "[[rpc]]\nuri", "rpc[0]: url: expected a value"),
        ("[[rpc]]", "[rpc]", "rpc: expected at most 16 tables [[rpc]]"),
        ('a = "a.img"', "", "slot.rootfs: a: expected a value"),
        ('a = "a.img"', 'a = "a.img"\nc = "c.img"', "only the keys a, b, got c"),
        ("[slot.rootfs]", '[slot."../x"]', "expected a class of a-z"),
        ('a = "a.img"', 'a = "/dev/disk/by-partlabel/rootfs-b"', "one path twice"),
        ('kind = "simulated"', 'kind = "grub2"', "kind: expected simulated, got 'grub2'"),
        (
            'state = "boot.json"',
            'state = "boot.json"\ntries = 0',
            "tries: expected a whole number from 1 to 99",
        ),
        ('mode = "consent"', 'mode = "manual"', "expected automatic or consent"),
        ('start = "23:30"', 'start = "24:00"', "a time of day in UTC"),
        ('days = ["sat", "sun"]', 'days = ["sat", "son"]', "got son"),
        ('days = ["sat", "sun"]', "days = []", "got none"),
        (
            'command = ["/usr/bin/true"]',
            'command = ["true"]',
            "expected an absolute path and its arguments, got true",
        ),
        ('command = ["/usr/bin/true"]', 'command = "true"', "command: expected a list"),
        (
            'command = ["/usr/bin/true"]',
            'command = ["/x"]\ntimeout_s = 0',
            "timeout_s: expected a whole number",
        ),
        (
            'command = ["/usr/bin/true"]',
            'command = ["/x"]\n[poll]\ninterval_s = 1',
            "interval_s: expected a whole",
        ),
        ('[bootloader]\nkind = "simulated"\nstate = "boot.json"', "", "bootloader: expected a value"),
    ],
)
def test_what_is_wrong_is_named(old, new, message):
    assert message in refused(edited(old, new))


def test_a_misspelt_url_is_shown_without_its_password():
    text = refused(edited('"http://127.0.0.1:8545/"', '"htp://user:hunter2@node.example"'))
    assert "node.example" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "data", [b"\xff", b"a = ", b"a = 1\na = 2", b"#" * 300_000, b"a = " + b"[" * 100_000]
)
def test_what_is_not_toml_is_refused(data):
    refused(data)


def test_a_config_without_slots_is_refused():
    assert "at least one [slot.CLASS]" in refused(
        edited('[slot.rootfs]\na = "a.img"\nb = "/dev/disk/by-partlabel/rootfs-b"', "")
    )


def test_a_missing_file_says_how_to_name_another(tmp_path):
    with pytest.raises(UsageError) as caught:
        load_config(tmp_path / "device.toml")
    assert "No such file" in str(caught.value)
    assert "FWLEDGER_DEVICE_CONFIG" in caught.value.hint


def test_a_whole_config_is_read(tmp_path):
    (tmp_path / "device.toml").write_text(GOOD)
    config = load_config(tmp_path / "device.toml")
    assert config.trust_root == tmp_path / "trust-root"
    assert config.state_dir == Path("/var/lib/fwledger")
    assert config.device_key == Path("/var/lib/fwledger/device.key")
    assert config.rpc_urls == ("http://127.0.0.1:8545",)
    assert config.slots.target("a", "rootfs").path == tmp_path / "a.img"
    assert config.slots.target("b", "rootfs").path == Path("/dev/disk/by-partlabel/rootfs-b")
    assert config.install.mode is InstallMode.CONSENT
    assert config.install.windows == (Window(frozenset({5, 6}), 23 * 60 + 30, 4 * 60),)
    assert (config.bootloader.tries, config.clock, config.group, config.channel) == (3, True, 7, None)
    assert config.health[0].command == ("/usr/bin/true",)


IMAGE = "\n[image]\nbuilt_at = 1795219200\nblock = 12\nblock_time = 1795219100\n"


def test_an_images_floor_is_read_whole_and_may_be_a_time_alone():
    parsed = parse_config((GOOD + IMAGE).encode(), base=Path("/"))
    assert (parsed.image.built_at, parsed.image.block, parsed.image.block_time) == (
        1795219200,
        12,
        1795219100,
    )
    alone = parse_config((GOOD + "\n[image]\nbuilt_at = 5\n").encode(), base=Path("/"))
    assert (alone.image.built_at, alone.image.block) == (5, 0)
    assert parse_config(GOOD.encode(), base=Path("/")).image is None


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("block = 12\n", "", "block and block_time"),
        ("built_at = 1795219200\n", "", "image"),
        ("built_at = 1795219200", "built_at = -1", "built_at"),
        ("built_at = 1795219200", 'built_at = "yesterday"', "built_at"),
        ("block = 12", "block = 9223372036854775808", "block"),
        ("block_time = 1795219100", "block_time = 1795305601", "block_time"),
    ],
)
def test_an_images_floor_that_nobody_meant_is_refused(old, new, named):
    assert old in IMAGE
    assert named in refused((GOOD + IMAGE.replace(old, new)).encode())
