"""Attacks by whoever stands between a device and the ledger, and by whoever holds validators' keys."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from examples.demo.attacking.forgery import ForgedState
from examples.demo.attacking.lab import GROUP, LAB
from examples.demo.attacking.lies import OtherChain, SwapBlocks, SwapWord
from examples.demo.attacking.server import ask_node
from ledger_client.bundles import Content, make_bundle
from ledger_client.rotation import RootShelf
from ledger_protocol.ledger.header import parse_header

if TYPE_CHECKING:
    from pathlib import Path

    from examples.demo.attacking.front import Front
    from ledger_client.releases import Release

EVIL = hashlib.sha256(b"a release of the attacker's own").digest()
TWO_YEARS_S = 2 * 365 * 86_400


def attack_headers(front: Front) -> None:
    """Forged blocks, each perfect but for one thing."""
    lab, header = front.lab, front.lab.header()
    real = parse_header(header)
    words = lab.words_for(EVIL)

    def forge(stolen: int, *, higher: int, later_s: int) -> ForgedState:
        return ForgedState(
            header,
            ledger=lab.reference,
            words=words,
            keys=lab.validator_keys(stolen),
            number=real.number + higher,
            timestamp=real.timestamp + later_s,
        )

    front.device(
        "2 of 4 validators' keys stolen: a forged state under a new header",
        "header-quorum",
        lie=forge(2, higher=1, later_s=1),
    )
    front.device(
        "all 4 stolen: another block at the height that the device knows",
        "split-view",
        lie=forge(4, higher=0, later_s=0),
    )
    front.device(
        "all 4 stolen: a block two years ahead, to freeze the device for good",
        "header-from-future",
        lie=forge(4, higher=1, later_s=TWO_YEARS_S),
    )


def attack_answers(front: Front, head: Release, other: Release, staging: str) -> None:
    """Nodes that change proofs or are of another chain, and a gateway that changes blocks."""
    front.device(
        "a staging chain: same validators, same contract, same address",
        "wrong-contract",
        lie=OtherChain(partial(ask_node, staging)),
    )
    front.device(
        "a lying RPC node: another head in every value and every proof",
        "bad-proof",
        lie=SwapWord(head.id, EVIL),
    )
    foreign = min(map(front.lab.store.get, front.lab.leaves(other)), key=len)
    # A block longer than the one asked for is not even read to its end.
    leaves = frozenset(
        str(cid) for cid in front.lab.leaves(head) if front.lab.store.size(cid) >= len(foreign)
    )
    front.device(
        "a gateway swaps blocks for those of another signed release",
        "corrupt-content",
        lie=SwapBlocks(leaves, foreign),
    )


def attack_bundles(front: Front, head: Release) -> None:
    """Sticks that somebody had in hand."""
    lab = front.lab
    stick = lab.world.folder / "lab-stick"
    stick.mkdir()
    whole = stick / "lab.car"
    make_bundle(
        lab.ledger,
        held=lab.app.root,
        shelf=RootShelf(lab.app.config.release.trust_root),
        vouched=lab.app.vouched(),
        channel=LAB,
        groups=[GROUP],
        devices=[],
        journal=lab.reference.journal,
        content=Content(lab.store.get),
        out=whole,
        from_block=lab.reference.from_block,
    )
    leaf = lab.store.get(lab.leaves(head)[0])
    front.device(
        "a bundle with one bit flipped in its image",
        "corrupt-content",
        *("install", "--bundle", str(_flipped(whole, leaf))),
        servers="honest",
    )
    front.device(
        "a bundle cut short, in the middle of a block",
        "corrupt-content",
        *("install", "--bundle", str(_cut(whole))),
        servers="honest",
    )


def _flipped(whole: Path, leaf: bytes) -> Path:
    data = bytearray(whole.read_bytes())
    data[data.index(leaf) + len(leaf) // 2] ^= 1
    path = whole.with_name("flipped.car")
    path.write_bytes(data)
    return path


def _cut(whole: Path) -> Path:
    data = whole.read_bytes()
    path = whole.with_name("cut.car")
    path.write_bytes(data[: len(data) * 2 // 3])
    return path
