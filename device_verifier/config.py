"""`device.toml`: what this device is, where its slots are, whom it asks, and when it may update.

Strict: an unknown key, a wrong type or a value out of bounds is refused by name, with what stands there. A
misspelt window must not become "any time".
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device_verifier.bootloaders.simulated import MAX_TRIES
from device_verifier.config_reader import Table, bad_config
from device_verifier.facts import InstallMode, Window
from device_verifier.freshness import MAX_CLOCK_LEAD_S
from device_verifier.headers import MAX_NUMBER
from device_verifier.health import HealthCheck
from device_verifier.slots.layout import SlotLayout
from ledger_protocol.limits import MAX_TIME_S, MAX_WITNESSES

__all__ = [
    "DEFAULT_CONFIG_PATH",
    "BootLoaderConfig",
    "DeviceConfig",
    "ImageFloor",
    "InstallConfig",
    "PollConfig",
    "load_config",
    "parse_config",
]

DEFAULT_CONFIG_PATH: Final = Path("/etc/fwledger/device.toml")
# A full example has 2 KiB; what is larger is not a configuration.
MAX_CONFIG_BYTES: Final = 256 * 1024
# More sources than this only make a failing check slow.
MAX_SOURCES: Final = 16
# As many as a trust root can pin.
MAX_WITNESS_URLS: Final = MAX_WITNESSES
# No board has more slot classes, windows or health checks than this.
MAX_SLOT_CLASSES: Final = 64
MAX_WINDOWS: Final = 32
MAX_CHECKS: Final = 32
MAX_ARGUMENTS: Final = 64
MAX_GROUP: Final = 2**24 - 1
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Seconds. A health check that needs over an hour would leave the device without an update path for as long.
MAX_HEALTH_TIMEOUT_S: Final = 3600
DEFAULT_HEALTH_TIMEOUT_S: Final = 60
# Seconds: once a minute is the most that a fleet should ask of a gateway, once in 30 days the least that is
# useful.
MIN_POLL_S: Final = 60
MAX_POLL_S: Final = 30 * 86_400
_TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_SLOT_CLASS: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class BootLoaderConfig:
    """Which boot loader, where its state is, and how many boots a new slot gets to prove itself."""

    kind: str
    state: Path
    tries: int


@dataclass(frozen=True, slots=True)
class PollConfig:
    """How often `run` checks: every `interval_s` seconds plus a random part of `jitter_s`."""

    interval_s: int
    jitter_s: int


@dataclass(frozen=True, slots=True)
class InstallConfig:
    """Who decides when: `mode`, maintenance `windows` (none: any time), and whether the old slot may still
    boot (`keep_fallback`) once it is below the rollback floor.
    """

    mode: InstallMode
    windows: tuple[Window, ...]
    keep_fallback: bool


@dataclass(frozen=True, slots=True)
class ImageFloor:
    """What was known when the image that runs was built: nothing older is believed, not even after a wipe.

    `built_at` is that day (Unix seconds); `block` and `block_time` the newest block then, both 0 where the
    builder did not say.
    """

    built_at: int
    block: int
    block_time: int


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """A whole device.toml. Paths are absolute, URLs http or https.

    The device follows `channel` or `group`; with neither, the group that the journal names for it.
    """

    state_dir: Path
    trust_root: Path
    compatible: str
    hw_revision: str
    arch: str
    group: int | None
    channel: str | None
    serial: str | None
    clock: bool
    """Whether the device's clock can be trusted to be set."""
    device_key: Path
    hooks_dir: Path | None
    image: ImageFloor | None
    factory_manifest: Path | None
    """The manifest block of the release that the factory wrote, if it left one."""
    rpc_urls: tuple[str, ...]
    witness_urls: tuple[str, ...]
    """Who serves witness notes, for nodes whose chain has no seals or whose trust root wants both."""
    gateway_urls: tuple[str, ...]
    relay_url: str | None
    slots: SlotLayout
    bootloader: BootLoaderConfig
    install: InstallConfig
    health: tuple[HealthCheck, ...]
    poll: PollConfig


def load_config(path: Path) -> DeviceConfig:
    """Read and check the configuration at `path`; relative paths in it count from its directory. Raises
    UsageError.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise bad_config(
            str(path),
            "a readable file",
            error.strerror or str(error),
            hint="name it with --config or FWLEDGER_DEVICE_CONFIG; see docs/tutorial-device.md",
        ) from error
    return parse_config(data, base=path.parent.absolute(), name=path.name)


def parse_config(data: bytes, *, base: Path, name: str = "device.toml") -> DeviceConfig:
    """Check a configuration's bytes; `base` is what relative paths count from. Raises UsageError."""
    if len(data) > MAX_CONFIG_BYTES:
        raise bad_config(name, f"at most {MAX_CONFIG_BYTES} bytes", "more")
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise bad_config(name, "TOML in UTF-8", str(error)[:200]) from error
    top = Table(document, name, base)
    state_dir = top.path("state_dir", Path("/var/lib/fwledger"))
    group = top.integer_or_none("group", 0, MAX_GROUP)
    channel = top.text_or_none("channel")
    if group is not None and channel is not None:
        raise bad_config(name, "at most one of group and channel", "both")
    config = DeviceConfig(
        state_dir=state_dir,
        trust_root=top.path("trust_root"),
        compatible=top.text("compatible"),
        hw_revision=top.text("hw_revision"),
        arch=top.text("arch"),
        group=group,
        channel=channel,
        serial=top.text_or_none("serial"),
        clock=top.boolean("clock", default=True),
        device_key=top.path("device_key", state_dir / "device.key"),
        hooks_dir=top.path_or_none("hooks_dir"),
        image=_image(top),
        factory_manifest=top.path_or_none("factory_manifest"),
        rpc_urls=_urls(top, "rpc", MAX_SOURCES),
        witness_urls=_urls(top, "witness", MAX_WITNESS_URLS),
        gateway_urls=_urls(top, "gateway", MAX_SOURCES),
        relay_url=top.url_or_none("relay"),
        slots=_slots(top),
        bootloader=_bootloader(top.table("bootloader")),
        install=_install(top.table_or_empty("install")),
        health=_health(top),
        poll=_poll(top.table_or_empty("poll")),
    )
    top.end()
    return config


