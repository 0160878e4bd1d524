"""The engines that run the scenarios beside py-evm: how to make a machine of each, and what runs on which."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.contract.lockstep import berlin
from tests.contract.on_anvil import anvil
from tests.contract.on_geth import geth

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.lockstep import Lockstep

# name: the engine that it needs beside py-evm, and what makes a machine
ENGINES: dict[str, tuple[str | None, Callable[[], Lockstep]]] = {
    "berlin": (None, berlin),
    "anvil": ("anvil", partial(anvil, "prague")),
    "geth": ("geth", partial(geth, "cancun")),
    "anvil-berlin": ("anvil", partial(anvil, "berlin")),
    "geth-berlin": ("geth", partial(geth, "berlin")),
}
EVERYWHERE = ("py-evm", "berlin", "anvil", "geth")
# Modules whose tests call contracts, and where they run: the others read sources and artifacts, or compare pure functions.
SCENARIOS: dict[str, tuple[str, ...]] = dict.fromkeys(
    (
        *("approvals", "batches", "channels", "deploy", "devices", "events", "governance", "groups"),
        *("bad_input", "refusals", "revocations", "trust_roots", "votes"),
    ),
    EVERYWHERE,
) | {"gas": ("py-evm", *ENGINES), "model_on_engines": ("anvil", "geth")}
