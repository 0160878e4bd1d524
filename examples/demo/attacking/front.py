"""Where attacks are tried and their refusals checked: one readable line each, or the demo ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.demo.attacking.server import Lie
from examples.demo.stage import DemoError
from ledger_client.errors import RevertedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from examples.demo.attacking.lab import Lab
    from examples.demo.attacking.server import LyingServer
    from examples.demo.attacking.victim import Answer, Victim
    from examples.demo.stage import Stage

# What an honest check answers while the channel's head is good and newer than what runs.
READY = "update-available"
EXIT_NOT_TRUSTED = 1


@dataclass(slots=True)
class Front:
    """The attacker's server, the device under attack, and the score."""

    stage: Stage
    lab: Lab
    liar: LyingServer
    victim: Victim
    running: str
    """The digest of the running slot, which no attack may change."""
    truth: str = READY
    """What the device answers while honest servers tell it how things are."""
    tried: int = 0

    def device(
        self, attack: str, expected: str, *arguments: str, lie: Lie | None = None, servers: str = "attacked"
    ) -> None:
        """Attack the device while it installs (or does what `arguments` say): it must refuse for this reason.

        Afterwards honest servers must get the answer that they got before.
        """
        self._refused(attack, expected, self._with_lie(lie, servers, arguments or ("install",)))
        self._expect(
            f"{attack}, honest servers afterwards", self.truth, self.victim.run("honest", "check").reason
        )

    def bad_head(self, attack: str, expected: str) -> None:
        """The channel's head is bad now, and honest servers say so: the device must refuse it by itself."""
        self.truth = expected
        self._refused(attack, expected, self.victim.run("honest", "install"))

    def contract(self, attack: str, expected: str, act: Callable[[], object]) -> None:
        """Attack a contract: it must revert with this reason."""
        try:
            act()
        except RevertedError as error:
            self._expect(attack, expected, error.reason)
        else:
            raise DemoError(f"{attack}: the contract took it")
        self.show(attack, "contract", expected)

    def ready(self, lie: Lie | None = None) -> None:
        """The channel's head is good: the device is offered it. With `lie`, through the attacker's server."""
        self.truth = READY
        self._expect("before an attack", READY, self._with_lie(lie, "attacked", ("check",)).reason)

    def show(self, attack: str, who: str, reason: str) -> None:
        """One attack more."""
        self.tried += 1
        self.stage.check(f"{attack:<70} {who + ':':<9} {reason}", holds=True)

    def _refused(self, attack: str, expected: str, answer: Answer) -> None:
        self._expect(attack, expected, answer.reason)
        if answer.code != EXIT_NOT_TRUSTED or answer.document.get("armed"):
            raise DemoError(f"{attack}: the device ended with {answer.code} and {answer.document}")
        if self.victim.running() != self.running:
            raise DemoError(f"{attack}: the running slot changed")
        self.show(attack, "device", expected)

    def _with_lie(self, lie: Lie | None, servers: str, arguments: tuple[str, ...]) -> Answer:
        self.liar.lie = lie or Lie()
        answer = self.victim.run(servers, *arguments)
        self.liar.lie = Lie()
        if lie is not None and not lie.used:
            raise DemoError(f"the device never heard the lie {type(lie).__name__}")
        return answer

    def _expect(self, attack: str, expected: str, got: str) -> None:
        if got != expected:
            raise DemoError(f"{attack}: expected {expected}, got {got}")
