"""Print one answer in the format that was asked for; data goes to stdout, talk and errors to stderr."""

import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from device_verifier.errors import DeviceError
from device_verifier.steps import Step

__all__ = ["Answer", "OutputFormat", "print_answer", "print_error", "steps_document"]


class OutputFormat(StrEnum):
    """How an answer is printed (the choice of RAUC's command line)."""

    READABLE = "readable"
    SHELL = "shell"
    JSON = "json"
    JSON_PRETTY = "json-pretty"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found: a document (its `schema` first), the same for people, and the exit code."""

    document: Mapping[str, object]
    text: str
    exit_code: int = 0


def print_answer(answer: Answer, output_format: OutputFormat) -> None:
    """Print `answer` to stdout."""
    match output_format:
        case OutputFormat.READABLE:
            print("\n".join(_line(line) for line in answer.text.split("\n")))
        case OutputFormat.SHELL:
            for name, value in _flat("FWLEDGER", answer.document):
                print(f"{name}={shlex.quote(value)}")
        case OutputFormat.JSON:
            print(json.dumps(answer.document, separators=(",", ":")))
        case OutputFormat.JSON_PRETTY:
            print(json.dumps(answer.document, indent=2))


def print_error(error: DeviceError, output_format: OutputFormat) -> None:
    """Print an error as two lines on stderr, and as a document on stdout where programs read."""
    print(f"error: {_line(str(error))} [{error.reason.value}]", file=sys.stderr)
    for note in getattr(error, "__notes__", ()):
        print(f"  {_line(note)}", file=sys.stderr)
    print(f"hint: {_line(error.hint or error.reason.advice)}", file=sys.stderr)
    if output_format is not OutputFormat.READABLE:
        document = {
            "schema": "fwledger/device-error/1",
            "error": error.what,
            "reason": error.reason.value,
            "check": error.check,
            "expected": error.expected,
            "got": error.got,
            "hint": error.hint or error.reason.advice,
            "exit_code": error.exit_code,
            "steps": steps_document(error.steps),
        }
        print_answer(Answer(document, ""), output_format)


def steps_document(steps: tuple[Step, ...]) -> list[dict[str, object]]:
    """Return how each check went, for programs."""
    return [
        {"check": s.check, "what": s.what, "expected": s.expected, "found": s.found, "ok": s.ok}
        for s in steps
    ]


def _flat(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    """Give shell variables: nested names are joined by underscores, lists are numbered."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(f"{prefix}_{re.sub('[^A-Za-z0-9]', '_', str(key)).upper()}", item)
    elif isinstance(value, list | tuple):
        yield f"{prefix}_COUNT", str(len(value))
        for index, item in enumerate(value):
            yield from _flat(f"{prefix}_{index}", item)
    elif isinstance(value, bool):
        yield prefix, "true" if value else "false"
    else:
        yield prefix, "" if value is None else str(value)


def _line(text: str) -> str:
    """One line, whatever a hostile source put into it."""
    return "".join(char if char.isprintable() else " " for char in text)
