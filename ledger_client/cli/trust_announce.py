"""The ledger's part of `fwledger trust publish`: the first digest at once, later ones through the queue."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so commands import it when they reach for the chain

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger_client.cli.acts import approval_document, settle
from ledger_client.cli.words import utc
from ledger_client.errors import UsageError

if TYPE_CHECKING:
    from ledger_client.acts import Act, Rollout
    from ledger_client.cli.app import App
    from ledger_client.governance import Change, Governance
    from ledger_client.trust import HeldRoot

_Told = tuple[dict[str, Any], list[str]]


def announce_on_ledger(app: App, held: HeldRoot, *, dry_run: bool, options: dict[str, Any]) -> _Told:
    """Go one step on the way of a trust root's digest to the ledger: what is so then, as JSON and as lines.

    A signed root goes to IPFS first. Raises UsageError where the ledger is not at the version before.
    """
    from ledger_client.governance import Governance, State

    version = app.ledger.trust_root_version()
    governance = Governance(app.ledger, from_block=app.config.chain.from_block)
    if app.ledger.trust_root().hex() == held.fingerprint:
        if not dry_run:
            app.keep_trust_root(held.signed)
        return {"state": "announced"}, ["ledger       announced already"]
    if version and held.root.version != version + 1:
        raise UsageError(
            "version of the trust root",
            expected=f"{version + 1}, since the ledger names version {version}",
            got=held.root.version,
            hint="publish the versions between one by one: --file trust-root-N.cbor",
        )
    pending = _pending(governance, held)
    if dry_run:
        return _would(app, pending, first=not version)
    if pending is not None and pending.state is State.WAITING:
        app.keep_trust_root(held.signed)
        return _proposed(app, pending)
    if pending is not None:
        app.keep_trust_root(held.signed)
        app.send(governance.execute(pending))
        return _announced(held)
    return _first(app, held, options) if not version else _propose(app, governance, held, options)


def _first(app: App, held: HeldRoot, options: dict[str, Any]) -> _Told:
    from ledger_client.trust import announce_act

    def plan(deadline: int, _: Rollout | None) -> Act:
        return announce_act(app.ledger, held.signed, deadline=deadline)

    if settle(app, plan, first=lambda: app.keep_trust_root(held.signed), **options) is None:
        return approval_document(app, options["approve_only"])
    return _announced(held)


def _propose(app: App, governance: Governance, held: HeldRoot, options: dict[str, Any]) -> _Told:
    from ledger_client.trust import announcement

    def plan(deadline: int, _: Rollout | None) -> Act:
        return governance.act("AnnounceTrustRoot", deadline=deadline, **announcement(held.signed))

    if settle(app, plan, first=lambda: app.keep_trust_root(held.signed), **options) is None:
        return approval_document(app, options["approve_only"])
    made = _pending(governance, held)
    if made is None:
        raise UsageError(
            "the proposal was sent and the node does not show it", hint="`fwledger governance show`"
        )
    return _proposed(app, made)


def _pending(governance: Governance, held: HeldRoot) -> Change | None:
    """The newest proposal to announce this very document that waits or is ready."""
    from ledger_client.governance import State

    found = None
    for change in governance.changes():
        ours = change.act.name == "AnnounceTrustRoot" and change.act["digest"].hex() == held.fingerprint
        if ours and change.state in (State.WAITING, State.READY):
            found = change
    return found


def _announced(held: HeldRoot) -> _Told:
    return {"state": "announced"}, [f"ledger       announced  version {held.root.version}"]


def _proposed(app: App, change: Change) -> _Told:
    document = {"state": "proposed", "change": "0x" + change.id.hex(), "ready_at": change.ready_at}
    lines = [f"ledger       proposed, to be announced from {utc(change.ready_at)}: change {change.id.hex()}"]
    app.say("next: the same command then; until then a guardian can cancel it, and IPFS and files serve it")
    return document, lines


def _would(app: App, pending: Change | None, *, first: bool) -> _Told:
    from ledger_client.governance import State

    if pending is None:
        state = "would announce" if first else "would propose"
        _, governors = app.ledger.thresholds()
        return {"state": state}, [f"ledger       {state}, with the approval of {governors} governors"]
    if pending.state is State.WAITING:
        return _proposed(app, pending)
    return {"state": "would announce"}, [f"ledger       would execute change {pending.id.hex()}"]
