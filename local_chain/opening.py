"""Opening a chain: a new one, one from its state directory, or one that follows another node."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger_protocol.release.trust_root import Validator
from local_chain.accounts import BALANCE_WEI, dev_accounts
from local_chain.chain import Chain
from local_chain.errors import StateError
from local_chain.follower import Follower, Succession
from local_chain.forks import Fork
from local_chain.genesis import DEFAULT_CHAIN_ID, DEFAULT_GAS_LIMIT, Genesis, genesis_from_json
from local_chain.json_input import read_json
from local_chain.node import Node
from local_chain.sealing import NoSeals, Sealer, new_keys, read_keys, write_keys
from local_chain.storage import KEYS_NAME, Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from local_chain.upstream import Upstream

DEFAULT_FORK = Fork.PRAGUE
DEFAULT_VALIDATORS = 4  # the least with which one may fail; what trust roots ask for
DEFAULT_ROUND_JITTER = 0.05
_DUMPED_KEYS = "validatorKeys"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a new chain is to be; None takes the default, and for a chain that exists takes what it is."""

    chain_id: int | None = None
    fork: Fork | None = None
    validators: int | None = None
    gas_limit: int | None = None
    seed: str | None = None
    round_jitter: float = DEFAULT_ROUND_JITTER
    sealed: bool | None = None  # by default they are; no device trusts a chain without seals
    instant: bool = True


def dump(node: Node, path: Path) -> None:
    """Write the whole chain, with its validators' keys, to a file for ``open_node(load=...)``."""
    chain = node.chain
    if chain.sealer is not None:
        chain.store.set_meta(_DUMPED_KEYS, [key.hex() for key in chain.sealer.secret_keys])
    try:
        chain.store.copy_to(path)
    finally:
        chain.store.forget_meta(_DUMPED_KEYS)


def open_node(settings: Settings, *, state: Path | None, unlocked: bool, load: Path | None = None) -> Node:
    """A sealing node over ``state``, or over memory; ``unlocked`` lets it sign for the development accounts.

    ``load`` is a file that ``dump`` wrote, with which a new chain begins.

    Raises StateError when the state is in use, damaged, or of a chain other than the settings ask for.
    """
    store = Store(state)
    try:
        if load is not None:
            store.copy_from(load)
        kept = store.meta("genesis")
        known = None if kept is None else genesis_from_json(kept)
        if settings.sealed is False if known is None else not known.validators:
            sealer: Sealer | NoSeals = _no_seals(settings)
        else:
            keys = _keys(settings, store, state) if load is None else _loaded_keys(store, state)
            sealer = Sealer(keys, round_jitter=settings.round_jitter)
        genesis = _new_genesis(settings, sealer) if known is None else known
        _compare(settings, genesis)
        accounts = dev_accounts()
        chain = Chain(store, genesis, sealer=sealer)
    except BaseException:
        store.close()
        raise
    return Node(
        chain,
        accounts=accounts if unlocked else (),
        identities=sealer.identities,
        instant=settings.instant,
    )


def open_follower(
    upstream: Upstream, *, state: Path | None, pins: Path | None, keys: Path | None, takeover_s: float | None
) -> tuple[Node, Follower]:
    """A node that follows ``upstream``, over ``state`` or over memory.

    The validators that it trusts come from the file ``pins``, from the key file ``keys`` (by default the
    state's own), or from what the state was started with. Raises StateError when there are none, or when
    they are not those of the chain; UpstreamError when a first start cannot learn the chain's genesis
    document.
    """
    store = Store(state)
    try:
        if keys is None and state is not None and (state / KEYS_NAME).exists():
            keys = state / KEYS_NAME
        sealer = None if keys is None else Sealer(read_keys(keys))
        succession = _succession(sealer, takeover_s)
        pinned = _pinned(store, pins, sealer)
        kept = store.meta("genesis")
        genesis = genesis_from_json(upstream.call("fwledger_genesis") if kept is None else kept)
        _expect_pinned(genesis, pinned)
        node = Node(Chain(store, genesis, sealer=None), identities=pinned)
        follower = Follower(node, upstream, pinned=pinned, succession=succession)
        store.set_meta("pinned", validators_json(pinned))
    except BaseException:
        store.close()
        raise
    return node, follower


