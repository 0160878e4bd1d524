"""What can go wrong on the chain itself. The RPC edge turns each into its JSON-RPC code."""

from __future__ import annotations


class ChainError(Exception):
    """The chain refused what it was asked; the message says why, in geth's words where geth has some.

    ``hint`` tells a person at the command line what to do.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InvalidTransaction(ChainError):  # noqa: N818 - a verdict on the transaction, in clients' words
    """A transaction that no block may hold: bad encoding, signature, nonce, fee, funds or gas."""


class UnknownBlock(ChainError):  # noqa: N818 - the field's name for it
    """No block has this number or hash."""


class ExecutionFailed(ChainError):  # noqa: N818 - the outcome of a call
    """A call or an estimate ended in a revert or in another EVM error.

    Attributes: ``output`` is what the contract returned (ABI-encoded reason) and ``reverted`` tells a
    REVERT from any other end.
    """

    def __init__(self, message: str, *, output: bytes, reverted: bool) -> None:
        super().__init__(message)
        self.output = output
        self.reverted = reverted


class ExecutionTimeout(ChainError):  # noqa: N818 - what happened to the call
    """An execution took longer than whoever asked for it may have."""


class StateError(ChainError):
    """The state directory is in use, of another version or chain, or damaged."""


class UpstreamError(ChainError):
    """The followed node could not be reached, or sent blocks that its validators did not seal."""


class UpstreamGone(UpstreamError):  # noqa: N818 - a state of the upstream
    """Nobody listens at the followed node's address: it is not merely slow."""
