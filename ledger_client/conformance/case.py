"""A case: one world, what the client is asked, and what it must answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from ledger_protocol.report.reasons import Reason

# Families of reason codes (protocol.md §8): a client may say any code of the family that a case names.
ROOT: Final = (Reason.BAD_TRUST_ROOT, Reason.TRUST_ROOT_MISSING, Reason.TRUST_ROOT_EXPIRED)
HEADER: Final = (Reason.HEADER_QUORUM, Reason.WRONG_CHAIN, Reason.BAD_PROOF)
NOTE: Final = (Reason.NOTE_QUORUM, Reason.NOTE_UNSUPPORTED, Reason.WRONG_CHAIN, Reason.BAD_PROOF)
PROOF: Final = (Reason.BAD_PROOF,)
RELEASE: Final = (Reason.WRONG_CONTENT, Reason.BAD_SIGNATURE, Reason.THRESHOLD, Reason.BAD_MANIFEST)
MANIFEST: Final = (Reason.BAD_MANIFEST, Reason.WRONG_CONTENT)
FIT: Final = (Reason.INCOMPATIBLE, Reason.UNSUPPORTED, Reason.SLOT_MISSING, Reason.TOO_LARGE)
CONTENT: Final = (Reason.CORRUPT_CONTENT, Reason.BAD_MANIFEST, Reason.SLOT_READBACK)
GONE: Final = (Reason.CONTENT_UNAVAILABLE, Reason.SOURCE_UNREACHABLE, Reason.BUNDLE_INCOMPLETE)

FAMILIES: Final = {
    "root": ROOT,
    "header": HEADER,
    "note": NOTE,
    "release": RELEASE,
    "manifest": MANIFEST,
    "fit": FIT,
    "content": CONTENT,
    "gone": GONE,
}

# Refusals before the ledger's words are read: after one of these the height floor stands where it stood.
BEFORE_WORDS: Final = frozenset(reason for reason in Reason if reason.check in {"V0", "V1", "V2", "V3", "V4"})


class Transport(StrEnum):
    """How a client may be served; a client that lacks one leaves out the cases that need it."""

    DIRECTORY = "directory"
    BUNDLE = "bundle"
    RELAY = "relay"
    GATEWAY = "gateway"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Expected:
    """The right answer: whether the release is accepted, else one of these reason codes."""

    accepted: bool
    reasons: tuple[Reason, ...] = ()

    def __str__(self) -> str:
        if self.accepted:
            named = " or ".join(reason.value for reason in self.reasons)
            return f"accept ({named})" if named else "accept"
        return "refuse: " + ", ".join(reason.value for reason in self.reasons)

    @property
    def families(self) -> tuple[tuple[str, ...], tuple[Reason, ...]]:
        """The families whose every code is right here, and the codes that none of those holds."""
        whole = tuple(name for name, family in FAMILIES.items() if set(family) <= set(self.reasons))
        held = {reason for name in whole for reason in FAMILIES[name]}
        return whole, tuple(reason for reason in self.reasons if reason not in held)


ACCEPT: Final = Expected(accepted=True)


def accept(*reasons: Reason) -> Expected:
    """Expect that the release is accepted, for one of these reasons if any is named."""
    return Expected(accepted=True, reasons=reasons)


def refuse(*reasons: Reason) -> Expected:
    """Expect that nothing is accepted, for one of these reasons."""
    return Expected(accepted=False, reasons=tuple(dict.fromkeys(reasons)))


class Site(Protocol):
    """An HTTP server's answers, made anew for each run; see `sites`."""

    sent_bytes: int
    """Bytes of the longest answer that was read."""

    def answer(self, method: str, path: str, body: bytes) -> Any:
        """Answer one request."""
        ...

    def close(self) -> None:
        """End what is still being answered."""
        ...


SiteMaker = Callable[[], Site]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One question to the client, with what it is served and what it must answer.

    `release` is the id that an accepting answer must name; `now` the clock (Unix seconds, None: no clock);
    `height` and `root_version` what the client must hold afterwards (None: not looked at); `images` what the
    spare slots must begin with once it is armed; `before` changes the device's files first;
    `max_sent_bytes` bounds what an endless answer may be read of.
    """

    command: str
    expected: Expected
    release: bytes | None
    now: int | None
    directories: Sequence[Mapping[str, bytes]] = ()
    bundle: Mapping[str, bytes] | None = None
    relays: Sequence[SiteMaker] = ()
    nodes: Sequence[SiteMaker] = ()
    gateways: Sequence[SiteMaker] = ()
    height: int | None = None
    root_version: int | None = None
    images: Mapping[str, bytes] = field(default_factory=dict)
    before: Callable[[Path], None] | None = None
    max_sent_bytes: int | None = None

    @property
    def transports(self) -> frozenset[Transport]:
        """What the client must be able to read from."""
        named = {
            Transport.DIRECTORY: self.directories,
            Transport.BUNDLE: self.bundle,
            Transport.RELAY: self.relays,
            Transport.GATEWAY: self.gateways,
            Transport.NODE: self.nodes,
        }
        return frozenset(transport for transport, used in named.items() if used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The device that a case starts with: the contract's device.json, and the files that it names."""

    compatible: str = "acme,gateway"
    hw_revision: str = "B2"
    arch: str = "aarch64"
    channel: str | None = "stable"
    group: int | None = None
    mode: str = "automatic"
    windows: tuple[Mapping[str, Any], ...] = ()
    slots: Mapping[str, int] = field(default_factory=lambda: {"rootfs": 60_000})
    """Bytes of a slot, by slot class."""
    installed: bytes | None = None
    """The manifest block of what runs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A built case: the factory's trust root, the device, and the steps."""

    trust_root: bytes
    device: Device
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the suite: `attack` and `section` say where it is from, `why` what goes wrong without it."""

    id: str
    attack: str
    section: str
    why: str
    expected: Expected
    transports: frozenset[Transport]
    build: Callable[[], Plan]
