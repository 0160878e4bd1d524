"""`fwledger audit`: the history, its proofs, and evidence for others. Needs no key and no account."""

# ruff: noqa: PLC0415 - web3 takes a second to import, so it is imported when a node is asked

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger_client.cli.app import App, command
from ledger_client.cli.audit_files import known_lines, open_output, progress
from ledger_client.errors import EXIT_NOT_TRUSTED, NotTrustedError, UsageError
from ledger_protocol.errors import ProtocolError
from ledger_protocol.limits import MAX_TRUST_ROOT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ledger_client.audit.history import History
    from ledger_client.audit.names import GatewayNames
    from ledger_client.audit.timeline import Row
    from ledger_client.audit.trust import TrustHistory

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Where the history comes from, and what it is checked against."""

    trust: TrustHistory
    export: Path | None
    names: GatewayNames
    look_up: bool
    known: Path | None
    witnesses: tuple[str, ...]


def _trust_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What proofs are checked against; `_trust` takes them."""
    for option in (
        click.option(
            "--fingerprint", metavar="HEX", help="what the first trust root's document must hash to (SHA-256)"
        ),
        click.option(
            "--trust-root",
            "roots",
            multiple=True,
            required=True,
            type=_FILE,
            metavar="FILE",
            help="the first trust root, then later ones in order; repeatable",
        ),
    ):
        function = option(function)
    return function


def _with_inputs(function: Callable[..., int]) -> Callable[..., int]:
    for option in (
        click.option(
            "--known",
            type=_FILE,
            metavar="FILE",
            help="an earlier export: what it proves is not asked for again, nor are its notes",
        ),
        click.option(
            "--witness",
            "witnesses",
            multiple=True,
            metavar="SOURCE",
            help="who gives notes: a URL or a folder; repeatable [default: witness.sources]",
        ),
        click.option(
            "--gateway",
            "gateways",
            multiple=True,
            metavar="URL",
            help="where to look up versions, reports and anchored events",
        ),
        click.option(
            "--from", "export", type=_FILE, metavar="FILE", help="read an export instead of asking a node"
        ),
    ):
        function = option(function)
    return _trust_options(function)


@click.group()
def audit() -> None:
    """Prove what was released and what devices did, from any RPC node and a trust root."""


@audit.command()
@command(
    "fwledger audit timeline --trust-root trust-root.cbor --device 0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
)
@_with_inputs
@click.option("--device", metavar="0xADDRESS", help="only what is about this device")
@click.option("--release", metavar="HEX", help="only what is about this release id")
@click.option("--channel", "channels", multiple=True, metavar="NAME", help="a channel's name")
def timeline(
    app: App,
    device: str | None,
    release: str | None,
    channels: tuple[str, ...],
    **given: Any,
) -> int:
    """Tell the history, each line proved, with the ledger's time and the device's own. Exits with 1 where
    something
    does not hold or is missing.
    """
    from ledger_client.audit.timeline import rows, standings

    wanted_device = _octets(device, 20, "--device")
    wanted_release = _octets(release, 32, "--release")
    inputs = _inputs(app, given, channels=channels)
    history, names = _prove(app, inputs), inputs.names
    for published in history.releases:  # a manifest names its channels, which earlier rows may need
        names.release(published)
    told = rows(history, names=names, device=wanted_device, release=wanted_release)
    stands = [
        standing
        for standing in standings(history, names=names)
        if wanted_device in (None, standing.device) and wanted_release in (None, standing.release)
    ]
    lines = [_row_text(row) for row in told]
    if stands:
        lines += ["", "last statement of each device about each release of its channel"]
        lines += [f"  0x{s.device.hex()}  {names.release(s.release)}: {s.text}" for s in stands]
    document = {
        "rows": [_row_json(row) for row in told],
        "standings": [
            {"device": "0x" + s.device.hex(), "release": "0x" + s.release.hex(), "last_statement": s.text}
            for s in stands
        ],
    }
    app.emit("audit-timeline", {**document, **_verdict_json(history)}, lines)
    return _finish(app, history)


