"""Sources over HTTP: relays, nodes and gateways that are slow, silent, endless, old, or lie."""

from collections.abc import Callable
from functools import partial
from typing import Final

from ledger_client.conformance.case import (
    ACCEPT,
    CONTENT,
    GONE,
    HEADER,
    PROOF,
    Expected,
    SiteMaker,
    Transport,
    refuse,
)
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.sites import Gateway, Hangup, Relay, Response
from ledger_client.conformance.world import documents
from ledger_client.conformance.world.words import channel_id
from ledger_protocol.content.cid import RAW, Cid
from ledger_protocol.report.reasons import Reason

SLOW: Final = "slow retrieval"
ENDLESS: Final = "endless data"
MIRROR: Final = "malicious mirror"
DROPPED: Final = "dropped requests"
SWAP: Final = "swap between check and use"
BY_RELAY: Final = (Transport.RELAY, Transport.GATEWAY)
BY_NODE: Final = (Transport.NODE, Transport.GATEWAY)
UNREACHED: Final = refuse(*GONE, *PROOF, Reason.TRUST_ROOT_MISSING, Reason.CORRUPT_CONTENT)
# What may be read of an answer that never ends, socket buffers on both sides included.
MAX_SENT_BYTES: Final = 16 * 2**20
STABLE: Final = channel_id("stable")


class Silent(Relay):
    """A relay that never answers for its proof."""

    def serve_proof(self) -> Response:
        """Say nothing."""
        return self.silence()


class _SilentRoots(Relay):
    def root(self, version: int) -> Response:
        del version
        return self.silence()


class _Trickle(Relay):
    def serve_proof(self) -> Response:
        return self.trickle(self.proof)


class _Endless(Relay):
    def serve_proof(self) -> Response:
        return self.endless(chunked=False, start=self.proof)


class _EndlessChunked(Relay):
    def serve_proof(self) -> Response:
        return self.endless(chunked=True, start=self.proof)


class _EndlessRoot(Relay):
    def root(self, version: int) -> Response:
        del version
        return self.endless(chunked=False)


class _Hangup(Relay):
    def serve_proof(self) -> Response:
        raise Hangup


class _Truncated(Relay):
    def serve_proof(self) -> Response:
        return Response(200, [self.proof[:-10]], len(self.proof))


class _Refusing(Relay):
    def serve_proof(self) -> Response:
        return Response.of(b"down for maintenance", 503)


class _Moved(Relay):
    def serve_proof(self) -> Response:
        return Response.of(self.proof, 302)


class _Html(Relay):
    def serve_proof(self) -> Response:
        return Response.of(b"<html>log in to the hotel's network</html>")


for name, attack, kind, why in (
    ("silent", SLOW, Silent, "a source that says nothing is left after a while"),
    ("silent-about-roots", SLOW, _SilentRoots, "a source that says nothing is left after a while"),
    ("trickles", SLOW, _Trickle, "a byte now and then keeps no device waiting for ever"),
    ("hangs-up", DROPPED, _Hangup, "a source may hang up"),
    ("truncates", DROPPED, _Truncated, "an answer shorter than its length is no answer"),
    ("refuses", DROPPED, _Refusing, "a source may be down"),
    ("moved", DROPPED, _Moved, "an answer of another status is no answer"),
    ("answers-html", MIRROR, _Html, "a captive portal answers everything"),
    ("endless-proof", ENDLESS, _Endless, "an answer is read no further than its document may be long"),
    ("endless-proof-in-chunks", ENDLESS, _EndlessChunked, "without a length the same bound holds"),
):

    @case(f"relay.{name}", attack, "§8", UNREACHED, why, needs=BY_RELAY)
    def _(s: Scenario, kind: type[Relay] = kind) -> None:
        if kind is _SilentRoots:
            # Without its roots the proof is of validators that the device does not know.
            s.world.rotate_validators("second")
            s.seal()
        expected = refuse(*UNREACHED.reasons, *HEADER)
        s.check(
            relays=[s.relay(kind)], gateways=[s.gateway()], max_sent_bytes=MAX_SENT_BYTES, expect=expected
        )

    @case(
        f"relay.{name}-beside-an-honest-one",
        attack,
        "§8",
        ACCEPT,
        "one bad source beside a good one holds nothing up",
        needs=BY_RELAY,
    )
    def _(s: Scenario, kind: type[Relay] = kind) -> None:
        s.check(relays=[s.relay(kind), s.relay()], gateways=[s.gateway()], max_sent_bytes=MAX_SENT_BYTES)


@case(
    "relay.endless-root",
    ENDLESS,
    "§8",
    ACCEPT,
    "an endless root beside a good proof under the held root is left",
    needs=BY_RELAY,
)
def _(s: Scenario) -> None:
    s.check(relays=[s.relay(_EndlessRoot)], gateways=[s.gateway()], max_sent_bytes=MAX_SENT_BYTES)


@case("relay.honest", DROPPED, "§8", ACCEPT, "a relay serves files", needs=BY_RELAY)
def _(s: Scenario) -> None:
    s.install(relays=[s.relay()], gateways=[s.gateway()])


@case(
    "relay.serves-new-roots",
    "old validators' keys",
    "§3",
    ACCEPT,
    "a relay serves trust roots by version",
    needs=BY_RELAY,
)
def _(s: Scenario) -> None:
    s.world.rotate_validators("second")
    s.world.rotate_validators("third")
    s.seal()
    s.check(relays=[s.relay()], gateways=[s.gateway()], root_version=3)


