"""Every reason code: what code, tests, reports and docs call one outcome of a device's check (protocol.md
§8).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """A reason code. Its text is what logs, reports and `--json` carry; codes are never renamed."""

    # V0 to V4: is it the ledger that I trust, and its newest state?
    BAD_TRUST_ROOT = "bad-trust-root"
    TRUST_ROOT_EXPIRED = "trust-root-expired"
    TRUST_ROOT_MISSING = "trust-root-missing"
    HEADER_QUORUM = "header-quorum"
    WRONG_CHAIN = "wrong-chain"
    NOTE_QUORUM = "note-quorum"
    NOTE_UNSUPPORTED = "note-unsupported"
    STALE_LEDGER = "stale-ledger"
    HEADER_FROM_FUTURE = "header-from-future"
    LEDGER_ROLLBACK = "ledger-rollback"
    SPLIT_VIEW = "split-view"
    BAD_PROOF = "bad-proof"
    WRONG_CONTRACT = "wrong-contract"
    # V5: what does the ledger say to me?
    NO_GROUP = "no-group"
    NO_RELEASE = "no-release"
    HALTED = "halted"
    REVOKED = "revoked"
    REVOKED_NO_SUCCESSOR = "revoked-no-successor"
    NOT_IN_COHORT = "not-in-cohort"
    NOT_APPROVED = "not-approved"
    OUTSIDE_WINDOW = "outside-window"
    NEEDS_CONSENT = "needs-consent"
    UP_TO_DATE = "up-to-date"
    UPDATE_AVAILABLE = "update-available"
    ALREADY_FAILED = "already-failed"
    NOT_NEWER = "not-newer"
    MANDATORY = "mandatory"
    # V6 to V9: is it the release that the ledger means, signed, and for me?
    WRONG_CONTENT = "wrong-content"
    BAD_SIGNATURE = "bad-signature"
    THRESHOLD = "threshold"
    BAD_MANIFEST = "bad-manifest"
    WRONG_CHANNEL = "wrong-channel"
    WORD_MISMATCH = "word-mismatch"
    INCOMPATIBLE = "incompatible"
    ROLLBACK = "rollback"
    UNREACHABLE_FROM = "unreachable-from"
    INSTALL_VIA = "install-via"
    UNSUPPORTED = "unsupported"
    TOO_LARGE = "too-large"
    # V10 to V13: fetch, write, arm, boot, confirm
    CORRUPT_CONTENT = "corrupt-content"
    SLOT_READBACK = "slot-readback"
    SLOT_MISSING = "slot-missing"
    SLOT_WRITE = "slot-write"
    DISK_FULL = "disk-full"
    DECISION_CHANGED = "decision-changed"
    TRIAL_PENDING = "trial-pending"
    BOOT_LOADER = "boot-loader"
    HOOK_FAILED = "hook-failed"
    HEALTH_FAILED = "health-failed"
    BOOT_FAILED = "boot-failed"
    CONNECTIVITY_LOST = "connectivity-lost"
    INSTALLED = "installed"
    CONFIRMED = "confirmed"
    BASELINE = "baseline"
    # we could not reach them, or this device is not set up
    SOURCE_UNREACHABLE = "source-unreachable"
    CONTENT_UNAVAILABLE = "content-unavailable"
    BUNDLE_INCOMPLETE = "bundle-incomplete"
    STATE_DAMAGED = "state-damaged"
    FOREIGN_HEAD = "foreign-head"
    NOT_ENROLLED = "not-enrolled"
    RETIRED = "retired"
    INTERRUPTED = "interrupted"
    BUSY = "busy"
    USAGE = "usage"

    @property
    def check(self) -> str:
        """Give the check that finds it, V0 to V13, or "-" where none does."""
        return RULES[self].check

    @property
    def meaning(self) -> str:
        """Say in one line what happened."""
        return RULES[self].meaning

    @property
    def advice(self) -> str:
        """Say in one line what a person can do."""
        return RULES[self].advice


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table in protocol.md §8: which check, what it means, what to do."""

    check: str
    meaning: str
    advice: str


_ANOTHER_SOURCE = "ask another source; if several agree, do not trust this one again"
_WAIT = "nothing to do: the next check asks again"

