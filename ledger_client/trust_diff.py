"""What a new version of a trust root changes, in the words that people at a key ceremony read aloud."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ledger_client.config import checksum_address
from ledger_client.rotation import resets_floor
from ledger_protocol.ledger.qbft import quorum
from ledger_protocol.release.witness_key import WitnessKey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from ledger_protocol.release.trust_root import (
        KeySet,
        LedgerRef,
        QbftTrust,
        TrustRoot,
        WitnessTrust,
    )


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that changes: the field of the document, its values before and after, and the sentence."""

    field: str
    before: object
    after: object
    text: str


def differences(old: TrustRoot, new: TrustRoot) -> tuple[Difference, ...]:
    """Everything that `new` says otherwise than `old`, but for version, previous and time of issue."""
    found: list[Difference] = []
    found += _keys("root_keys", "trust roots", old.root_keys, new.root_keys)
    found += _keys("release_keys", "releases", old.release_keys, new.release_keys)
    found += _ledger(old.ledger, new.ledger)
    found += _validators(old.headers.qbft, new.headers.qbft)
    found += _witnesses(old.headers.witnesses, new.headers.witnesses)
    if new.headers.qbft is not None and new.headers.witnesses is not None:
        found += _one("headers.require", "headers", old.headers.require, new.headers.require, _required)
    found += _one("expires", "expiry", old.expires, new.expires, _utc)
    found += _one(
        "max_checkpoint_age", "oldest header", old.max_checkpoint_age, new.max_checkpoint_age, _hours
    )
    found += _one("operator", "approval needed", old.operator, new.operator, _nobody_or)
    return tuple(found)


def warnings(old: TrustRoot, new: TrustRoot) -> tuple[str, ...]:
    """What people should know before they sign `new`."""
    found: list[str] = []
    same_ledger = (old.ledger.chain_id, old.ledger.address) == (new.ledger.chain_id, new.ledger.address)
    if resets_floor(old, new):
        if same_ledger and new.ledger.from_block <= old.ledger.from_block:
            found.append(
                f"the height floor falls to block {new.ledger.from_block} and from_block did not rise: blocks"
                " sealed before the change count again wherever the new signers vouch for them"
            )
        else:
            found.append(
                f"devices forget the height that they saw and start at block {new.ledger.from_block} of"
                f" {_utc(new.ledger.from_time)}; nothing older counts"
            )
    if not same_ledger:
        found.append("devices follow another ledger: what is published on the old one no longer counts")
    if new.headers.require == "any" and new.headers.qbft is not None and new.headers.witnesses is not None:
        found.append("seals or notes are enough, each alone: the weaker of the two decides")
    gone = [key for key in old.root_keys.keys if key not in new.root_keys.keys]
    if gone:
        found.append(
            "a threshold of retired root keys still captures devices that have not taken this version:"
            f" destroy {', '.join(key.key_id.hex()[:16] for key in gone)} once the fleet has it"
        )
    if not set(old.release_keys.keys) & set(new.release_keys.keys):
        found.append(
            "no release key stays: devices refuse the head (V7) until a release of the new keys is published"
        )
    if new.root_keys.threshold == len(new.root_keys.keys):
        found.append("every root key must sign: one that is lost ends all rotation (3 of 5 is usual)")
    if new.expires is not None and (old.expires is None or new.expires < old.expires):
        found.append(f"devices with a clock stop at {_utc(new.expires)} unless a newer version reaches them")
    return tuple(found)


def _one(field: str, title: str, old: _T, new: _T, show: Callable[[_T], str]) -> Iterator[Difference]:
    if old != new:
        text = f"{title}: {show(new)} (before: {show(old)})"
        yield Difference(field, _plain(old), _plain(new), text)


def _keys(field: str, title: str, old: KeySet, new: KeySet) -> Iterator[Difference]:
    for key in old.keys:
        if key not in new.keys:
            yield Difference(
                field, key.key_id.hex(), None, f"{title}: {key.kind} key {key.key_id.hex()} leaves"
            )
    for key in new.keys:
        if key not in old.keys:
            yield Difference(
                field, None, key.key_id.hex(), f"{title}: {key.kind} key {key.key_id.hex()} joins"
            )
    before, after = (old.threshold, len(old.keys)), (new.threshold, len(new.keys))
    if before != after:
        yield Difference(
            f"{field}.threshold",
            old.threshold,
            new.threshold,
            f"{title}: {after[0]} of {after[1]} keys must sign (before: {before[0]} of {before[1]})",
        )


