"""What is put to the test: a fleet, a rollout's terms, and the fate that a seed draws for every device."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field

import coincurve

from ledger_client.acts import Rollout
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger.rollout import cohort

HOUR_S = 3_600
# What device.toml asks for where it does not say otherwise (docs/reference/device.md, [poll]).
POLL_S, JITTER_S = 24 * HOUR_S, 2 * HOUR_S
# From arming to the report: reboot, the health checks, and the next chance to send.
REPORT_AFTER_S = (10 * 60, 40 * 60)

# The rollout that docs/rollouts.md advises, and what `release publish` does where nothing is asked for.
STAGED = Rollout(initial_bps=500, hold_hours=36, ramp_hours=48)
AT_ONCE = Rollout()


@dataclass(frozen=True)
class Fleet:
    """Devices by number: their secrets and 20-byte addresses. Always the same; seeds draw the rest."""

    secrets: tuple[bytes, ...]
    addresses: tuple[bytes, ...]

    @classmethod
    def of(cls, count: int) -> Fleet:
        secrets = tuple(hashlib.sha256(f"fleet device {number}".encode()).digest() for number in range(count))
        # libsecp256k1, because ten thousand points take cryptography half a minute.
        points = (
            coincurve.PublicKey.from_valid_secret(secret).format(compressed=False) for secret in secrets
        )
        return cls(secrets, tuple(keccak256(point[1:])[12:] for point in points))


@dataclass(frozen=True)
class Scenario:
    """A release that fails on so many devices, and how one hears of it.

    `late_s` is how much later than successes failures are reported; of a `silent` brick nothing is heard
    after `installed`. `rooted` adds one device of the canary that says whatever serves the wrong end, as
    often as it can. `watched` has a guardian look at the votes once, when the hold ends.
    """

    name: str
    fail_bps: int
    rollout: Rollout = STAGED
    late_s: int = 0
    silent: bool = False
    rooted: bool = False
    watched: bool = False

    @property
    def bad(self) -> bool:
        """Whether the breaker is there to stop it."""
        return self.fail_bps > self.rollout.halt_bps


@dataclass(frozen=True)
class Plan:
    """A scenario with its fate: the release, each device's place in the cohort, which fail, when they look.

    `rng` draws what comes later (the jitter of polls), in the order of the run.
    """

    scenario: Scenario
    seed: int
    fleet: Fleet
    release: bytes
    cohorts: tuple[int, ...]
    failing: frozenset[int]
    first_poll_s: tuple[int, ...]
    report_after_s: tuple[int, ...]
    rooted: int | None
    rng: random.Random = field(compare=False)


def draw(scenario: Scenario, seed: int, fleet: Fleet) -> Plan:
    """Give the plan of a seed. Scenarios of one seed differ only in what they are about."""
    rng = random.Random(seed)
    count = len(fleet.addresses)
    release = hashlib.sha256(f"release of seed {seed}".encode()).digest()
    cohorts = tuple(cohort(release, address) for address in fleet.addresses)
    order = rng.sample(range(count), count)
    return Plan(
        scenario=scenario,
        seed=seed,
        fleet=fleet,
        release=release,
        cohorts=cohorts,
        failing=frozenset(order[: count * scenario.fail_bps // 10_000]),
        first_poll_s=tuple(rng.randrange(POLL_S + JITTER_S) for _ in range(count)),
        report_after_s=tuple(rng.randint(*REPORT_AFTER_S) for _ in range(count)),
        rooted=min(range(count), key=cohorts.__getitem__) if scenario.rooted else None,
        rng=rng,
    )
