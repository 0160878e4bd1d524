"""Releases: the one that the ledger names, and what signers and ledger must agree on (§2, V6 and V8)."""

from collections.abc import Callable
from typing import Any, Final

from ledger_client.conformance.case import ACCEPT, GONE, RELEASE, Expected, refuse
from ledger_client.conformance.cases.envelopes import ARBITRARY, KEYS, SECTION
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world import documents
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.report.reasons import Reason


@case(
    "release.id-is-of-the-manifest",
    "re-signed revoked release",
    SECTION,
    ACCEPT,
    "a release's id is its manifest's: another set of signatures is the same release",
)
def _(s: Scenario) -> None:
    manifest = s.head.manifest
    again = documents.envelope(manifest, s.world.signatures(manifest, KEYS))
    del s.world.blocks[s.head.envelope_cid]
    s.world.releases.remove(s.head)
    s.head = s.world.enclose(manifest, s.head.images, again)
    s.check(s.stick())


@case(
    "release.signed-anew-after-revocation",
    "re-signed revoked release",
    "V5",
    refuse(Reason.REVOKED),
    "adding or dropping a signature must not make a new release that a revocation misses",
)
def _(s: Scenario) -> None:
    manifest = s.head.manifest
    s.world.revoke(s.head.id)
    again = documents.envelope(manifest, s.world.signatures(manifest, KEYS))
    s.world.enclose(manifest, s.head.images, again)
    s.seal()
    s.check(s.stick())


@case(
    "release.bad-envelope-beside-a-good-one",
    "malicious mirror",
    SECTION,
    ACCEPT,
    "an envelope's address is an unverified hint: one that does not verify is passed over",
)
def _(s: Scenario) -> None:
    poor = documents.envelope(s.head.manifest, s.world.signatures(s.head.manifest, KEYS[:1]))
    s.world.blocks[Cid.of(DAG_CBOR, poor)] = poor
    s.check(s.stick(envelopes=[Cid.of(DAG_CBOR, poor).to_bytes(), *s.world.hints()]))


@case(
    "release.no-hint",
    "dropped requests",
    SECTION,
    refuse(*GONE),
    "without an envelope nobody knows who signed",
)
def _(s: Scenario) -> None:
    s.check(s.stick(envelopes=[]))


@case(
    "release.hint-that-is-no-address",
    "malicious mirror",
    SECTION,
    ACCEPT,
    "a hint is worth nothing by itself: a bad one beside a good one does no harm",
)
def _(s: Scenario) -> None:
    s.check(s.stick(envelopes=[b"\xff" * 36, *s.world.hints()]))


def _served(
    name: str, attack: str, expected: Expected, why: str, change: Callable[[Scenario], dict[str, bytes]]
) -> None:
    @case(f"release.{name}", attack, SECTION, expected, why)
    def _(s: Scenario) -> None:
        s.check({**s.stick(), **change(s)})


def _manifest_file(s: Scenario) -> str:
    return str(Cid.of(DAG_CBOR, s.head.manifest))


LIED: Final = refuse(*RELEASE, *GONE, Reason.CORRUPT_CONTENT)
_served(
    "another-manifest-in-its-place",
    ARBITRARY,
    LIED,
    "the ledger names the release: a mirror's other manifest is not it",
    lambda s: {_manifest_file(s): s.world.build(12).manifest},
)
_served(
    "the-old-manifest-in-its-place",
    "rollback",
    LIED,
    "an older release of the same signers is not the one that the ledger names",
    lambda s: {_manifest_file(s): s.installed.manifest},
)
_served(
    "manifest-with-one-bit-turned",
    "malicious mirror",
    LIED,
    "the id is a hash of every byte",
    lambda s: {_manifest_file(s): s.head.manifest[:-1] + bytes([s.head.manifest[-1] ^ 1])},
)
_served(
    "another-envelope-in-its-place",
    "mix-and-match",
    LIED,
    "an envelope of another release vouches for that one",
    lambda s: {str(s.head.envelope_cid): s.installed.envelope},
)
_served(
    "empty-manifest", "malicious mirror", LIED, "no bytes are no manifest", lambda s: {_manifest_file(s): b""}
)


@case(
    "release.manifest-missing",
    "dropped requests",
    SECTION,
    refuse(*GONE),
    "a mirror that lacks the manifest is one that cannot be reached",
)
def _(s: Scenario) -> None:
    files = s.stick()
    del files[_manifest_file(s)]
    s.check(files)


# --- V8: the signers and the ledger must mean the same


def _word(name: str, attack: str, reason: Reason, why: str, manifest: dict[str, Any], **word: Any) -> None:
    @case(f"release.{name}", attack, "V8", refuse(reason), why)
    def _(s: Scenario) -> None:
        s.publish(s.world.build(11, **manifest), **{"sequence": 11, **word})
        s.check(s.stick())


_word(
    "for-another-channel",
    "wrong channel",
    Reason.WRONG_CHANNEL,
    "the manifest says where it may be published: a lab image must not reach the field",
    {"channels": ["lab"]},
)
_word(
    "word-says-a-higher-sequence",
    "re-published old manifest",
    Reason.WORD_MISMATCH,
    "an old manifest published under a new number is still old",
    {},
    sequence=12,
)
_word(
    "word-says-a-lower-sequence",
    "fast-forward",
    Reason.WORD_MISMATCH,
    "both sides must mean the same number",
    {"sequence": 4_000_000_000},
)
_word(
    "word-says-a-higher-security-version",
    "rollback",
    Reason.WORD_MISMATCH,
    "a word must not promise more than the manifest does",
    {},
    security_version=2,
)
_word(
    "word-says-a-lower-security-version",
    "fast-forward",
    Reason.WORD_MISMATCH,
    "a floor that the ledger does not show would lock devices in silently",
    {"security_version": 2},
)


@case(
    "release.on-several-channels",
    "wrong channel",
    "V8",
    ACCEPT,
    "what beta tested is byte for byte what stable ships",
)
def _(s: Scenario) -> None:
    s.replace_head(channels=["beta", "stable"])
    s.check(s.stick())
