"""Refusals of the journal: enrolment, events, tallies."""

from ledger_client.errors import RevertedError


class AlreadyEnrolledError(RevertedError):
    """This device was enrolled before."""

    reason = "device is enrolled already"
    advice = "`fwledger device list` shows its group; publishers may move it"


class AlreadyRecordedError(RevertedError):
    """An event with this sequence number was recorded before."""

    reason = "event is recorded already"
    advice = "nothing to do: submit the rest"


class EmptyListError(RevertedError):
    """The list of the act is empty."""

    reason = "empty list"
    advice = "name at least one"


class NotEnrolledError(RevertedError):
    """The journal does not know this device."""

    reason = "device is not enrolled"
    advice = "enrol it from its request file first"


class NotEnrollerError(RevertedError):
    """The paying account may not enrol devices."""

    reason = "caller is no enroller"
    advice = "use an account that holds the enroller role"


class NotJournalError(RevertedError):
    """Only the journal may say this to the ledger."""

    reason = "caller is not the journal"
    advice = "the breaker trips by itself; nobody calls it"


class NotLedgerError(RevertedError):
    """Only the ledger may say this to the journal."""

    reason = "caller is not the ledger"
    advice = "place devices through the ledger"


class PreviousDiffersError(RevertedError):
    """The event does not follow the device's recorded history."""

    reason = "previous event differs"
    advice = "the device's store was wiped or copied: compare `fwledger audit timeline`"


class PublicationOverError(RevertedError):
    """The channel has moved on from this publication."""

    reason = "publication is over"
    advice = "nothing to do"


class QueueGapError(RevertedError):
    """The events of a queue are not consecutive."""

    reason = "queue has a gap"
    advice = "submit each run of consecutive events by itself"


class RetiredError(RevertedError):
    """The device is retired, and its events are refused."""

    reason = "device is retired"
    advice = "publishers may un-retire it"


class StampRangeError(RevertedError):
    """An event's sequence, kind or time is out of range."""

    reason = "stamp out of range"
    advice = "this kind of event is anchored, or this is a defect of the sender"


class AnchorSizeError(RevertedError):
    """An anchor commits to no leaf, or to more than a tree may have."""

    reason = "an anchor has 1 to 4096 leaves"
    advice = "split the batch into several anchors"
