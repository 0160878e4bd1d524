"""JSON from strangers: clients' requests, an upstream's answers, files that people name."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES = 1 << 20  # keys of 64 validators take 6 kB
MAX_DEPTH = 32  # lists and objects inside one another; a filter in a batch needs six
# A string without an end is taken to the end of the body, so that the search is linear whatever it holds.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[][{}]', re.DOTALL)


def parse_json(body: bytes) -> Any:
    """The value of ``body``; ValueError when it is not JSON or nests too deep.

    Nesting is counted before it is parsed: py-evm raises Python's recursion limit so far that the parser
    would overflow the thread's stack, and end the process, instead of raising RecursionError.
    """
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(body):
        if token[0] in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"expected at most {MAX_DEPTH} levels of nesting")
        elif token[0] in b"]}":
            depth -= 1
    return json.loads(body)


def read_json(path: Path) -> Any:
    """The value in a file; ValueError when it is none, OSError when it cannot be read."""
    with path.open("rb") as file:
        raw = file.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise ValueError(f"expected at most {MAX_FILE_BYTES} bytes")
    return parse_json(raw)
