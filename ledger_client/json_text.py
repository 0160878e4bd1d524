"""JSON from elsewhere. Libraries of the Ethereum world raise Python's recursion limit so far that the
standard parser, given enough brackets, overruns the C stack and ends the process; so depth is counted before
it is parsed.
"""

from __future__ import annotations

import json
import re
from typing import Any

# Traces of a node nest a dozen levels, our own documents five.
MAX_DEPTH = 64

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{\]}]', re.DOTALL)


def parse_json(raw: bytes) -> Any:
    """Parse JSON of at most MAX_DEPTH levels; ValueError for anything else."""
    depth = 0
    for match in _TOKENS.finditer(raw):
        first = raw[match.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"JSON nested deeper than {MAX_DEPTH} levels")
        elif first in b"]}":
            depth -= 1
    return json.loads(raw)
