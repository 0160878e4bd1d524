"""Whether a release fits the device, and the way to it by a stepping stone (V9)."""

from collections.abc import Callable
from typing import Any, Final

from ledger_client.conformance.case import ACCEPT, FIT, GONE, PROOF, Expected, accept, refuse
from ledger_client.conformance.cases.policy import REVOKED
from ledger_client.conformance.scenario import Scenario, case
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.report.reasons import Reason


def _fit(name: str, expected: Expected, why: str, **changes: Any) -> None:
    @case(f"fit.{name}", "wrong hardware", "V9", expected, why)
    def _(s: Scenario) -> None:
        s.replace_head(**changes)
        s.check(s.stick())


OTHER: Final = refuse(*FIT)
_fit("other-compatible", OTHER, "firmware for another product bricks this one", compatible="acme,camera")
_fit(
    "compatible-with-a-longer-name",
    OTHER,
    "a compatible is compared whole, not by its beginning",
    compatible="acme,gateway-2",
)
_fit(
    "other-revision", OTHER, "a release may be for some revisions of a board only", hw_revisions=["A1", "C1"]
)
_fit("revision-among-others", ACCEPT, "one of the named revisions is this board's", hw_revisions=["A1", "B2"])
_fit("no-revision-named", ACCEPT, "a release that names no revision is for all", hw_revisions=[])
_fit("revision-that-begins-alike", OTHER, "a revision is compared whole", hw_revisions=["B", "B22"])
_fit("other-arch", OTHER, "a program for another processor does not run", component={"arch": "armv7"})
_fit(
    "unknown-handler",
    OTHER,
    "a handler that a device does not have is not guessed",
    component={"handler": "flash9000"},
)
_fit(
    "hooks-that-do-not-run-here",
    OTHER,
    "a hook left out could leave data unmigrated",
    component={"hooks": ["migrate"]},
)
_fit("no-such-slot", OTHER, "a component needs a slot of its class", images={"bootloader": b"b" * 100})
_fit(
    "one-byte-too-large",
    OTHER,
    "an image that does not fit is refused before a byte is fetched",
    images={"rootfs": b"r" * 60_001},
)
_fit("exactly-as-large-as-the-slot", ACCEPT, "an image may fill its slot", images={"rootfs": b"r" * 60_000})
_fit("claims-to-be-large", OTHER, "the signed size is what has to fit", component={"size": 2**40})


@case("fit.encrypted", "wrong hardware", "V9", OTHER, "an encryption that a device does not know is refused")
def _(s: Scenario) -> None:
    tree = Cid.of(DAG_CBOR, b"packs")
    s.replace_head(component={"encryption": {"scheme": "x"}, "image": Cid(0x55, tree.digest).to_bytes()})
    s.check(s.stick())


@case(
    "fit.second-component-without-slot",
    "wrong hardware",
    "V9",
    OTHER,
    "all components install together or none does",
)
def _(s: Scenario) -> None:
    s.replace_head(images={"rootfs": b"r" * 100, "mcu": b"m" * 100})
    s.check(s.stick())


@case("fit.two-components", "wrong hardware", "V9", ACCEPT, "a release may have several components")
def _(s: Scenario) -> None:
    s.change_device(slots={"rootfs": 60_000, "app": 5_000})
    s.replace_head(images={"rootfs": b"r" * 3_000, "app": b"a" * 100})
    s.install(s.stick())


@case("fit.two-components-for-one-slot", "wrong hardware", "V9", OTHER, "two components never share a slot")
def _(s: Scenario) -> None:
    fields = s.world.fields(11, {"rootfs": b"r" * 100, "app": b"a" * 100})
    made = fields["components"]
    assert isinstance(made, list)
    fields["components"] = [{**each, "slot_class": "rootfs"} for each in made if isinstance(each, dict)]
    s.publish(s.world.sign(dag_cbor.encode(fields), {}), 11)
    s.check(s.stick())


# --- the way to the head


def _min_from(s: Scenario, via: bytes | None, least: int = 2) -> None:
    """Publish a head that installs over `least` or higher only."""
    s.replace_head(security_version=1, min_from={"security_version": least, "via": via})


def _stone(s: Scenario, **changes: Any) -> bytes:
    stone = s.world.build(5, **{"security_version": 2, **changes})
    s.world.published.append((s.block.number, bytes(32), stone))
    return stone.id


def _via(name: str, expected: Expected, why: str, change: Callable[[Scenario], bytes | None]) -> None:
    @case(f"fit.{name}", "rollback", "V9", expected, why)
    def _(s: Scenario) -> None:
        stone = change(s)
        _min_from(s, stone)
        s.check(s.stick(), release=stone if expected.accepted else None)


UNREACHABLE: Final = refuse(Reason.UNREACHABLE_FROM, Reason.ROLLBACK)
_via("way-by-a-stepping-stone", accept(Reason.INSTALL_VIA), "a release may ask for another one first", _stone)
_via(
    "no-way-from-here",
    UNREACHABLE,
    "a device too old for the head, and with no way to it, stays",
    lambda _s: None,
)
_via(
    "stone-is-not-below",
    UNREACHABLE,
    "a stepping stone lies below the head",
    lambda s: _stone(s, sequence=11),
)
_via(
    "stone-is-too-low",
    UNREACHABLE,
    "a stepping stone reaches what the head asks for",
    lambda s: _stone(s, security_version=1),
)
_via(
    "stone-for-another-channel",
    refuse(Reason.WRONG_CHANNEL, Reason.UNREACHABLE_FROM),
    "a stepping stone is for this channel too",
    lambda s: _stone(s, channels=["lab"]),
)
_via(
    "stone-for-other-hardware",
    refuse(*FIT),
    "a stepping stone fits the device too",
    lambda s: _stone(s, compatible="acme,camera"),
)
_via(
    "stone-that-is-missing",
    refuse(*GONE, *PROOF),
    "a stepping stone that nobody has cannot be installed",
    lambda _s: b"\x05" * 32,
)
_via(
    "stone-that-is-itself",
    UNREACHABLE,
    "a device never installs what it runs as its own stepping stone",
    lambda s: s.installed.id,
)


@case("fit.stone-is-revoked", REVOKED, "V9", UNREACHABLE, "a revoked stepping stone is no way")
def _(s: Scenario) -> None:
    stone = _stone(s)
    s.world.revoke(stone)
    _min_from(s, stone)
    s.check(s.stick())


@case(
    "fit.stone-signed-by-one",
    "threshold - 1 keys stolen",
    "V9",
    refuse(Reason.THRESHOLD, Reason.BAD_SIGNATURE),
    "a stepping stone is signed like any release",
)
def _(s: Scenario) -> None:
    stone = _stone(s, signers=s.world.release_keys[:1])
    _min_from(s, stone)
    s.check(s.stick())
