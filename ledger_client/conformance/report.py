"""What a run came to: as text, as JSON, as JUnit XML; and what one case is about."""

from collections.abc import Sequence
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from ledger_client.conformance.case import Case
from ledger_client.conformance.runner import Result

REPORT_SCHEMA: Final = "fwledger/conformance-report/1"


def text(results: Sequence[Result], *, left_out: int) -> str:
    """Give the lines that a person reads: failures with what was expected and what came, then the sum."""
    lines = []
    for result in results:
        if not result.passed:
            lines += [f"FAILED {result.case.id}: {result.case.why}"]
            lines += [f"       {failure}" for failure in result.failures]
    failed = sum(not result.passed for result in results)
    told = f"{len(results) - failed} of {len(results)} cases passed"
    if left_out:
        told += f", {left_out} left out"
    return "\n".join([*lines, told]) + "\n"


def document(results: Sequence[Result], *, client: str, left_out: int) -> dict[str, Any]:
    """Give the JSON report."""
    return {
        "schema": REPORT_SCHEMA,
        "client": client,
        "passed": sum(result.passed for result in results),
        "failed": sum(not result.passed for result in results),
        "left_out": left_out,
        "cases": [
            {
                **case_document(result.case),
                "passed": result.passed,
                "failures": list(result.failures),
                "seconds": round(result.seconds, 3),
            }
            for result in results
        ],
    }


def junit(results: Sequence[Result]) -> str:
    """Give the report as JUnit XML: one test case each, its class the area."""
    failed = sum(not result.passed for result in results)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<testsuite name="fwledger-conformance" tests="{len(results)}" failures="{failed}">',
    ]
    for result in results:
        area, _, name = result.case.id.partition(".")
        head = f"  <testcase classname={quoteattr(area)} name={quoteattr(name)}"
        head += f' time="{result.seconds:.3f}"'
        if result.passed:
            lines.append(head + "/>")
            continue
        message = quoteattr(_printable(result.failures[0]))
        told = escape(_printable("\n".join(result.failures)))
        lines += [head + ">", f"    <failure message={message}>{told}</failure>", "  </testcase>"]
    return "\n".join([*lines, "</testsuite>"]) + "\n"


def case_document(case: Case) -> dict[str, Any]:
    """Give what a case is about."""
    return {
        "id": case.id,
        "attack": case.attack,
        "section": case.section,
        "expected": str(case.expected),
        "why": case.why,
        "transports": sorted(transport.value for transport in case.transports),
    }


def explained(case: Case) -> str:
    """Say what a case is about, step by step."""
    lines = [
        case.id,
        f"  attack    {case.attack}",
        f"  section   {case.section}",
        f"  why       {case.why}",
        f"  served by {', '.join(sorted(transport.value for transport in case.transports))}",
    ]
    for number, step in enumerate(case.build().steps, start=1):
        clock = "without a clock" if step.now is None else f"at {step.now}"
        lines.append(f"  step {number}    {step.command} {clock}: {step.expected}")
        after = {"trust root version": step.root_version, "height": step.height}
        told = ", ".join(f"{what} {value}" for what, value in after.items() if value is not None)
        lines += [f"            afterwards {told}"] if told else []
    return "\n".join(lines) + "\n"


def _printable(told: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else " " for char in told)
