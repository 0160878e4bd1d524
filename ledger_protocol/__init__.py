"""The bytes that all sides agree on: pure functions and frozen dataclasses, no network, no files, no clock."""