RULES: Final[dict[Reason, Rule]] = {
    Reason.BAD_TRUST_ROOT: Rule(
        "V0",
        "an offered trust root does not follow from the one that is held",
        _ANOTHER_SOURCE,
    ),
    Reason.TRUST_ROOT_EXPIRED: Rule(
        "V0",
        "the newest trust root has expired",
        "publish a newer trust root and offer it to the device",
    ),
    Reason.TRUST_ROOT_MISSING: Rule(
        "V4",
        "the ledger names a newer trust root, or another at this version, than the device holds",
        "offer the device the missing trust roots, by a gateway or a bundle",
    ),
    Reason.HEADER_QUORUM: Rule(
        "V1",
        "too few pinned validators sealed the header",
        "ask another source; after a change of validators offer the newer trust root",
    ),
    Reason.WRONG_CHAIN: Rule(
        "V1",
        "the header is not of the pinned ledger's blocks",
        "check that the source serves the network of the trust root",
    ),
    Reason.NOTE_QUORUM: Rule(
        "V1",
        "too few pinned witnesses signed a note of the block",
        "ask another source; after a change of witnesses offer the newer trust root",
    ),
    Reason.NOTE_UNSUPPORTED: Rule(
        "V1",
        "the proof rests on witnesses that the trust root does not pin",
        "ask a source that serves sealed headers",
    ),
    Reason.STALE_LEDGER: Rule(
        "V2",
        "the newest header on offer is older than the trust root allows",
        "check the device's clock, then ask another source",
    ),
    Reason.HEADER_FROM_FUTURE: Rule(
        "V2",
        "the header's time is far ahead of this device's clock",
        "check the device's clock, then ask another source",
    ),
    Reason.LEDGER_ROLLBACK: Rule(
        "V2",
        "the header is behind one that this device has accepted",
        _ANOTHER_SOURCE,
    ),
    Reason.SPLIT_VIEW: Rule(
        "V2",
        "two headers of one height that are both vouched for differ",
        "stop and tell the manufacturer: validators or witnesses contradict themselves",
    ),
    Reason.BAD_PROOF: Rule(
        "V4",
        "the proof does not lead from the header to the words asked for",
        _ANOTHER_SOURCE,
    ),
    Reason.WRONG_CONTRACT: Rule(
        "V3",
        "the account at the pinned address is not the pinned contract",
        "check that the source serves the network of the trust root",
    ),
    Reason.NO_GROUP: Rule(
        "V5",
        "the device's group follows no channel",
        "the publisher assigns a channel to the group",
    ),
    Reason.NO_RELEASE: Rule("V5", "nothing was published on the channel yet", _WAIT),
    Reason.HALTED: Rule(
        "V5",
        "the channel is halted: nobody installs its head",
        "the publisher resumes the channel or publishes a successor",
    ),
    Reason.REVOKED: Rule(
        "V5",
        "the release is revoked",
        "the publisher publishes a successor",
    ),
    Reason.REVOKED_NO_SUCCESSOR: Rule(
        "V5",
        "the installed release is revoked and there is none to move to",
        "the publisher publishes a successor; the device keeps running until then",
    ),
    Reason.NOT_IN_COHORT: Rule("V5", "the rollout has not reached this device yet", _WAIT),
    Reason.NOT_APPROVED: Rule(
        "V5",
        "the operator that the trust root pins has not approved the release",
        "the operator approves the release",
    ),
    Reason.OUTSIDE_WINDOW: Rule("V5", "it is not the time at which this device may update", _WAIT),
    Reason.NEEDS_CONSENT: Rule(
        "V5",
        "someone at the device has to agree first",
        "give consent at the device",
    ),
    Reason.UP_TO_DATE: Rule("V5", "the device runs the channel's head", "nothing to do"),
    Reason.UPDATE_AVAILABLE: Rule(
        "V5",
        "the device may install the channel's head",
        "run the installation",
    ),
    Reason.ALREADY_FAILED: Rule(
        "V5",
        "this release failed on this device before",
        "read the report of the failure; a newly signed release is tried again",
    ),
    Reason.NOT_NEWER: Rule(
        "V5",
        "the channel's head is another release, but not a newer one than the device runs",
        "the publisher publishes a newly signed release with a higher sequence",
    ),
    Reason.MANDATORY: Rule(
        "V5",
        "the installed release is revoked and the device has to leave it at once",
        "run the installation",
    ),
    Reason.WRONG_CONTENT: Rule(
        "V6",
        "the manifest is not the one that the ledger names",
        _ANOTHER_SOURCE,
    ),
    Reason.BAD_SIGNATURE: Rule(
        "V7",
        "a signature or a key of the release is not valid",
        _ANOTHER_SOURCE,
    ),
    Reason.THRESHOLD: Rule(
        "V7",
        "too few distinct release keys signed the manifest",
        "fetch the envelope with all signatures; let the missing signers sign",
    ),
    Reason.BAD_MANIFEST: Rule(
        "V8",
        "the manifest is not one that this device can read",
        "the device needs newer software before this release, or the release was built wrongly",
    ),
    Reason.WRONG_CHANNEL: Rule(
        "V8",
        "the manifest does not name the channel it was published on",
        "the signers sign a manifest for this channel",
    ),
    Reason.WORD_MISMATCH: Rule(
        "V8",
        "sequence or security version of the manifest and of the ledger differ",
        "the publisher publishes again with the manifest's own numbers",
    ),
    Reason.INCOMPATIBLE: Rule(
        "V9",
        "the release is for other hardware",
        "move the device to a group whose channel is for its hardware",
    ),
    Reason.ROLLBACK: Rule(
        "V9",
        "the release is below the security version that this device has confirmed",
        "the publisher publishes a release at or above it",
    ),
    Reason.UNREACHABLE_FROM: Rule(
        "V9",
        "the release cannot be reached from what the device runs",
        "the release names one to install first; it must be published and not revoked",
    ),
    Reason.INSTALL_VIA: Rule(
        "V9",
        "the device has to install an older release first to reach the head",
        "run the installation: it takes both steps",
    ),
    Reason.UNSUPPORTED: Rule(
        "V9",
        "the release needs a handler or an encryption that this device does not have",
        "update the device's own software first, or build the release with another handler",
    ),
    Reason.TOO_LARGE: Rule(
        "V9",
        "an image does not fit its slot",
        "build a smaller image, or give the device larger slots",
    ),
    Reason.CORRUPT_CONTENT: Rule(
        "V10",
        "content is not what its address or digest says",
        _ANOTHER_SOURCE,
    ),
    Reason.SLOT_READBACK: Rule(
        "V10",
        "what the slot gives back is not what was written",
        "the storage is failing: replace it",
    ),
    Reason.SLOT_MISSING: Rule(
        "V10",
        "a slot that the release needs is not there",
        "check the slots in the device's configuration",
    ),
    Reason.SLOT_WRITE: Rule(
        "V10",
        "the spare slot could not be written",
        "check permissions and the storage's health",
    ),
    Reason.DISK_FULL: Rule(
        "V10",
        "the storage is full",
        "make room, then try again: the running slot is untouched",
    ),
    Reason.DECISION_CHANGED: Rule(
        "V11",
        "while it was fetched, the ledger took the release back",
        _WAIT,
    ),
    Reason.TRIAL_PENDING: Rule(
        "V11",
        "the running slot is on trial and not confirmed yet",
        "let the health check finish, or mark the slot good",
    ),
    Reason.BOOT_LOADER: Rule(
        "V11",
        "the boot loader could not be armed or read",
        "check the boot loader's settings in the device's configuration",
    ),
    Reason.HOOK_FAILED: Rule(
        "V11",
        "a hook of the release or of the device refused or failed",
        "read the hook's output in the report",
    ),
    Reason.HEALTH_FAILED: Rule(
        "V12",
        "the new release did not pass the health check",
        "read the report; the device fell back by itself",
    ),
    Reason.BOOT_FAILED: Rule(
        "V12",
        "the new release never came up and the boot loader fell back",
        "read the boot loader's log of the device",
    ),
    Reason.CONNECTIVITY_LOST: Rule(
        "V12",
        "the new release reached no source, so the device fell back",
        "check the network; it does not count against the release",
    ),
    Reason.INSTALLED: Rule("V11", "the spare slot is written, verified and armed", "reboot the device"),
    Reason.CONFIRMED: Rule("V13", "the new release is healthy and stays", "nothing to do"),
    Reason.BASELINE: Rule("-", "the first event after enrolment: what the device runs", "nothing to do"),
    Reason.SOURCE_UNREACHABLE: Rule(
        "-",
        "no source of the ledger's state answered",
        "check the network and the sources in the device's configuration, or use a bundle",
    ),
    Reason.CONTENT_UNAVAILABLE: Rule(
        "-",
        "no source has a block that is needed",
        "pin the release on a reachable gateway, or use a bundle",
    ),
    Reason.BUNDLE_INCOMPLETE: Rule(
        "-",
        "the bundle lacks a part or a block that is needed",
        "copy all parts of the bundle again",
    ),
    Reason.STATE_DAMAGED: Rule(
        "-",
        "the device's own state cannot be read",
        "keep a copy of the state file for the manufacturer, then enrol the device again",
    ),
    Reason.FOREIGN_HEAD: Rule(
        "-",
        "the journal holds events of this device's key that this device did not write",
        "another holds the key: make a new one and enrol it",
    ),
    Reason.NOT_ENROLLED: Rule(
        "-",
        "the journal does not know this device",
        "give the enrolment request to the manufacturer",
    ),
    Reason.RETIRED: Rule(
        "-",
        "the manufacturer has retired this device",
        "ask the manufacturer to place it again",
    ),
    Reason.INTERRUPTED: Rule(
        "-", "the work was cut off before its end", "run it again: it goes on where it can"
    ),
    Reason.BUSY: Rule("-", "another agent is at work on this device", "wait until it is done"),
    Reason.USAGE: Rule(
        "-",
        "the command or the configuration is not right",
        "read the message and correct it",
    ),
}