@audit.command()
@command("fwledger audit verify --trust-root trust-root.cbor --from history.ndjson")
@_with_inputs
def verify(app: App, **given: Any) -> int:
    """Prove every line again: seals, receipt and state proofs, signatures, event chains. Names what is
    missing, and exits with 1 then.
    """
    history = _prove(app, _inputs(app, given))
    findings = [{"verdict": f.verdict, "where": f.where, "what": f.what} for f in history.findings]
    lines = [f"{f.verdict:<6} {f.where}: {f.what}" for f in history.findings]
    app.emit("audit-verify", {"findings": findings, **_verdict_json(history)}, lines)
    return _finish(app, history, listed=True)


@audit.command("export")
@command("fwledger audit export --trust-root trust-root.cbor --output history.ndjson")
@_with_inputs
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="else standard output",
)
def export_command(app: App, output: Path | None, **given: Any) -> int:
    """Write the history with its evidence, one JSON line a transaction: anybody can prove it offline."""
    inputs = _inputs(app, given)
    if inputs.export is not None:
        raise UsageError("--from names an export already", hint="leave it out to make one from a node")
    with open_output(output) as out:
        history = _prove(app, inputs, write=lambda line: print(line, file=out))
    return _finish(app, history)


@audit.command()
@command(
    "fwledger audit anchored device.anchored --device 0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
    " --trust-root trust-root.cbor"
)
@click.argument("file", type=_FILE)
@click.option("--device", required=True, metavar="0xADDRESS", help="whose events they are said to be")
@_trust_options
def anchored(app: App, file: Path, device: str, **given: Any) -> None:
    """Prove events that stay off the chain from a file alone: seals, receipt, tree, signatures. Asks
    nobody.
    """
    from ledger_client.audit.anchored import prove_anchored
    from ledger_protocol.report.anchor import MAX_ANCHOR_PROOF_BYTES

    trust = _trust(app, given)
    with file.open("rb") as stream:
        raw = stream.read(MAX_ANCHOR_PROOF_BYTES + 1)
    address = _octets(device, 20, "--device") or b""
    try:
        found = prove_anchored(raw, device=address, trust=trust)
    except ProtocolError as error:
        raise NotTrustedError(f"{file}: {error}", hint=error.hint) from error
    events = [
        {
            "sequence": one.sequence,
            "kind": one.kind.name.lower(),
            "release": "0x" + one.release.hex(),
            "device_time": one.time,
            "detail": "0x" + one.detail.hex(),
        }
        for one in found.events
    ]
    document = {
        "device": "0x" + address.hex(),
        "block": found.block,
        "ledger_time": found.time,
        "gateway": "0x" + found.anchored.gateway.hex(),
        "root": "0x" + found.anchored.root.hex(),
        "anchored": found.anchored.count,
        "events": events,
    }
    lines = [
        f"anchored  block {found.block}, ledger {_when(found.time)}, {found.anchored.count} events in all"
    ]
    lines += [
        f"event     {e['sequence']}  {e['kind']}  release {str(e['release'])[2:18]}"
        f"  device {_when(int(str(e['device_time'])))}"
        for e in events
    ]
    app.emit("audit-anchored", document, lines)


def _inputs(app: App, given: dict[str, Any], *, channels: tuple[str, ...] = ()) -> _Inputs:
    from device_verifier.sources.gateway import GatewayBlocks
    from ledger_client.audit.names import GatewayNames

    if given["export"] is not None and given["known"] is not None:
        raise UsageError("--from and --known contradict each other", hint="--known saves asking a node anew")
    trust = _trust(app, given)
    gateways = [GatewayBlocks(url) for url in given["gateways"]]
    names = GatewayNames(gateways, channels=[*channels, *app.config.release.channels])
    return _Inputs(trust, given["export"], names, bool(gateways), given["known"], given["witnesses"])


def _trust(app: App, given: dict[str, Any]) -> TrustHistory:
    from ledger_client.audit.trust import TrustHistory

    first, *later = [_read_root(path) for path in given["roots"]]
    fingerprint = _octets(given["fingerprint"], 32, "--fingerprint")
    try:
        trust = TrustHistory.open(first, later=later, fingerprint=fingerprint)
    except ProtocolError as error:
        raise NotTrustedError(
            f"trust root: {error}",
            hint=error.hint or "give the file that the manufacturer's `fwledger deploy` wrote",
        ) from error
    if fingerprint is None:
        app.say(f"note: trust root {trust.digests[0].hex()} is taken as given; --fingerprint compares it")
    return trust


