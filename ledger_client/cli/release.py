"""`fwledger release`: build, sign, merge, check. What speaks to the ledger is in `release_ledger`."""

# ruff: noqa: PLC0415 - web3 and key libraries take time to import, so commands import them when they need
# them

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from ledger_client.cli import release_approve, release_ledger, release_watch
from ledger_client.cli.acts import rollout_of, rollout_options
from ledger_client.cli.app import PATH, App, command, near
from ledger_client.cli.progress import Progress
from ledger_client.cli.words import release_lines
from ledger_client.errors import EXIT_NOT_TRUSTED, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ledger_protocol.release.manifest import Component


@click.group()
def release() -> None:
    """Build, sign, check, publish, list and revoke releases. Steps pass files, so no machine holds all
    keys.
    """


for _made in (release_approve.approve, *release_ledger.COMMANDS, release_watch.watch):
    release.add_command(_made)


@release.command("build")
@command(
    "fwledger release build rootfs=rootfs.img,read_only app=app.bin --compatible acme,cam --arch aarch64\n"
    "      --version 1.2.0 --sequence 12 --channel stable --out releases/1.2.0"
)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--compatible", required=True, help="the product line, as devices name theirs")
@click.option("--version", required=True, help="the version for people")
@click.option("--sequence", type=int, required=True, help="the release number; rises along the product line")
@click.option(
    "--channel", "channels", multiple=True, required=True, help="where it may be published; repeatable"
)
@click.option("--arch", default="noarch", show_default=True, help="architecture of images that name none")
@click.option(
    "--security-version", type=int, default=0, show_default=True, help="the rollback floor it demands"
)
@click.option(
    "--hw-revision", "hw_revisions", multiple=True, help="hardware it fits; repeatable [default: all]"
)
@click.option(
    "--kind", type=click.Choice(["security", "feature", "both"]), default="feature", show_default=True
)
@click.option("--advisory", "advisories", multiple=True, help="what it fixes (CVE-...); repeatable")
@click.option("--notes", default="", help="release notes")
@click.option("--min-security-version", type=int, help="devices below this install --via first")
@click.option("--via", metavar="ID", help="release id of the stepping stone")
@click.option("--created", type=int, metavar="SECONDS", help="Unix time in the manifest [default: now]")
@click.option("--out", type=PATH, metavar="FOLDER", help="[default: releases/VERSION]")
def build(app: App, **options: Any) -> None:
    """Cut images into blocks and write the manifest that signers sign.

    IMAGE is [NAME=]PATH[,slot=CLASS][,handler=H][,arch=A][,read_only]. The same inputs and --created give the
    same release id on any machine.
    """
    from ledger_client.cli.words import read_release_id
    from ledger_client.content.node.store import BlockStore
    from ledger_client.images import ImageSpec, import_component
    from ledger_client.releases import new_release, save_release
    from ledger_protocol.release.manifest import Manifest, MinFrom

    specs = [ImageSpec.parse(text, arch=options["arch"]) for text in options["images"]]
    store = BlockStore(app.config.release.blocks)
    minimum, via = options["min_security_version"], options["via"]
    if via is not None and minimum is None:
        raise UsageError("--via needs --min-security-version")
    created = int(time.time()) if options["created"] is None else options["created"]

    def manifest_of(components: tuple[Component, ...]) -> Manifest:
        return Manifest(
            compatible=options["compatible"],
            version=options["version"],
            channels=options["channels"],
            sequence=options["sequence"],
            security_version=options["security_version"],
            kind=options["kind"],
            created=created,
            components=components,
            hw_revisions=options["hw_revisions"],
            min_from=None if minimum is None else MinFrom(minimum, read_release_id(via) if via else None),
            advisories=options["advisories"],
            notes=options["notes"],
        )

    # What the manifest will refuse is said now, not after the images were read.
    new_release(manifest_of(tuple(spec.draft() for spec in specs)))
    components = []
    for spec in specs:
        size = spec.path.stat().st_size if spec.path.is_file() else None
        with Progress(app, f"importing {spec.name}", size) as progress:
            components.append(import_component(spec, sink=store, progress=progress))
    made = new_release(manifest_of(tuple(components)))
    out: Path = options["out"] or app.config.release.dir / options["version"]
    save_release(made, out)
    document = {"folder": near(out), "release": "0x" + made.id.hex()}
    app.emit("release-build", document, release_lines(made, folder=near(out)))


