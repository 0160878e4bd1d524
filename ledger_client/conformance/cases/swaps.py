"""What changes between check and use: the ledger while an image is fetched, the slot while it waits (V11)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ledger_client.conformance.case import (
    ACCEPT,
    GONE,
    Expected,
    refuse,
)
from ledger_client.conformance.cases.nodes import halt
from ledger_client.conformance.cases.relays import BY_RELAY, SWAP, Silent
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.sites import Relay, Response
from ledger_client.conformance.world import documents
from ledger_protocol.content.cid import Cid
from ledger_protocol.report.reasons import Reason


def _changes(
    name: str, expected: Expected, why: str, change: Callable[[Scenario], object], kind: type[Relay] = Relay
) -> None:
    """Register a case in which the ledger moves on while the image is fetched."""

    @case(f"swap.{name}", SWAP, "V11", expected, why, needs=BY_RELAY)
    def _(s: Scenario) -> None:
        before, known = s.world.proof(), tuple(s.world.roots)
        images = set(documents.image_tree(s.head.images["rootfs"])[1])
        change(s)
        after, later = s.world.proof(), tuple(s.world.roots)
        serving: list[Relay] = []

        def relay() -> Relay:
            serving[:] = [_Turning(before, known, kind)]
            return serving[0]

        def fetched(cid: Cid) -> None:
            if cid in images:
                serving[0].proof, serving[0].roots = after, later
                serving[0].turned = True  # type: ignore[attr-defined]

        height = s.block.number if kind is Relay else None
        s.install(relays=[relay], gateways=[s.gateway(before=fetched)], height=height)


class _Turning(Relay):
    """A relay that answers as another kind once the image is being fetched."""

    def __init__(self, proof: bytes, roots: Any, kind: type[Relay]) -> None:
        super().__init__(proof, roots)
        self.turned, self._kind = False, kind

    def serve_proof(self) -> Response:
        return self._kind.serve_proof(self) if self.turned else super().serve_proof()


def _sealed(change: Callable[[Scenario], object]) -> Callable[[Scenario], object]:
    """Seal a block after the change."""

    def both(s: Scenario) -> None:
        change(s)
        s.seal()

    return both


CHANGED: Final = (Reason.DECISION_CHANGED, Reason.REVOKED, Reason.HALTED)
_changes("nothing", ACCEPT, "when nothing changed the release is armed", lambda _s: None)
_changes("a-new-block", ACCEPT, "a newer block that says the same changes nothing", lambda s: s.seal())
_changes(
    "revoked-while-fetched",
    refuse(*CHANGED),
    "a release revoked during a slow download is not armed",
    _sealed(lambda s: s.world.revoke(s.head.id)),
)
_changes(
    "halted-while-fetched",
    refuse(*CHANGED),
    "a release halted during a slow download is not armed",
    _sealed(halt),
)
_changes(
    "replaced-while-fetched",
    refuse(*CHANGED),
    "the newest release is another one by now",
    lambda s: s.replace_head(),
)
_changes(
    "key-withdrawn-while-fetched",
    refuse(*CHANGED, Reason.THRESHOLD),
    "a new trust root may have withdrawn the key that signed it",
    _sealed(lambda s: s.world.rotate(release_keys=documents.key_set(s.world.release_keys[1:], 2))),
)
_changes(
    "silent-while-fetched", refuse(*GONE), "who cannot ask again does not arm", lambda s: s.seal(), Silent
)


@case(
    "swap.slot-overwritten-before-arming",
    SWAP,
    "V11",
    refuse(Reason.SLOT_READBACK, Reason.CORRUPT_CONTENT),
    "what waited in the slot is read again before it is armed",
    needs=BY_RELAY,
)
def _(s: Scenario) -> None:
    honest, known = s.world.proof(), tuple(s.world.roots)
    images = set(documents.image_tree(s.head.images["rootfs"])[1])
    halt(s)
    s.seal()
    halted = s.world.proof()
    serving: list[Relay] = []

    def relay() -> Relay:
        serving[:] = [Relay(honest, known)]
        return serving[0]

    def fetched(cid: Cid) -> None:
        if cid in images:
            serving[0].proof = halted

    gateway = s.gateway()
    s.install(
        relays=[relay],
        gateways=[s.gateway(before=fetched)],
        expect=refuse(Reason.HALTED),
        height=s.block.number,
    )
    s.world.publish(s.head, sequence=10)
    s.seal()
    s.install(relays=[s.relay()], gateways=[gateway], before=_overwritten)
    s.install(relays=[s.relay()], gateways=[gateway], expect=ACCEPT)


def _overwritten(room: Path) -> None:
    (room / "rootfs.spare").write_bytes(b"e" * 60_000)
