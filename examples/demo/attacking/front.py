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


@dataclass(slots=True)
class Front:
    """The attacker's server, the device under attack, and the score."""

    stage: Stage
    lab: Lab
    liar: LyingServer
    victim: Victim
    tried: int = 0

    def device(
        self,
        attack: str,
        expected: str,
        *arguments: str,
        lie: Lie | None = None,
        servers: str = "attacked",
        honest: str = READY,
    ) -> Answer:
        """Attack the device: it must refuse with this reason code, keep its running slot, and go on
        afterwards.

        `arguments` default to `check`; `honest` is the reason that it gives when honest servers answer again.
        """
        before = self.victim.running()
        answer = self._attacked(lie, servers, arguments or ("check",))
        self._expect(attack, expected, answer.reason)
        if answer.code == 0 or answer.document.get("armed"):
            raise DemoError(f"{attack}: the device ended with {answer.code} and {answer.document}")
        if self.victim.running() != before:
            raise DemoError(f"{attack}: the running slot changed")
        self._expect(f"{attack}, honest servers afterwards", honest, self.check())
        self.show(attack, "device", expected)
        return answer

    def contract(self, attack: str, expected: str, act: Callable[[], object]) -> None:
        """Attack a contract: it must revert with this reason."""
        try:
            act()
        except RevertedError as error:
            self._expect(attack, expected, error.reason)
        else:
            raise DemoError(f"{attack}: the contract took it")
        self.show(attack, "contract", expected)

    def expect_ready(self, lie: Lie | None = None) -> None:
        """The honest state: an update is offered. With `lie`, through the attacker's server."""
        answer = self._attacked(lie, "attacked", ("check",))
        self._expect("an honest check", READY, answer.reason)

    def check(self) -> str:
        """The reason that the device gives when it asks honest servers."""
        return self.victim.run("honest", "check").reason

    def show(self, attack: str, who: str, reason: str) -> None:
        """One attack more."""
        self.tried += 1
        self.stage.check(f"{attack:<78} {who + ':':<9} {reason}", holds=True)

    def _attacked(self, lie: Lie | None, servers: str, arguments: tuple[str, ...]) -> Answer:
        self.liar.lie = lie or Lie()
        try:
            answer = self.victim.run(servers, *arguments)
        finally:
            self.liar.lie = Lie()
        if lie is not None and not getattr(lie, "used", 1):
            raise DemoError(f"the device was never told the lie: {lie}")
        return answer

    def _expect(self, attack: str, expected: str, got: str) -> None:
        if got != expected:
            raise DemoError(f"{attack}: expected {expected}, got {got}")
