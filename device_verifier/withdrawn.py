"""A release that was revoked after its slot was armed: is it to be left again, and is there a way back?

The decision at arming (V11) holds until the reboot, which may be weeks away. What is proven meanwhile counts:
an armed slot is disarmed, and one on trial is not confirmed. A halt is no reason: it stops installs, and the
trial has ended well.
"""

import contextlib
from collections.abc import Sequence

from device_verifier.agent import Agent
from device_verifier.bootloaders import SlotState
from device_verifier.errors import DeviceError
from device_verifier.inquiry import learn
from device_verifier.records import Install, Origin
from device_verifier.slots import other_slot
from device_verifier.sources import LedgerSource
from ledger_protocol.ledger.contract_state import Revocation

__all__ = ["ask_again", "why_withdrawn"]


def ask_again(agent: Agent, install: Install, *, ledgers: Sequence[LedgerSource]) -> None:
    """Learn from the newest reachable proof whether the release on trial, or the one to fall back to, is
    revoked.

    Nobody who answers is no reason to wait: what was proven before still counts.
    """
    # After an install from the network, the health check has asked a moment ago.
    if install.origin is Origin.BUNDLE and ledgers:
        with contextlib.suppress(DeviceError):
            learn(agent.outline(), sources=ledgers, memory=agent.memory)
    back_to = agent.store.installed(other_slot(install.slot))
    if ledgers and back_to is not None and install.release in agent.memory.revocations():
        # Not every source's proof covers an older release; then only what is known of it counts.
        with contextlib.suppress(DeviceError):
            learn(agent.outline(), sources=ledgers, memory=agent.memory, also_revoked=(back_to.release,))


def why_withdrawn(agent: Agent, install: Install) -> str:
    """Return why the installed release has to be left for the other slot, "" where it may stay.

    A device never gives up its only good slot, nor moves to a release that is revoked just as hard.
    """
    known = agent.memory.revocations()
    revoked = known.get(install.release)
    back = other_slot(install.slot)
    if revoked is None or agent.bootloader.get_state(back).state is not SlotState.GOOD:
        return ""
    back_to = agent.store.installed(back)
    if back_to is not None and _weight(known.get(back_to.release)) >= _weight(revoked):
        return ""
    return f"revoked at {revoked.time}, reason {revoked.reason}" + (", mandatory" * revoked.mandatory)


def _weight(revoked: Revocation | None) -> int:
    """How much a revocation asks for: nothing, not to be installed, to be left at once."""
    return 0 if revoked is None else 2 if revoked.mandatory else 1