@release.command("sign")
@command("fwledger release sign releases/1.2.0 --key file:alice.pem --password-file alice.pw")
@click.argument("source", type=PATH, metavar="FOLDER|MANIFEST")
@click.option("--key", "uri", required=True, metavar="URI", help="file:PATH, hsm:..., a cloud KMS; or a path")
@click.option("--password-file", type=PATH, metavar="FILE", help="password of an encrypted key, or a PIN")
@click.option("--public-key", type=PATH, metavar="FILE", help="public part, for keys that are not files")
@click.option("--out", type=PATH, metavar="FILE", help="write only my signature here, for `release merge`")
def sign(
    app: App, source: Path, uri: str, password_file: Path | None, public_key: Path | None, out: Path | None
) -> None:
    """Sign a manifest. Signers need only the manifest file; each may sign on a machine of their own."""
    from ledger_client.config_file import replace_file
    from ledger_client.firmware_keys import open_signer, read_public_key
    from ledger_client.private_files import read_password
    from ledger_client.releases import load_release, new_release, save_release, sign_release

    found = load_release(source)
    signer = open_signer(
        uri,
        password=read_password(password_file) if password_file else None,
        public_key=read_public_key(public_key) if public_key else None,
    )
    app.say(*release_lines(found))
    if out is not None:
        signed = sign_release(new_release(found.manifest), signer)
        replace_file(out, signed.envelope.encode())
        where = out
    else:
        signed = sign_release(found, signer)
        where = source if source.is_dir() else source.parent
        save_release(signed, where)
    document = {
        "release": "0x" + signed.id.hex(),
        "key_id": signer.public.key_id.hex(),
        "written": str(where),
        "signatures": len(signed.envelope.signatures),
    }
    app.emit(
        "release-sign",
        document,
        [
            f"signed      {signed.id.hex()}",
            f"by key      {signer.public.key_id.hex()}",
            f"written     {where}",
        ],
    )


@release.command("merge")
@command("fwledger release merge releases/1.2.0 alice.sig bob.sig")
@click.argument("folder", type=PATH)
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="SIGNATURE...")
def merge(app: App, folder: Path, files: tuple[Path, ...]) -> None:
    """Join signers' files into the release's envelope. Files over another manifest are refused."""
    from ledger_client import releases

    found = releases.load_release(folder)
    merged = releases.merge(found, [releases.read_envelope(file) for file in files])
    releases.save_release(merged, folder if folder.is_dir() else folder.parent)
    count = len(merged.envelope.signatures)
    app.emit(
        "release-merge",
        {"release": "0x" + merged.id.hex(), "signatures": count},
        [f"release     {merged.id.hex()}", f"signatures  {count}"],
    )


@release.command("check")
@command("fwledger release check releases/1.2.0 --device camera.json --channel stable")
@click.argument("folder", type=PATH)
@click.option(
    "--device", "facts_file", required=True, type=PATH, metavar="FACTS.json", help="a device's facts"
)
@click.option("--channel", help="judge as if it were published here now; without it, signatures and fit only")
@rollout_options
def check(app: App, folder: Path, facts_file: Path, channel: str | None, **options: Any) -> int:
    """Run the device's own policy on a release: would that device install it, and if not, why?"""
    from ledger_client import checking, releases
    from ledger_client.acts import Rollout

    rollout = rollout_of(options) or Rollout()
    facts = checking.read_facts(facts_file)
    verified = releases.verify(releases.load_release(folder), root=app.root.root)
    if channel is None:
        decision = checking.check_fit(verified, facts)
    else:
        decision = checking.check_publication(
            app.ledger, verified, facts, held=app.root, channel=channel, rollout=rollout
        )
    both = dict.fromkeys(verified.steps + decision.steps)  # V6 and V7 are in each
    steps = sorted(both, key=lambda step: int(step.check.removeprefix("V")))
    document = {
        "release": "0x" + verified.release_id.hex(),
        "action": decision.action.value,
        "reason": decision.reason.value,
        "installs": decision.installs,
        "steps": [
            {"check": s.check, "what": s.what, "expected": s.expected, "found": s.found, "ok": s.ok}
            for s in steps
        ],
    }
    lines = [
        f"{s.check:<3} {'ok  ' if s.ok else 'FAIL'} {s.what}: expected {s.expected}, found {s.found}"
        for s in steps
    ]
    lines.append(f"{decision.action.value}: {decision.reason.value} ({decision.reason.meaning})")
    app.emit("release-check", document, lines)
    return 0 if decision.installs else EXIT_NOT_TRUSTED
