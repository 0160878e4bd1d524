"""Write `docs/reference/contracts.md` from the contracts' NatSpec and artifacts.

Run `python -m contracts.reference` after a change of a contract. A test compares the page with
what the sources say, so the page cannot fall behind.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "contracts.md"
CONTRACTS = ("FirmwareLedger", "UpdateJournal")

_DOC = re.compile(r'^"""\n(.*?)"""', re.DOTALL | re.MULTILINE)
_FUNCTION = re.compile(
    r'^@external\n(?:@\w+\n)*def (\w+)\(.*?\)(?: -> [^\n]+)?:\n    """(.*?)"""', re.DOTALL | re.MULTILINE
)
_VARIABLE = re.compile(r"((?:^# [^\n]*\n)+)(\w+): public\(", re.MULTILINE)
_EXPORT = re.compile(r"^    (\w+)\.(\w+),$", re.MULTILINE)
_STRUCT = re.compile(r'^    "([A-Z]\w+\([^"]+\))"$', re.MULTILINE)
_REFUSAL = re.compile(r'"fwledger: ([^"]+)"')


@dataclass(frozen=True, slots=True)
class Doc:
    """NatSpec of one function, or the comment of one public variable."""

    notice: str
    params: tuple[tuple[str, str], ...] = ()
    returns: str = ""


def page() -> str:
    """Give the text of the page."""
    lines = [
        "# The contracts' functions",
        "",
        "Written by `python -m contracts.reference` from the contracts themselves; do not edit.",
        "",
        "Approvals and event signatures are compact (EIP-2098): `r`, and `vs` with v - 27 in the top bit of",
        "s. Lists of approvals ascend by signer. Malformed calldata and lists above their bound revert",
        "without a reason; every other refusal is `fwledger: ` and one of the reasons at the end.",
    ]
    for name in CONTRACTS:
        lines += _contract(name)
    sources = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "contracts").rglob("*.vy")}
    lines += ["", "## Words and terms", "", _natspec(_module_doc(sources["rollouts"])).notice]
    lines += ["", "## What is signed (EIP-712)", ""]
    lines += [f"- `{struct}`" for struct in sorted(_found(_STRUCT, sources))]
    lines += ["", "## Refusals", ""]
    lines += [f"- `{reason}`" for reason in sorted(_found(_REFUSAL, sources))]
    return "\n".join(lines) + "\n"


def _found(pattern: re.Pattern[str], sources: dict[str, str]) -> set[str]:
    return {found for text in sources.values() for found in pattern.findall(text)}


def _contract(name: str) -> list[str]:
    abi = json.loads((ROOT / "contracts" / "artifacts" / f"{name}.json").read_text(encoding="utf-8"))["abi"]
    source = (ROOT / "contracts" / f"{name}.vy").read_text(encoding="utf-8")
    exports = _EXPORT.findall(source)
    entries = {entry["name"]: entry for entry in abi if entry["type"] == "function"}
    lines = ["", f"## {name}", "", _natspec(_module_doc(source)).notice]
    own = _docs(source)
    for module in dict.fromkeys(module for module, _ in exports):
        text = (ROOT / "contracts" / "modules" / f"{module}.vy").read_text(encoding="utf-8")
        docs = _docs(text)
        lines += ["", f"### {module}", "", _natspec(_module_doc(text)).notice]
        for function, doc in docs.items():
            if (module, function) in exports:
                lines += _function(entries.pop(function), doc)
    lines += ["", "### both contracts"]
    for function in list(entries):
        lines += _function(entries.pop(function), own[function])
    lines += ["", f"### logs of {name}", ""]
    lines += [f"- `{_signature(entry)}`" for entry in abi if entry["type"] == "event"]
    return lines


def _docs(source: str) -> dict[str, Doc]:
    found = {name: _natspec(text) for name, text in _FUNCTION.findall(source)}
    for comment, name in _VARIABLE.findall(source):
        found[name] = Doc(" ".join(line.removeprefix("# ") for line in comment.splitlines()))
    return found


def _module_doc(source: str) -> str:
    match = _DOC.search(source)
    if match is None:
        raise ValueError("a module without a docstring")
    return match.group(1)


def _natspec(text: str) -> Doc:
    parts = re.split(r"@(notice|dev|param|return|title|license)\b", text)
    notices: list[str] = []
    params: list[tuple[str, str]] = []
    returns = ""
    for tag, body in zip(parts[1::2], parts[2::2], strict=True):
        words = " ".join(body.split())
        if tag in ("notice", "dev"):
            notices.append(words)
        elif tag == "param":
            name, _, meaning = words.partition(" ")
            params.append((name, meaning))
        elif tag == "return":
            returns = words
    return Doc(" ".join(notices), tuple(params), returns)


def _function(entry: dict[str, Any], doc: Doc) -> list[str]:
    lines = ["", f"#### `{_signature(entry)}`", "", doc.notice]
    if doc.params:
        lines += ["", *(f"- `{name}`: {meaning}" for name, meaning in doc.params)]
    if doc.returns:
        lines += ["", f"Returns: {doc.returns}"]
    return lines


def _signature(entry: dict[str, Any]) -> str:
    def typed(field: dict[str, Any]) -> str:
        kind = field["type"]
        if kind.startswith("tuple"):
            kind = "(" + ", ".join(typed(part) for part in field["components"]) + ")" + kind[5:]
        if field.get("indexed"):
            kind += " indexed"
        return f"{kind} {field['name']}".rstrip()

    inputs = ", ".join(typed(field) for field in entry["inputs"])
    outputs = ", ".join(typed(field) for field in entry.get("outputs", []))
    return f"{entry['name']}({inputs})" + (f" -> {outputs}" if outputs else "")


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
