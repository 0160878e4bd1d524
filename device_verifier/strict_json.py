"""JSON from strangers: bounded in size and nesting before it is parsed."""

import json
import re
from typing import Final

__all__ = ["parse_json"]

# Our documents and a node's answers nest 5 deep.
MAX_DEPTH: Final = 32
# 4,096 logs have 4 brackets each; more parts than this are no answer to any question of ours.
MAX_BRACKETS: Final = 65_536
_BRACKETS: Final = re.compile(rb"[\[\]{}]")


def parse_json(data: bytes, *, max_bytes: int) -> object:
    """Parse UTF-8 JSON of at most `max_bytes`; ValueError for anything else.

    The interpreter's own guard against deep nesting is its recursion limit, and a process that raised it
    (py-evm does) overflows the C stack in `json` instead. Brackets inside strings are counted too; real
    documents of ours have none.
    """
    if len(data) > max_bytes:
        raise ValueError(f"{len(data)} bytes, above the limit of {max_bytes}")
    depth = 0
    for count, bracket in enumerate(_BRACKETS.finditer(data), start=1):
        depth += 1 if bracket.group() in b"[{" else -1
        if depth > MAX_DEPTH or count > MAX_BRACKETS:
            raise ValueError(f"nested deeper than {MAX_DEPTH}, or more than {MAX_BRACKETS} brackets")
    return json.loads(data.decode("utf-8"))
