"""Every broken client, what is wrong with it, and the very cases that it fails: those and no others.

A client is `broken/<client>.py`: our own device with one piece of its code replaced.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defect:
    """One broken client."""

    client: str
    what: str
    cases: frozenset[str]


DEFECTS = (
    Defect(
        "floored_quorum",
        "two thirds of the validators, rounded down",
        frozenset(
            {
                "header.2-of-4-seals",
                "header.3-of-5-seals",
                "header.4-of-7-seals",
                "header.6-of-10-seals",
                "header.42-of-64-seals",
                "header.two-seals-twice",
                "header.two-signers-with-both-s",
                "header.strangers-make-up-the-quorum",
            }
        ),
    ),
    Defect(
        "counts_signatures",
        "counts signatures, not the keys that made them",
        frozenset(
            {
                "root.one-signature-twice",
                "envelope.one-signature-twice",
                "envelope.one-key-signing-twice",
            }
        ),
    ),
    Defect(
        "skips_exclusion_proofs",
        "takes a word for absent when its path is not in the proof",
        frozenset(
            {
                "proof.without-heads-revocation",
                "proof.without-installeds-revocation",
                "proof.without-proof-of-absence",
                "proof.without-channels-word",
                "proof.without-head",
                "proof.without-trust-root",
                "proof.without-approval",
                "proof.storage-root-node-altered",
                "proof.leaf-altered",
                "node.values-without-proofs",
            }
        ),
    ),
    Defect(
        "trusts_json_values",
        "believes the value that a node writes beside its proof",
        frozenset(
            {
                "node.value-hides-a-revocation",
                "node.value-hides-a-halt",
                "node.value-claims-an-approval",
                "node.value-hides-a-new-root",
                "node.values-name-another-head",
                "node.values-without-proofs",
            }
        ),
    ),
    Defect(
        "ignores_height",
        "remembers no height",
        frozenset(
            {
                "root.new-root-keeps-the-floor",
                "note.two-blocks-at-one-height",
                "fresh.older-block",
                "fresh.older-block-at-an-install",
                "fresh.higher-block-of-an-earlier-time",
                "fresh.other-block-at-one-height",
                "fresh.reorganised-chain",
                "fresh.halt-is-remembered-by-height",
                "bundle.after-a-newer-proof",
                "several.newest-first",
                "several.two-blocks-at-one-height",
            }
        ),
    ),
    Defect(
        "headers_own_validators",
        "takes the validator set from the header",
        frozenset(
            {
                "root.old-validators-after-a-change",
                "root.old-validators-beside-the-new-root",
                "header.attackers-own-validators",
                "header.other-chain",
            }
        ),
    ),
    Defect(
        "roots_after_headers",
        "looks for newer trust roots only after a header was accepted",
        frozenset(
            {
                "root.next-version",
                "root.old-root-keys-after-a-change",
                "root.slept-through-three-validator-sets",
                "root.hundred-versions",
                "root.walk-goes-on-next-time",
                "root.a-spare-signature-stripped",
                "root.expired-on-the-way",
                "root.old-validators-after-a-change",
                "root.moved-to-another-ledger",
                "root.moved-below-its-first-block",
                "root.new-root-keeps-the-floor",
                "fresh.revocation-is-for-ever",
                "bundle.with-all-roots",
                "relay.serves-new-roots",
                "several.roots-from-one-proof-from-another",
                "node.new-roots-by-the-log",
            }
        ),
    ),
    Defect(
        "newest_witness_time",
        "takes the newest time of any witness for a note's",
        frozenset(
            {
                "note.heartbeat-of-one",
                "note.heartbeat-of-two",
            }
        ),
    ),
    Defect(
        "no_length_limits",
        "reads whatever it is sent, however long",
        frozenset(
            {
                "root.65-validators",
                "header.129-seals",
                "header.129-listed-validators",
                "note.33-signatures",
                "note.longer-than-8-kib",
                "proof.of-513-nodes",
                "proof.of-10000-nodes",
                "proof.with-a-node-of-1025-bytes",
                "proof.of-65537-bytes",
                "proof.with-65-hints",
                "manifest.of-65537-bytes",
                "envelope.33-signatures",
                "relay.endless-proof",
                "relay.endless-proof-beside-an-honest-one",
                "relay.endless-proof-in-chunks",
                "relay.endless-proof-in-chunks-beside-an-honest-one",
                "relay.endless-root",
                "gateway.endless-alone",
                "gateway.endless-beside-an-honest-one",
                "gateway.endless-in-chunks-alone",
                "gateway.endless-in-chunks-beside-an-honest-one",
                "node.endless-json",
            }
        ),
    ),
    Defect(
        "ids_over_signatures",
        "knows a release by its envelope",
        frozenset(
            {
                "fresh.revocation-is-for-ever",
                "proof.without-heads-revocation",
                "proof.without-installeds-revocation",
                "proof.without-proof-of-absence",
                "proof.revoked-in-an-inlined-leaf",
                "proof.revocation-without-time",
                "release.signed-anew-after-revocation",
                "word.head-revoked",
                "word.installed-revoked-and-mandatory",
                "word.mandatory-overrides-the-cohort",
                "word.both-revoked",
                "word.installed-head-revoked",
                "word.older-head-when-installed-is-revoked",
                "word.below-the-floor",
                "fit.stone-is-revoked",
                "bundle.of-a-revoked-release",
                "several.one-withholds-the-newest",
                "several.newest-first",
                "node.value-hides-a-revocation",
                "swap.revoked-while-fetched",
            }
        ),
    ),
    Defect(
        "skips_second_look",
        "arms what it decided on before the download (no V11)",
        frozenset(
            {
                "swap.a-new-block",
                "swap.revoked-while-fetched",
                "swap.halted-while-fetched",
                "swap.replaced-while-fetched",
                "swap.key-withdrawn-while-fetched",
                "swap.silent-while-fetched",
                "swap.slot-overwritten-before-arming",
            }
        ),
    ),
    Defect(
        "ignores_code_hash",
        "believes any contract at the ledger's address",
        frozenset(
            {
                "root.code-of-another-contract",
                "proof.account-with-empty-code",
                "proof.code-of-another-contract",
            }
        ),
    ),
    Defect(
        "accepts_halted",
        "installs the head of a halted channel",
        frozenset(
            {
                "fresh.halt-is-remembered-by-height",
                "word.halted",
                "word.halted-before-the-rollout",
                "word.mandatory-never-overrides-a-halt",
                "node.value-hides-a-halt",
                "swap.halted-while-fetched",
                "swap.slot-overwritten-before-arming",
            }
        ),
    ),
    Defect(
        "witness_names",
        "counts witnesses by name, not by public key",
        frozenset(
            {
                "root.witness-under-two-names",
            }
        ),
    ),
    Defect(
        "lenient_cbor",
        "reads dag-cbor as a general CBOR library does",
        frozenset(
            {
                "root.trailing-byte",
                "root.version-in-long-form",
                "proof.with-trailing-byte",
                "proof.with-keys-out-of-order",
                "proof.with-a-key-twice",
                "manifest.integer-in-1-bytes",
                "manifest.integer-in-2-bytes",
                "manifest.integer-in-4-bytes",
                "manifest.integer-in-8-bytes",
                "manifest.text-length-in-2-bytes",
                "manifest.keys-out-of-order",
                "manifest.keys-out-of-order-below",
                "manifest.keys-sorted-by-bytes-alone",
                "manifest.a-key-twice",
                "manifest.trailing-byte",
                "envelope.trailing-byte",
                "envelope.keys-out-of-order",
            }
        ),
    ),
)