def _read_root(path: Path) -> bytes:
    with path.open("rb") as stream:
        raw = stream.read(MAX_TRUST_ROOT_BYTES + 1)
    if len(raw) > MAX_TRUST_ROOT_BYTES:
        raise UsageError(
            f"{path}: no trust root", expected=f"at most {MAX_TRUST_ROOT_BYTES} bytes", got="more"
        )
    return raw


def _prove(app: App, inputs: _Inputs, *, write: Callable[[str], None] | None = None) -> History:
    from ledger_client.audit.export import bounded_lines
    from ledger_client.audit.session import audit_export, audit_live
    from ledger_client.network import Network
    from ledger_client.witness.notes import Notes

    if inputs.export is not None:
        with inputs.export.open("rb") as stream:
            try:
                return audit_export(bounded_lines(stream), inputs.trust)
            except ProtocolError as error:
                raise NotTrustedError(f"{inputs.export}: {error}", hint=error.hint) from error
    chain, witness = app.config.chain, app.config.witness
    notes = Notes(inputs.witnesses or witness.sources, timeout_s=witness.timeout_s)
    # Read whole before anything is written: it may be the very file that is written anew.
    known = known_lines(inputs.known) if inputs.known is not None else []
    network = Network(
        chain.rpc,
        chain_id=inputs.trust.newest.ledger.chain_id,
        timeout_s=chain.timeout_s,
        receipt_timeout_s=chain.receipt_timeout_s,
    )
    try:
        with progress(app) as done:
            batches = inputs.names.anchor if inputs.look_up else None
            return audit_live(
                network,
                inputs.trust,
                notes=notes,
                known=known,
                progress=done,
                export=write,
                batches=batches,
            )
    finally:
        network.close()


def _finish(app: App, history: History, *, listed: bool = False) -> int:
    """Say how it went, and what is wrong or missing unless the result has `listed` that already."""
    from ledger_client.audit.findings import Verdict

    troubles = [finding for finding in history.findings if finding.verdict != Verdict.PROVED]
    counts = _verdict_json(history)
    gaps, wrong = len(counts["gaps"]), len(counts["wrong"])
    app.say(*(f"{f.verdict}: {f.where}: {f.what}" for f in troubles if not listed))
    app.say(
        f"{counts['statements']} statements up to block {history.last_block} ({_when(history.last_time)}): "
        f"{counts['proved']} checks proved, {gaps} {'gap' if gaps == 1 else 'gaps'}, {wrong} wrong"
    )
    return EXIT_NOT_TRUSTED if troubles or not history.findings else 0


def _verdict_json(history: History) -> dict[str, Any]:
    from ledger_client.audit.findings import Verdict

    return {
        "block": history.last_block,
        "ledger_time": history.last_time,
        "statements": len(history.statements),
        "proved": sum(f.verdict == Verdict.PROVED for f in history.findings),
        "gaps": [f"{f.where}: {f.what}" for f in history.findings if f.verdict == Verdict.GAP],
        "wrong": [f"{f.where}: {f.what}" for f in history.findings if f.verdict == Verdict.WRONG],
    }


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "block": row.block,
        "ledger_time": row.ledger_time,
        "device_time": row.device_time,
        "who": row.who,
        "what": row.what,
        "release": None if row.release is None else "0x" + row.release.hex(),
        "text": row.text,
    }


def _row_text(row: Row) -> str:
    device_time = f"device {_when(row.device_time)}" if row.device_time is not None else ""
    who = row.who if len(row.who) <= 20 else f"{row.who.split('0x')[0]}0x{row.who.split('0x')[1][:8]}"
    return f"ledger {_when(row.ledger_time)}  {device_time:<27}  {who:<18}  {row.what:<14}  {row.text}"


def _when(time_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(time_s))


def _octets(text: str | None, size: int, flag: str) -> bytes | None:
    if text is None:
        return None
    try:
        octets = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        octets = b""
    if len(octets) != size:
        raise UsageError(flag, expected=f"{size} bytes of hex", got=text[:80])
    return octets
