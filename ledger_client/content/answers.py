"""Reads the JSON that an IPFS node answers: bounded, and of the form that was asked for."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from ledger_client.errors import NodeRefusedError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    Answer = dict[str, Any]

_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024  # of a list of pins: 600,000 of them
_MAX_ANSWER_DEPTH: Final = 32  # levels; the deepest that we ask for has four
_ANSWER: Final = "answer of the IPFS node"


def read_answers(pieces: Generator[bytes, None, None]) -> list[Answer]:
    """The JSON objects of an answer, one after another; a late error among them is raised."""
    with contextlib.closing(pieces):
        text = bytearray()
        for piece in pieces:
            text += piece
            if len(text) > _MAX_ANSWER_BYTES:
                raise NodeRefusedError(_ANSWER, expected=f"at most {_MAX_ANSWER_BYTES} bytes", got="more")
    answers = []
    try:
        for line in text.splitlines():
            _check_depth(line)
            answer = json.loads(line)
            if not isinstance(answer, dict):
                raise NodeRefusedError(_ANSWER, expected="JSON objects", got=type(answer).__name__)
            if answer.get("Type") == "error":
                raise NodeRefusedError("the IPFS node refused", got=str(answer.get("Message"))[:300])
            answers.append(answer)
    except ValueError:
        raise NodeRefusedError(_ANSWER, expected="JSON objects", got=repr(bytes(text[:80]))) from None
    return answers


def _check_depth(line: bytearray) -> None:
    # Libraries of other parts raise Python's recursion limit so far that a deep answer would end the process.
    depth = 0
    for match in re.finditer(rb"[\[{\]}]", line):
        depth += 1 if match[0] in b"[{" else -1
        if depth > _MAX_ANSWER_DEPTH:
            raise NodeRefusedError(_ANSWER, expected=f"at most {_MAX_ANSWER_DEPTH} levels", got="more")


def one(answers: list[Answer]) -> Answer:
    """The only object of an answer; NodeRefusedError where there are none or several."""
    if len(answers) != 1:
        raise NodeRefusedError(_ANSWER, expected="one JSON object", got=len(answers))
    return answers[0]


def text(answer: Mapping[str, Any], key: str) -> str:
    """The text at `key`; NodeRefusedError where it is something else."""
    value = answer.get(key)
    if not isinstance(value, str):
        raise NodeRefusedError(_ANSWER, expected=f"{key!r} as text", got=type(value).__name__)
    return value


def mapping(answer: Mapping[str, Any], key: str) -> Answer:
    """The object at `key`, empty where it is missing or null; NodeRefusedError where it is something else."""
    value = answer.get(key) or {}
    if not isinstance(value, dict):
        raise NodeRefusedError(_ANSWER, expected=f"{key!r} as object", got=type(value).__name__)
    return value
