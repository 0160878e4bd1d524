"""How much the traces of one request may be."""

from __future__ import annotations

from local_chain.errors import ChainError

# What the traces of one request may take as JSON, about; a contract of 30 million gas can run ten million
# opcodes, or hand a megabyte to each of a hundred thousand calls.
MAX_TRACE_BYTES = 64 << 20


class TraceBudget:
    """Counts what tracers keep."""

    def __init__(self) -> None:
        self._left_bytes = MAX_TRACE_BYTES

    def spend(self, size_bytes: int) -> None:
        """Take note of so many bytes; ChainError once there are too many."""
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise ChainError(
                f"the trace is larger than {MAX_TRACE_BYTES >> 20} MiB: "
                'ask for less of it with "disableStack", "disableStorage" or "limit"'
            )
