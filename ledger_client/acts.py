"""What publishers and governors approve: one EIP-712 struct an act, as a hardware wallet shows it in clear.

The structs are those of the contracts (design: ledger.md, "Approvals"). An `Act` binds everything that the
act sets, so an approval can be used for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger_client.config import checksum_address
from ledger_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROLLOUT_FIELDS = (
    ("immediate", "bool"),
    ("initialBps", "uint16"),
    ("holdHours", "uint16"),
    ("rampHours", "uint16"),
    ("haltBps", "uint16"),
    ("minReports", "uint24"),
)
_BINDING_FIELDS = (("epoch", "uint24"), ("deadline", "uint40"))
# Governors' acts bind the epoch of the rules word, which is wider than a channel's.
_GOVERN_FIELDS = (("epoch", "uint32"), ("deadline", "uint40"))

STRUCTS: dict[str, tuple[tuple[str, str], ...]] = {
    "Publish": (
        ("channel", "bytes32"),
        ("release", "bytes32"),
        ("envelope", "bytes32"),
        ("sequence", "uint32"),
        ("securityVersion", "uint24"),
        *_ROLLOUT_FIELDS,
        *_BINDING_FIELDS,
    ),
    "SetRollout": (("channel", "bytes32"), ("sequence", "uint32"), *_ROLLOUT_FIELDS, *_BINDING_FIELDS),
    "Resume": (("channel", "bytes32"), ("sequence", "uint32"), *_ROLLOUT_FIELDS, *_BINDING_FIELDS),
    "Revoke": (("release", "bytes32"), ("reason", "uint16"), ("mandatory", "bool"), ("deadline", "uint40")),
    "AssignGroup": (("group", "uint24"), ("leaves", "bytes32"), ("channel", "bytes32"), *_BINDING_FIELDS),
    "PlaceDevices": (
        ("devices", "address[]"),
        ("group", "uint24"),
        ("channel", "bytes32"),
        ("retired", "bool"),
        *_BINDING_FIELDS,
    ),
    "SetTrustRoot": (
        ("digest", "bytes32"),
        ("version", "uint32"),
        ("envelope", "bytes32"),
        ("deadline", "uint40"),
    ),
    "SetMember": (("account", "address"), ("roles", "uint8"), *_GOVERN_FIELDS),
    "SetThresholds": (("publish", "uint8"), ("govern", "uint8"), *_GOVERN_FIELDS),
    "NameSuccessor": (("successor", "address"), *_GOVERN_FIELDS),
    "AnnounceTrustRoot": (
        ("digest", "bytes32"),
        ("version", "uint32"),
        ("envelope", "bytes32"),
        *_GOVERN_FIELDS,
    ),
}

# Acts of governors that wait in public before anyone may execute them.
QUEUED_ACTS = frozenset({"SetMember", "SetThresholds", "NameSuccessor", "AnnounceTrustRoot"})

# Who approves an act; everything else is the publishers'.
GOVERNORS_ACTS = QUEUED_ACTS | {"SetTrustRoot"}

ROLE_BITS = {"publisher": 1, "guardian": 2, "governor": 4, "enroller": 8, "gateway": 16, "operator": 32}

DOMAIN_NAME = "fwledger"
DOMAIN_VERSION = "1"
_DOMAIN_FIELDS = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)

# The contract takes at most so many devices in one placing.
MAX_PLACED_DEVICES = 64


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a release spreads. Shares in basis points of the cohort, times in hours (design: ledger.md,
    Rollout).

    `halt_bps` 0 switches the breaker off; it needs at least `min_reports` counted reports to act.
    """

    immediate: bool = False
    initial_bps: int = 10_000
    hold_hours: int = 0
    ramp_hours: int = 0
    halt_bps: int = 300
    min_reports: int = 300

    def __post_init__(self) -> None:
        for name, most in (
            ("initial_bps", 10_000),
            ("hold_hours", 2**16 - 1),
            ("ramp_hours", 2**16 - 1),
            ("halt_bps", 10_000),
            ("min_reports", 2**24 - 1),
        ):
            if not 0 <= getattr(self, name) <= most:
                raise UsageError(f"rollout {name}", expected=f"0 to {most}", got=getattr(self, name))
        if self.halt_bps and not self.min_reports:
            raise UsageError("rollout min_reports", expected="at least 1 while the breaker is on", got=0)

    def values(self) -> tuple[bool, int, int, int, int, int]:
        """In the contract's order."""
        return (
            self.immediate,
            self.initial_bps,
            self.hold_hours,
            self.ramp_hours,
            self.halt_bps,
            self.min_reports,
        )

    def fields(self) -> dict[str, Any]:
        """By the names of the typed structs."""
        return {name: v for (name, _), v in zip(_ROLLOUT_FIELDS, self.values(), strict=True)}