def validators_json(validators: Sequence[Validator]) -> list[dict[str, str]]:
    """Addresses and public keys as the commands and the ready document write them."""
    return [
        {"address": "0x" + validator.address.hex(), "publicKey": "0x" + validator.public_key.hex()}
        for validator in validators
    ]


def _succession(sealer: Sealer | None, takeover_s: float | None) -> Succession | None:
    if sealer is None:
        if takeover_s is not None:
            raise StateError("taking over needs the validators' keys: give --keys FILE")
        return None
    return Succession(sealer, takeover_s)


def _expect_pinned(genesis: Genesis, pinned: Sequence[Validator]) -> None:
    if not genesis.validators:
        raise StateError(
            "nobody seals that chain: its blocks cannot be checked",
            hint="start that node without --seal none",
        )
    if genesis.validators != tuple(sorted(validator.address for validator in pinned)):
        raise StateError("the chain's validators are not the pinned ones")


def _pinned(store: Store, pins: Path | None, sealer: Sealer | None) -> tuple[Validator, ...]:
    if pins is not None:
        try:
            document = read_json(pins)
        except (OSError, ValueError) as error:
            raise StateError(f"{pins}: not a list of validators: {error}") from error
        return _validators(document.get("validators") if isinstance(document, dict) else None)
    if sealer is not None:
        return sealer.identities
    kept = store.meta("pinned")
    if kept is None:
        raise StateError(
            "no validators pinned", hint="give --pin FILE, as `fwledger-chain validators --json` prints it"
        )
    return _validators(kept)


def _validators(entries: object) -> tuple[Validator, ...]:
    if not isinstance(entries, list) or not entries:
        raise StateError("no validators in the list to pin")
    try:
        return tuple(
            Validator(bytes.fromhex(entry["address"][2:]), bytes.fromhex(entry["publicKey"][2:]))
            for entry in entries
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"not a list of validators: {error}") from error


def _no_seals(settings: Settings) -> NoSeals:
    if settings.validators is not None or settings.seed is not None:
        raise StateError("a chain without seals has no validators", hint="leave --validators and --seed out")
    return NoSeals()


def _keys(settings: Settings, store: Store, state: Path | None) -> tuple[bytes, ...]:
    count = DEFAULT_VALIDATORS if settings.validators is None else settings.validators
    if state is None:
        return new_keys(count, seed=settings.seed)
    path = state / KEYS_NAME
    if not path.exists() and store.head is not None:
        raise StateError(
            f"the state has a chain, but not its validators' keys: {path} is missing",
            hint="put the file back, or serve the chain without sealing: fwledger-chain follow",
        )
    if not path.exists():
        write_keys(path, new_keys(count, seed=settings.seed))
    return read_keys(path)


def _loaded_keys(store: Store, state: Path | None) -> tuple[bytes, ...]:
    kept = store.meta(_DUMPED_KEYS)
    if not isinstance(kept, list):
        raise StateError("the loaded file holds no validators' keys: it was not written by --dump-state")
    store.forget_meta(_DUMPED_KEYS)  # they are kept in their own file
    keys = tuple(bytes.fromhex(key) for key in kept)
    if state is not None:
        write_keys(state / KEYS_NAME, keys)
    return keys


def _new_genesis(settings: Settings, sealer: Sealer | NoSeals) -> Genesis:
    return Genesis(
        chain_id=DEFAULT_CHAIN_ID if settings.chain_id is None else settings.chain_id,
        fork=DEFAULT_FORK if settings.fork is None else settings.fork,
        timestamp=int(time.time()),
        gas_limit=DEFAULT_GAS_LIMIT if settings.gas_limit is None else settings.gas_limit,
        validators=sealer.addresses,
        balances={account.address: BALANCE_WEI for account in dev_accounts()},
    )


def _compare(settings: Settings, genesis: Genesis) -> None:
    fork = None if settings.fork is None else settings.fork.label
    for name, wanted, is_ in (
        ("chain id", settings.chain_id, genesis.chain_id),
        ("fork", fork, genesis.fork.label),
        ("seals", settings.sealed, bool(genesis.validators)),
        ("validators", settings.validators, len(genesis.validators)),
        ("gas limit", settings.gas_limit, genesis.gas_limit),
    ):
        if wanted is not None and wanted != is_:
            raise StateError(
                f"the state has another chain: expected {name} {wanted}, got {is_}",
                hint="leave the option out to go on with it, or give another --state",
            )
