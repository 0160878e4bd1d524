"""docs/reference/conformance-cases.md is the suite's own list of its cases. To write it anew:

python -m tests.support.conformance_cases
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ledger_client.conformance.case import FAMILIES, Expected
from ledger_client.conformance.catalogue import CASES

if TYPE_CHECKING:
    from ledger_protocol.report.reasons import Reason

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "conformance-cases.md"

HEAD = """\
# The cases of `fwledger-conformance`

What a client is shown, what it must make of it, and why. [conformance.md](../conformance.md) says how to run them.
A test compares this page with `fwledger-conformance list`. Every code of a family named under "expected" is right:

{families}

{count} cases, by the attack that they mount:
"""


def page() -> str:
    """The page: how many cases each attack has, then every case by area."""
    families = [f"| *{name}* | {_codes(codes)} |" for name, codes in FAMILIES.items()]
    table = "\n".join(["| family | reason codes |", "|---|---|", *families])
    lines = [HEAD.format(count=len(CASES), families=table)]
    lines += ["| attack | cases |", "|---|---|"]
    counted = Counter(case.attack for case in CASES.values())
    lines += [f"| {attack} | {number} |" for attack, number in sorted(counted.items())]
    area = ""
    for case in CASES.values():
        if case.id.split(".")[0] != area:
            area = case.id.split(".")[0]
            lines += [
                "",
                f"## {area}",
                "",
                "| case | attack | section | expected | why |",
                "|---|---|---|---|---|",
            ]
        lines.append(
            f"| `{case.id}` | {case.attack} | {case.section} | {_expected(case.expected)} | {case.why} |"
        )
    return "\n".join(lines) + "\n"


def _expected(expected: Expected) -> str:
    whole, others = expected.families
    named = ", ".join([*(f"*{name}*" for name in whole), *([_codes(others)] if others else [])])
    verb = "accept" if expected.accepted else "refuse"
    return f"{verb}: {named}" if named else verb


def _codes(reasons: tuple[Reason, ...]) -> str:
    return ", ".join(f"`{reason.value}`" for reason in reasons)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
