"""What a SUIT report calls each outcome (draft-ietf-suit-report, SUIT_Report_Reasons).

Our reports have the shape of that draft and codes of their own, which say more. Whoever hands them on to a
SUIT receiver translates here; the draft knows no waiting, so what only waits is `ok`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ledger_protocol.report.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping


class SuitReason(StrEnum):
    """The draft's names, without their prefix `suit-report-reason-`."""

    OK = "ok"
    CBOR_PARSE = "cbor-parse"
    UNAUTHORIZED = "unauthorized"
    COMMAND_UNSUPPORTED = "command-unsupported"
    COMPONENT_UNSUPPORTED = "component-unsupported"
    CONDITION_FAILED = "condition-failed"
    OPERATION_FAILED = "operation-failed"


# Nobody who may say so said so: roots, headers, notes, proofs, signatures, and what the ledger takes back.
_UNAUTHORIZED: Final = (
    Reason.BAD_TRUST_ROOT,
    Reason.TRUST_ROOT_EXPIRED,
    Reason.TRUST_ROOT_MISSING,
    Reason.HEADER_QUORUM,
    Reason.WRONG_CHAIN,
    Reason.NOTE_QUORUM,
    Reason.NOTE_UNSUPPORTED,
    Reason.STALE_LEDGER,
    Reason.HEADER_FROM_FUTURE,
    Reason.LEDGER_ROLLBACK,
    Reason.SPLIT_VIEW,
    Reason.BAD_PROOF,
    Reason.WRONG_CONTRACT,
    Reason.HALTED,
    Reason.REVOKED,
    Reason.REVOKED_NO_SUCCESSOR,
    Reason.NOT_APPROVED,
    Reason.BAD_SIGNATURE,
    Reason.THRESHOLD,
    Reason.WRONG_CHANNEL,
    Reason.WORD_MISMATCH,
)
_OK: Final = (
    Reason.NO_GROUP,
    Reason.NO_RELEASE,
    Reason.NOT_IN_COHORT,
    Reason.OUTSIDE_WINDOW,
    Reason.NEEDS_CONSENT,
    Reason.UP_TO_DATE,
    Reason.UPDATE_AVAILABLE,
    Reason.NOT_NEWER,
    Reason.MANDATORY,
    Reason.INSTALL_VIA,
    Reason.INSTALLED,
    Reason.CONFIRMED,
    Reason.BASELINE,
)
# What is authentic and does not hold here: identity, version, digest, health.
_CONDITION_FAILED: Final = (
    Reason.WRONG_CONTENT,
    Reason.INCOMPATIBLE,
    Reason.ROLLBACK,
    Reason.UNREACHABLE_FROM,
    Reason.ALREADY_FAILED,
    Reason.CORRUPT_CONTENT,
    Reason.SLOT_READBACK,
    Reason.DECISION_CHANGED,
    Reason.TRIAL_PENDING,
    Reason.HEALTH_FAILED,
)
# What the device tried and could not do.
_OPERATION_FAILED: Final = (
    Reason.SLOT_WRITE,
    Reason.DISK_FULL,
    Reason.BOOT_LOADER,
    Reason.HOOK_FAILED,
    Reason.BOOT_FAILED,
    Reason.CONNECTIVITY_LOST,
    Reason.SOURCE_UNREACHABLE,
    Reason.CONTENT_UNAVAILABLE,
    Reason.BUNDLE_INCOMPLETE,
    Reason.STATE_DAMAGED,
    Reason.FOREIGN_HEAD,
    Reason.NOT_ENROLLED,
    Reason.RETIRED,
    Reason.INTERRUPTED,
    Reason.BUSY,
    Reason.USAGE,
)

SUIT_REASONS: Final[Mapping[Reason, SuitReason]] = {
    **dict.fromkeys(_OK, SuitReason.OK),
    **dict.fromkeys(_UNAUTHORIZED, SuitReason.UNAUTHORIZED),
    **dict.fromkeys(_CONDITION_FAILED, SuitReason.CONDITION_FAILED),
    **dict.fromkeys(_OPERATION_FAILED, SuitReason.OPERATION_FAILED),
    Reason.BAD_MANIFEST: SuitReason.CBOR_PARSE,
    Reason.UNSUPPORTED: SuitReason.COMMAND_UNSUPPORTED,
    Reason.SLOT_MISSING: SuitReason.COMPONENT_UNSUPPORTED,
    Reason.TOO_LARGE: SuitReason.COMPONENT_UNSUPPORTED,
}