@dataclass(frozen=True, slots=True)
class Act:
    """One act on the ledger at `ledger` (20 bytes) of chain `chain_id`. `values` follow STRUCTS[name]'s
    order.
    """

    name: str
    chain_id: int
    ledger: bytes
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if self.name not in STRUCTS:
            raise UsageError("act", expected="one of " + ", ".join(STRUCTS), got=self.name)
        if len(self.ledger) != 20 or len(self.values) != len(STRUCTS[self.name]):
            raise UsageError(f"{self.name}: fields", expected=len(STRUCTS[self.name]), got=len(self.values))
        for (field, kind), value in zip(STRUCTS[self.name], self.values, strict=True):
            _check(f"{self.name}.{field}", kind, value)

    @classmethod
    def of(cls, name: str, values: Mapping[str, Any], *, chain_id: int, ledger: bytes) -> Act:
        """From values by field name; a missing or unknown name is a UsageError."""
        names = [field for field, _ in STRUCTS.get(name, ())]
        if not names or set(values) != set(names):
            raise UsageError(
                f"{name}: fields", expected=", ".join(names) or "a known act", got=", ".join(values)
            )
        return cls(name, chain_id, ledger, tuple(values[field] for field in names))

    def __getitem__(self, field: str) -> Any:
        names = [name for name, _ in STRUCTS[self.name]]
        return self.values[names.index(field)]

    @property
    def rollout(self) -> Rollout:
        """The rollout that a Publish, SetRollout or Resume sets."""
        return Rollout(*(self[field] for field, _ in _ROLLOUT_FIELDS))

    @property
    def subject(self) -> str:
        """What it does, by name and values, but for epoch and deadline: the same act planned again is about
        the same.
        """
        told = [f"{field}={text}" for field, text in self.describe() if field not in ("epoch", "deadline")]
        return " ".join([self.name, checksum_address(self.ledger), *told])

    @property
    def epoch(self) -> int | None:
        """The epoch that it spends, None where it binds none."""
        return dict(zip((field for field, _ in STRUCTS[self.name]), self.values, strict=True)).get("epoch")

    def terms(self) -> int:
        """Sequence numbers, rollout and deadline as the contract takes them: one word, packed.

        The layout is the channel word's, with the deadline where `published_at` begins (contracts: rollouts).
        For SetRollout and Resume the sequence binds the approval only, and stays 0 here.
        """
        rollout = self.rollout
        word = self["deadline"] << 88 | int(rollout.immediate) << 81 | rollout.initial_bps << 152
        word |= rollout.hold_hours << 168 | rollout.ramp_hours << 184
        word |= rollout.halt_bps << 200 | rollout.min_reports << 216
        if self.name == "Publish":
            word |= self["sequence"] | self["securityVersion"] << 32
        return int(word)

    def typed_data(self) -> dict[str, Any]:
        """The JSON that wallets sign (eth_signTypedData_v4); bytes as 0x text."""
        message = {
            field: _wallet_value(value)
            for (field, _), value in zip(STRUCTS[self.name], self.values, strict=True)
        }
        return {
            "types": {
                "EIP712Domain": [{"name": n, "type": t} for n, t in _DOMAIN_FIELDS],
                self.name: [{"name": n, "type": t} for n, t in STRUCTS[self.name]],
            },
            "primaryType": self.name,
            "domain": {
                "name": DOMAIN_NAME,
                "version": DOMAIN_VERSION,
                "chainId": self.chain_id,
                "verifyingContract": checksum_address(self.ledger),
            },
            "message": message,
        }

    def describe(self) -> list[tuple[str, str]]:
        """The fields as text, for a person to read before approving."""
        return [
            (field, role_names(value) if field == "roles" else _shown(value))
            for (field, _), value in zip(STRUCTS[self.name], self.values, strict=True)
        ]


def role_names(bits: int) -> str:
    """Role bits as words."""
    return ", ".join(name for name, bit in ROLE_BITS.items() if bits & bit) or "no role"


def _wallet_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [checksum_address(address) for address in value]
    if isinstance(value, bytes) and len(value) == 20:
        return checksum_address(value)
    return "0x" + value.hex() if isinstance(value, bytes) else value


def _shown(value: Any) -> str:
    shown = _wallet_value(value)
    return (
        ", ".join(shown) if isinstance(shown, list) else str(shown).lower() if shown is value else str(shown)
    )


def _check(name: str, kind: str, value: object) -> None:
    if kind == "bytes32":
        good = isinstance(value, bytes) and len(value) == 32
    elif kind == "address":
        good = isinstance(value, bytes) and len(value) == 20
    elif kind == "address[]":
        good = (
            isinstance(value, tuple)
            and 0 < len(value) <= MAX_PLACED_DEVICES
            and all(isinstance(address, bytes) and len(address) == 20 for address in value)
        )
        kind = f"1 to {MAX_PLACED_DEVICES} addresses"
    elif kind == "bool":
        good = isinstance(value, bool)
    else:
        bits = int(kind.removeprefix("uint"))
        good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**bits
    if not good:
        shown = value.hex() if isinstance(value, bytes) else repr(value)
        raise UsageError(name, expected=kind, got=shown[:80])