def _urls(top: Table, name: str, most: int) -> tuple[str, ...]:
    urls = []
    for entry in top.tables(name, most):
        urls.append(entry.url("url"))
        entry.end()
    return tuple(urls)


def _image(top: Table) -> ImageFloor | None:
    table = top.table_or_empty("image")
    built_at = table.integer_or_none("built_at", 0, MAX_TIME_S)
    floor = None
    if built_at is not None:
        block = table.integer_or_none("block", 0, MAX_NUMBER)
        # One of the two would be a floor that nobody meant.
        time = table.integer_or_none("block_time", 0, MAX_TIME_S)
        if (block is None) != (time is None):
            raise bad_config(table.where, "block and block_time, or neither", "one of them")
        floor = ImageFloor(built_at, block or 0, time or 0)
        if floor.block_time > built_at + MAX_CLOCK_LEAD_S:
            raise bad_config(f"{table.where}.block_time", f"at most a day after {built_at}", str(time))
    table.end()
    return floor


def _slots(top: Table) -> SlotLayout:
    pairs = {}
    for slot_class, entry in top.named_tables("slot", MAX_SLOT_CLASSES):
        if not _SLOT_CLASS.fullmatch(slot_class):
            raise bad_config(entry.where, "a class of a-z, 0-9, - and _", slot_class)
        pairs[slot_class] = (entry.path("a"), entry.path("b"))
        entry.end()
    if not pairs:
        raise bad_config(top.where, "at least one [slot.CLASS] with a and b", "none")
    places = [place for pair in pairs.values() for place in pair]
    if len(set(places)) != len(places):
        raise bad_config(f"{top.where}: slot", "a place of its own for each slot", "one path twice")
    return SlotLayout(pairs)


def _bootloader(table: Table) -> BootLoaderConfig:
    config = BootLoaderConfig(
        kind=table.one_of("kind", ("simulated",)),
        state=table.path("state"),
        tries=table.integer("tries", 1, MAX_TRIES, default=3),
    )
    table.end()
    return config


def _install(table: Table) -> InstallConfig:
    config = InstallConfig(
        mode=InstallMode(table.one_of("mode", tuple(InstallMode), default=InstallMode.AUTOMATIC)),
        windows=tuple(_window(entry) for entry in table.tables("window", MAX_WINDOWS)),
        keep_fallback=table.boolean("keep_fallback", default=False),
    )
    table.end()
    return config


def _window(table: Table) -> Window:
    days = table.texts("days", len(DAYS), default=DAYS)
    unknown = [day for day in days if day not in DAYS]
    if unknown or not days:
        raise bad_config(f"{table.where}.days", "some of " + ", ".join(DAYS), ", ".join(unknown) or "none")
    window = Window(
        days=frozenset(DAYS.index(day) for day in days),
        start_minute=_minute(table, "start"),
        end_minute=_minute(table, "end"),
    )
    table.end()
    return window


def _minute(table: Table, key: str) -> int:
    text = table.text(key)
    match = _TIME_OF_DAY.fullmatch(text)
    if match is None:
        raise bad_config(f"{table.where}.{key}", "a time of day in UTC, like 02:30", text)
    return int(match[1]) * 60 + int(match[2])


def _health(top: Table) -> tuple[HealthCheck, ...]:
    checks = []
    for entry in top.tables("health", MAX_CHECKS):
        command = entry.texts("command", MAX_ARGUMENTS)
        if not command or not command[0].startswith("/"):
            raise bad_config(
                f"{entry.where}.command", "an absolute path and its arguments", " ".join(command)[:100]
            )
        checks.append(
            HealthCheck(
                name=entry.text("name"),
                command=command,
                timeout_s=entry.integer(
                    "timeout_s", 1, MAX_HEALTH_TIMEOUT_S, default=DEFAULT_HEALTH_TIMEOUT_S
                ),
            )
        )
        entry.end()
    return tuple(checks)


def _poll(table: Table) -> PollConfig:
    poll = PollConfig(
        interval_s=table.integer("interval_s", MIN_POLL_S, MAX_POLL_S, default=86_400),
        jitter_s=table.integer("jitter_s", 0, MAX_POLL_S, default=7_200),
    )
    table.end()
    return poll
