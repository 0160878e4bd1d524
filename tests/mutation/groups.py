"""Which tests have to notice a change of which module: the modules that `make mutate` changes, in groups that share
their tests. A group's tests are quick, for they run against each of its mutants.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """`modules` are mutated; `tests` are files that judge them."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]


LEDGER = "ledger_protocol/ledger/"
RELEASE = "ledger_protocol/release/"
DEVICE = "device_verifier/"

GROUPS = (
    Group(
        "encodings",
        tuple(LEDGER + name for name in ("rlp.py", "header.py", "merkle_patricia.py", "trie_builder.py")),
        tuple(f"tests/unit/test_{name}.py" for name in ("rlp", "header", "merkle_patricia", "trie_builder")),
    ),
    Group(
        "seals",
        (LEDGER + "qbft.py", LEDGER + "secp256k1.py"),
        ("tests/unit/test_qbft.py", "tests/unit/test_secp256k1.py"),
    ),
    Group(
        "proofs",
        tuple(LEDGER + name for name in ("proof.py", "receipt_proof.py", "contract_state.py", "rollout.py")),
        tuple(
            f"tests/unit/test_{name}.py"
            for name in ("ledger_proof", "receipt_proof", "contract_state", "rollout")
        ),
    ),
    Group(
        "notes",
        (LEDGER + "witness_note.py", RELEASE + "witness_key.py"),
        ("tests/unit/test_witness_note.py", "tests/unit/test_trust_root.py"),
    ),
    Group(
        "releases",
        tuple(RELEASE + name for name in ("envelope.py", "manifest.py", "signing.py")),
        tuple(f"tests/unit/test_{name}.py" for name in ("envelope", "manifest", "signing")),
    ),
    Group(
        "roots",
        (RELEASE + "trust_root.py", RELEASE + "root_document.py"),
        ("tests/unit/test_trust_root.py",),
    ),
    Group(
        "device",
        tuple(
            DEVICE + name
            for name in (
                "trusted_ledger.py",
                "trusted_roots.py",
                "headers.py",
                "ledger_view.py",
                "freshness.py",
                "gates.py",
                "refusals.py",
                "release.py",
            )
        ),
        tuple(
            f"tests/device/test_{name}.py"
            for name in (
                "trusted_ledger",
                "freshness",
                "attacks_ledger",
                "attacks_release",
                "attacks_witnesses",
                "policy",
                "steps",
                "refusals",
                "verifier_edges",
            )
        ),
    ),
)
