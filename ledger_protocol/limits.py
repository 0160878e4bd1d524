"""Every bound that a decoder enforces before it uses a length, a count or a depth, with its unit and reason.

They bound memory and time of whoever reads hostile bytes, and are part of the protocol: what one side
refuses, the other must not write.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# --- integers on the ledger (protocol.md §2, ledger.md) ---
MAX_U24: Final = 2**24 - 1  # security_version, epoch, group
MAX_U32: Final = 2**32 - 1  # sequence
MAX_TIME_S: Final = 2**40 - 1  # Unix seconds, uint40 in the contracts
MAX_U64: Final = 2**64 - 1  # the largest head of CBOR
MAX_FILE_BYTES: Final = 2**40  # 1 TiB: above any flash part, far below overflow in a sum of sizes

# --- dag-cbor (protocol.md §1) ---
MAX_CBOR_DEPTH: Final = 16  # levels; our deepest document needs 6
MAX_CBOR_VALUES: Final = 65_536  # in all, keys not counted; 1,024 receipts have 12,000, each value 100 bytes

# --- documents: one block each, small enough for a microcontroller-class gateway and one HTTP answer ---
MAX_MANIFEST_BYTES: Final = 64 * KIB
MAX_ENVELOPE_BYTES: Final = 8 * KIB  # 32 signatures of about 115 bytes each, and a link
MAX_TRUST_ROOT_BYTES: Final = 64 * KIB  # 64 validators, 32 + 32 keys, 32 witnesses take about 20 KiB
MAX_PROOF_BYTES: Final = 64 * KIB  # header, six words and hints take 3 to 6 KiB
MAX_REPORT_BYTES: Final = 16 * KIB
MAX_RECEIPT_PROOF_BYTES: Final = 512 * KIB  # 512 events of a batch, 330 bytes a log, sit in one leaf

# --- lists inside documents ---
MAX_SIGNATURES: Final = 32  # signature checks cost time before anything is trusted
MAX_KEYS: Final = 32  # m-of-n with people behind the keys
MAX_VALIDATORS: Final = 64  # QBFT networks run 4 to about 30
MAX_WITNESSES: Final = 32
MAX_ROOT_STEPS: Final = 256  # trust roots that one walk takes (protocol.md §3)
MAX_ROOTS_PASSED_OVER: Final = (
    4096  # older roots that a source may offer before a new one; they cost time only
)
MAX_COMPONENTS: Final = 64
MAX_DELTAS: Final = 64  # from -> to pairs of one component
MAX_CHANNELS: Final = 64
MAX_HW_REVISIONS: Final = 256
MAX_ADVISORIES: Final = 512
MAX_IDENTIFIERS: Final = 64
MAX_HOOKS: Final = 16

# --- text, in bytes of UTF-8 ---
MAX_NAME_BYTES: Final = 64  # names of channels, components, slots, handlers
MAX_LABEL_BYTES: Final = 256  # versions, identifiers, advisories
MAX_NOTES_BYTES: Final = 32 * KIB
MAX_VKEY_BYTES: Final = 512  # name + key id + base64 of one Ed25519 key

# --- blocks and trees ---
MAX_BLOCK_BYTES: Final = 2 * MIB  # what IPFS peers exchange at most
MAX_TREE_WIDTH: Final = 1024  # links of a node; the widest profile in use (content.md §1)
MAX_NODE_BYTES: Final = 128 * KIB  # 1,024 links of about 60 bytes
MAX_TREE_DEPTH: Final = 5  # 1024^4 leaves of 1 byte pass MAX_FILE_BYTES

# --- CAR and bundle ---
MAX_CAR_HEADER_BYTES: Final = 4 * KIB
MAX_CAR_ROOTS: Final = 16
MAX_BUNDLE_PART_BYTES: Final = 4 * GIB - MIB  # FAT32 ends at 4 GiB - 1
MAX_BUNDLE_PARTS: Final = 256  # 1 TiB
MAX_BUNDLE_BLOCKS: Final = 2**18  # about 10 GiB at 40 KiB a block; the index takes 16 bytes each
MAX_BUNDLE_ROOTS_BYTES: Final = 4 * MIB  # all trust roots of one bundle, held in memory
