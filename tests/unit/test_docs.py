"""The pages say what the code does: formats field by field, keys of fwledger.toml, links, commands."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from device_verifier.cli.arguments import make_parser
from device_verifier.facts import DeviceFacts, InstalledRelease, InstallMode, Slot, Window, facts_to_json
from ledger_client.acts import Act
from ledger_client.approvals import Approval
from ledger_client.audit import export
from ledger_client.audit.collect import StateEvidence
from ledger_client.audit.evidence import Evidence
from ledger_client.cli.main import cli
from ledger_client.config import SECTIONS, SHARED_ENVIRONMENT, load_config
from ledger_protocol.content import dag_cbor
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.ledger.receipt_proof import ReceiptProof
from ledger_protocol.report.anchor import AnchorBatch, AnchorProof
from ledger_protocol.report.event import EventKind
from tests.protocol_makers import (
    ROOT_SIGNERS,
    digest,
    ed25519_key,
    manifest,
    signed_release,
    signed_root,
    trust_root,
)
from tests.support.cli_reference import CHAIN_REFERENCE, chain_reference
from tests.support.device_twin import DeviceTwin

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
# In a list a block is indented.
CONSOLE = re.compile(r"^ *```console[^\n]*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
# What stands in these maps is other people's: names of identifiers, EIP-712, statements for people.
OPEN = ("identifiers", "typed_data", "statements[]")
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
FILES = (ROOT / "docs/reference/files.md").read_text(encoding="utf-8")


def paths_of(value: object, path: str = "") -> set[str]:
    """Every field of a document, as the page writes it: `components[].name`."""
    if isinstance(value, dict):
        inner = {f"{path}.{key}" if path else str(key): item for key, item in value.items()}
        return set(inner).union(*(paths_of(item, name) for name, item in inner.items()))
    if isinstance(value, list | tuple):
        return set().union(*(paths_of(item, f"{path}[]") for item in value))
    return set()


def documents() -> Iterator[object]:
    """One of each, with nothing left empty."""
    envelope, block = signed_release(manifest(), ed25519_key("release 0"))
    header = b"header"
    device = DeviceTwin(31337, digest("journal")[:20])
    device.say(EventKind.BASELINE, digest("release"))
    receipts = dag_cbor.decode(device.receipts(), max_bytes=1 << 20)
    assert isinstance(receipts, dict)
    report = device.items[0].report
    assert report is not None
    for document in (
        block,
        envelope,
        trust_root().encode(),
        signed_root(trust_root(), *ROOT_SIGNERS),
        LedgerProof(header=header, nodes=(b"node",)).encode(),
        ReceiptProof(header=header, index=0, nodes=(b"node",)).encode(),
        device.request(),
        report,
    ):
        yield dag_cbor.decode(document, max_bytes=1 << 20)
    yield receipts
    signed = device.items[0].signed
    batch = AnchorBatch(
        chain_id=31337, journal=device.journal, events=(signed, replace(signed, signature=bytes(64)))
    )
    shown = ReceiptProof(header=header, index=0, nodes=(b"node",))
    for block in (batch.encode(), AnchorProof.of(batch, (0,), receipt=shown, log=0).encode()):
        yield dag_cbor.decode(block, max_bytes=1 << 20)
    yield json.loads(export.anchor_line(batch.encode()))
    yield json.loads(
        export.receipt_line(Evidence(ReceiptProof(header=header, index=0, nodes=(b"node",)), b"input"), ())
    )
    yield json.loads(export.state_line(StateEvidence(1, LedgerProof(header=header, nodes=(b"node",)))))
    act = Act.of(
        "Revoke",
        {"release": digest("r"), "reason": 1, "mandatory": False, "deadline": 2},
        chain_id=1,
        ledger=b"l" * 20,
    )
    yield json.loads(Approval(act, b"s" * 20, b"s" * 65).encode())
    yield json.loads(
        facts_to_json(
            DeviceFacts(
                compatible="a,b",
                hw_revision="C",
                arch="x",
                address=b"d" * 20,
                slots=(Slot("rootfs", 1),),
                installed=InstalledRelease(digest("r"), 1, 0, "1.0.0"),
                mode=InstallMode.CONSENT,
                windows=(Window(frozenset({0}), 1, 2),),
            )
        )
    )


@pytest.mark.parametrize("document", list(documents()), ids=lambda document: document["schema"])
def test_the_page_of_formats_names_every_field_and_no_other(document: dict[str, object]) -> None:
    section = FILES.split(f"## {document['schema']}\n")[1].split("\n## ")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", row)
    }
    written = {path for path in paths_of(document) if not path.startswith(tuple(f"{name}." for name in OPEN))}
    groups = {path for path in written if any(other.startswith(f"{path}.") for other in written)}
    assert named <= written
    assert written - named <= groups


def test_the_page_of_formats_has_a_section_for_every_format_in_its_table() -> None:
    assert {document["schema"] for document in documents()} | {"bundle"} == set(
        re.findall(r"^## (.*)$", FILES, re.MULTILINE)
    )
    assert set(re.findall(r"\[`(fwledger/[^`]+)`\]", FILES)) == {
        document["schema"] for document in documents()
    }


def test_the_page_of_fwledger_toml_names_every_key_with_its_default() -> None:
    page = (ROOT / "docs/reference/fwledger-toml.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| (.*?) \|", page, re.MULTILINE))
    config = load_config(environ={})
    known = {
        f"{section}.{f.name}": getattr(getattr(config, section), f.name)
        for section in SECTIONS
        for f in fields(SECTIONS[section])
    }
    assert set(shown) == set(known)
    for name, default in known.items():
        if default is None:
            assert shown[name] == "none", name
        else:
            value = json.loads(shown[name].strip("`"))
            assert value == (
                list(default)
                if isinstance(default, tuple)
                else str(default)
                if isinstance(default, Path)
                else default
            ), name


def test_the_page_of_fwledger_toml_names_every_shared_variable() -> None:
    page = (ROOT / "docs/reference/fwledger-toml.md").read_text(encoding="utf-8")
    for name, (section, key) in SHARED_ENVIRONMENT.items():
        assert re.search(rf"^\| `{name}` \| `{section}\.{key}`", page, re.MULTILINE), name


def anchors(page: Path) -> set[str]:
    """The places in a page that a link can name, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, place = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        if place:
            assert place in anchors(linked), target