# --- several sources


@case(
    "several.one-withholds-the-newest",
    "withheld revocation",
    "V2",
    refuse(Reason.REVOKED),
    "a source that withholds the newest block is found out by any other one",
    needs=BY_RELAY,
)
def _(s: Scenario) -> None:
    before = s.relay()
    s.world.revoke(s.head.id)
    s.seal()
    s.check(relays=[before, s.relay()], gateways=[s.gateway()], height=s.block.number)


@case(
    "several.newest-first",
    "withheld revocation",
    "V2",
    refuse(Reason.REVOKED),
    "the order in which sources answer means nothing",
    needs=BY_RELAY,
)
def _(s: Scenario) -> None:
    before = s.relay()
    s.world.revoke(s.head.id)
    s.seal()
    s.check(relays=[s.relay(), before], gateways=[s.gateway()], height=s.block.number)


@case(
    "several.two-blocks-at-one-height",
    "split view",
    "V2",
    refuse(Reason.SPLIT_VIEW),
    "two sources that show two sealed blocks at one height: validators lie",
    needs=BY_RELAY,
)
def _(s: Scenario) -> None:
    first, block = s.relay(), s.block
    s.world.revoke(bytes(32))
    s.seal(number=block.number, time=block.time)
    s.check(relays=[first, s.relay()], gateways=[s.gateway()], height=block.number)


@case(
    "several.forged-beside-honest",
    "forged header",
    "V1",
    ACCEPT,
    "a forged header beside an honest one is passed over",
    needs=BY_RELAY,
)
def _(s: Scenario) -> None:
    honest, height = s.relay(), s.block.number
    s.seal(s.undersealed(), number=9_000)
    s.check(relays=[s.relay(), honest], gateways=[s.gateway()], height=height)


@case(
    "several.roots-from-one-proof-from-another",
    "mix-and-match",
    "§3",
    ACCEPT,
    "roots and proofs may come from different sources: each is checked for itself",
    needs=BY_RELAY,
)
def _(s: Scenario) -> None:
    s.world.rotate_validators("second")
    s.seal()
    proof, known = s.world.proof(), tuple(s.world.roots)
    without_roots, without_proof = partial(Relay, proof, known[:1]), partial(_Refusing, proof, known)
    s.check(relays=[without_roots, without_proof], gateways=[s.gateway()], root_version=2)


# --- gateways


def _gateways(
    name: str, attack: str, expected: Expected, why: str, make: Callable[[Scenario], list[SiteMaker]]
) -> None:
    @case(f"gateway.{name}", attack, "V10", expected, why, needs=BY_RELAY)
    def _(s: Scenario) -> None:
        s.install(relays=[s.relay()], gateways=make(s), max_sent_bytes=MAX_SENT_BYTES)


def _image(s: Scenario, place: int = 2) -> Cid:
    return [cid for cid in documents.image_tree(s.head.images["rootfs"])[1] if cid.codec == RAW][place]


def _lying(answer: Callable[[Gateway, bytes], Response], place: int = 2) -> Callable[[Scenario], SiteMaker]:
    def make(s: Scenario) -> SiteMaker:
        cid = _image(s, place)
        block = s.world.blocks[cid]
        return s.gateway(lies={cid: lambda gateway: answer(gateway, block)})

    return make


LIES: Final[dict[str, tuple[str, Expected, Callable[[Gateway, bytes], Response]]]] = {
    "silent": (SLOW, refuse(*GONE), lambda gateway, _block: gateway.silence()),
    "trickles": (SLOW, refuse(*GONE), lambda gateway, block: gateway.trickle(block)),
    "endless": (
        ENDLESS,
        refuse(*GONE, *CONTENT),
        lambda gateway, block: gateway.endless(chunked=False, start=block),
    ),
    "endless-in-chunks": (
        ENDLESS,
        refuse(*GONE, *CONTENT),
        lambda gateway, block: gateway.endless(chunked=True, start=block),
    ),
    "other-bytes": (MIRROR, refuse(*GONE, *CONTENT), lambda _gateway, block: Response.of(bytes(len(block)))),
    "not-there": (DROPPED, refuse(*GONE), lambda _gateway, _block: Response.of(b"", 404)),
    "down": (DROPPED, refuse(*GONE), lambda _gateway, _block: Response.of(b"", 500)),
}


def _lies(name: str, attack: str, expected: Expected, answer: Callable[[Gateway, bytes], Response]) -> None:
    lying = _lying(answer)
    _gateways(
        f"{name}-alone",
        attack,
        expected,
        "a block that nobody gives is not installed",
        lambda s: [lying(s)],
    )
    _gateways(
        f"{name}-beside-an-honest-one",
        attack,
        ACCEPT,
        "one bad gateway beside a good one does no harm",
        lambda s: [lying(s), s.gateway()],
    )


for name, (attack, expected, lie) in LIES.items():
    _lies(name, attack, expected, lie)
_gateways(
    "two-that-have-half",
    DROPPED,
    ACCEPT,
    "blocks may come from any mix of gateways",
    lambda s: [s.gateway(without=[_image(s, 1)]), s.gateway(without=[_image(s, 2)])],
)
