# pragma version 0.4.3
# pragma evm-version paris
# pragma optimize gas
"""
@title UpdateJournal
@license Apache-2.0
@notice What did run: enrolled devices, their signed events, and the tallies that tell the FirmwareLedger of this pair
        when a rollout must stop. Apart from the ledger so that the proofs which devices check do not grow with the fleet.
"""

from contracts.modules import anchors
from contracts.modules import batches
from contracts.modules import bulk
from contracts.modules import devices
from contracts.modules import events
from contracts.modules import typed
from contracts.modules import votes

# Storage slots follow the order of these lines; tests pin them.
initializes: devices
initializes: votes[devices := devices]
initializes: typed
initializes: events[devices := devices, typed := typed, votes := votes]
initializes: anchors[devices := devices]
initializes: batches[devices := devices, typed := typed, votes := votes]
initializes: bulk[devices := devices, typed := typed, votes := votes]

exports: (
    anchors.anchor,
    batches.submit_batch_128,
    batches.submit_batch_16,
    bulk.submit_batch_512,
    devices.device,
    devices.enrol,
    devices.enrol_many,
    devices.ledger,
    devices.place,
    events.submit_event,
    events.submit_queue,
    typed.domain_separator,
    votes.tally,
)


@deploy
def __init__(ledger: address):
    """
    @notice Deploys the journal of a pair.
    @param ledger The deployed FirmwareLedger, which must name this journal.
    """
    typed.__init__()
    devices.__init__(ledger)


@external
@pure
def interface_version() -> uint256:
    """
    @notice The version of this interface, which clients check before they speak.
    @return The version.
    """
    return 1
