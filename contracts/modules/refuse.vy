# pragma version 0.4.3
"""
@title refuse
@license Apache-2.0
@notice One place that reverts with a reason. Inline `assert x, "reason"` repeats the whole revert path at each use;
        through one internal function the same refusals take a third of the code.
"""


@internal
@pure
def _no(reason: String[64]):
    """
    @notice Reverts with a reason, which names this project first, so that the client can map it.
    """
    raise reason