def test_the_page_of_the_chain_is_what_help_prints() -> None:
    assert CHAIN_REFERENCE.read_text(encoding="utf-8") == chain_reference(), (
        "run: python -m tests.support.cli_reference"
    )


def test_the_index_of_the_reference_lists_every_page() -> None:
    index = (ROOT / "docs/reference/README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs/reference").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every `fwledger` and `fwledger-device` line of the pages' console blocks."""
    for page in PAGES:
        for block in CONSOLE.findall(page.read_text(encoding="utf-8")):
            for line in re.findall(
                r"^ *\$ (fwledger(?:-device)? .*)$", block.replace("\\\n", " "), re.MULTILINE
            ):
                words = shlex.split(line, comments=True)
                ends = [i for i, word in enumerate(words) if word in {"|", ">", "&&", ";"}]
                yield page.name, words[: ends[0] if ends else None]


@pytest.mark.parametrize(
    ("page", "words"),
    list(commands()),
    ids=lambda value: value if isinstance(value, str) else " ".join(value)[:60],
)
def test_every_command_on_a_page_exists_with_its_options(page: str, words: list[str]) -> None:
    if words[0] == "fwledger-device":
        assert make_parser().parse_args(words[1:]).command
        return
    command: click.Command = cli
    context = click.Context(cli)
    rest = words[1:]
    while isinstance(command, click.Group):
        found = command.get_command(context, rest[0])
        assert found is not None, rest[0]
        command, rest = found, rest[1:]
    options = {
        name: option for option in command.params if isinstance(option, click.Option) for name in option.opts
    }
    given = {word for word in rest if word.startswith("--")}
    assert given <= set(options)
    needed = {option.opts[0] for option in set(options.values()) if option.required}
    assert needed <= given