def _ledger(old: LedgerRef, new: LedgerRef) -> Iterator[Difference]:
    if old.chain_id != new.chain_id:
        yield Difference(
            "ledger.chain_id",
            old.chain_id,
            new.chain_id,
            f"ledger: on chain {new.chain_id} (before: {old.chain_id})",
        )
    for name in ("address", "journal"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            what = "ledger" if name == "address" else "journal"
            yield Difference(
                f"ledger.{name}",
                checksum_address(before),
                checksum_address(after),
                f"{what}: {checksum_address(after)} (before: {checksum_address(before)})",
            )
    if old.code_hash != new.code_hash:
        yield Difference(
            "ledger.code_hash",
            "0x" + old.code_hash.hex(),
            "0x" + new.code_hash.hex(),
            f"ledger: code hash 0x{new.code_hash.hex()}",
        )
    if (old.from_block, old.from_time) != (new.from_block, new.from_time):
        yield Difference(
            "ledger.from_block",
            old.from_block,
            new.from_block,
            f"ledger: blocks count from {new.from_block} of {_utc(new.from_time)}"
            f" (before: {old.from_block} of {_utc(old.from_time)})",
        )


def _validators(old: QbftTrust | None, new: QbftTrust | None) -> Iterator[Difference]:
    before = {one.address: one for one in old.validators} if old is not None else {}
    after = {one.address: one for one in new.validators} if new is not None else {}
    for address in (one for one in before if one not in after):
        name = checksum_address(address)
        yield Difference("headers.qbft", name, None, f"validators: {name} leaves")
    for address in (one for one in after if one not in before):
        name = checksum_address(address)
        yield Difference("headers.qbft", None, name, f"validators: {name} joins")
    if len(before) != len(after):
        yield Difference("headers.qbft.quorum", _seals(before), _seals(after), _sealing(before, after))
    if old is not None and new is not None:
        counts = old.min_validators, new.min_validators
        yield from _one("headers.qbft.min_validators", "fewest validators", *counts, str)


def _witnesses(old: WitnessTrust | None, new: WitnessTrust | None) -> Iterator[Difference]:
    before = old.keys if old is not None else ()
    after = new.keys if new is not None else ()
    for vkey, gone in [*((key, True) for key in before), *((key, False) for key in after)]:
        if vkey in before and vkey in after:
            continue
        name = WitnessKey.parse(vkey).name
        yield Difference(
            "headers.witnesses",
            vkey if gone else None,
            None if gone else vkey,
            f"witnesses: {name} {'leaves' if gone else 'joins'}  {vkey}",
        )
    rules = [(one.threshold, len(one.keys)) if one is not None else (0, 0) for one in (old, new)]
    if rules[0] != rules[1]:
        yield Difference(
            "headers.witnesses.threshold",
            rules[0][0],
            rules[1][0],
            f"witnesses: {_of(rules[1])} must agree (before: {_of(rules[0])})",
        )
    for name, say in (("final", "sign what the rule {} calls final"), ("origin", "sign as {}")):
        values = [getattr(one, name) if one is not None else None for one in (old, new)]
        if new is not None and values[0] != values[1]:
            text = f"witnesses: {say.format(values[1])} (before: {values[0] or 'none'})"
            yield Difference(f"headers.witnesses.{name}", values[0], values[1], text)


def _required(rule: str) -> str:
    return "seals and notes must both hold" if rule == "all" else "seals or notes are enough"


def _seals(validators: Collection[bytes]) -> int:
    return quorum(len(validators)) if validators else 0


def _sealing(before: Collection[bytes], after: Collection[bytes]) -> str:
    told = [f"{_seals(side)} of {len(side)}" if side else "none" for side in (before, after)]
    return f"validators: {told[1]} must seal a header (before: {told[0]})"


def _of(rule: tuple[int, int]) -> str:
    return f"{rule[0]} of {rule[1]}" if rule[1] else "none"


def _nobody_or(address: bytes | None) -> str:
    return "none" if address is None else f"of {checksum_address(address)}"


def _plain(value: object) -> object:
    return checksum_address(value) if isinstance(value, bytes) else value


def _hours(age_s: int | None) -> str:
    return "any age" if age_s is None else f"{age_s / 3600:g} h"


def _utc(at_s: int | None) -> str:
    return "never" if at_s is None else time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_s))
