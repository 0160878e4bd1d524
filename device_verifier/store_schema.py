"""The tables of the device's state file.

The version changes only together with code that converts, and that code runs only after a confirm: an old
agent must be able to open the file after a revert (design: device.md, State machine).
"""

from typing import Final

__all__ = ["APPLICATION_ID", "SCHEMA", "SCHEMA_VERSION"]

SCHEMA_VERSION: Final = 1
# "fwld": tells this file from any other SQLite file.
APPLICATION_ID: Final = 0x66776C64

SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

CREATE TABLE trust_root (version INTEGER PRIMARY KEY, signed BLOB NOT NULL);

CREATE TABLE floor (
    number INTEGER NOT NULL,
    hash BLOB,
    time INTEGER NOT NULL,
    root_version INTEGER NOT NULL,
    scope BLOB NOT NULL
);

CREATE TABLE install (
    phase TEXT NOT NULL,
    release BLOB NOT NULL,
    head BLOB NOT NULL,
    slot TEXT NOT NULL,
    origin TEXT NOT NULL,
    overridden INTEGER NOT NULL,
    started_at_s INTEGER NOT NULL,
    armed_at_s INTEGER,
    manifest BLOB NOT NULL,
    reason TEXT,
    detail TEXT NOT NULL
);

CREATE TABLE staged (name TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE installed (
    slot TEXT PRIMARY KEY,
    release BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    security_version INTEGER NOT NULL,
    version TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE chunk (
    slot TEXT NOT NULL,
    slot_class TEXT NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (slot, slot_class, offset)
) WITHOUT ROWID;

CREATE INDEX chunk_by_digest ON chunk (digest);

CREATE TABLE refused (
    release BLOB PRIMARY KEY,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    at_s INTEGER NOT NULL,
    count INTEGER NOT NULL,
    retry_at_s INTEGER,
    by_policy INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE event_chain (
    journal TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    link BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE event (
    journal TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    receipts BLOB NOT NULL,
    link BLOB NOT NULL,
    PRIMARY KEY (journal, sequence)
) WITHOUT ROWID;

CREATE TABLE log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_s INTEGER NOT NULL,
    what TEXT NOT NULL,
    release BLOB,
    reason TEXT,
    detail TEXT NOT NULL
)
"""
