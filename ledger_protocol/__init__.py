"""The bytes that all sides agree on: pure functions and frozen dataclasses; no network, files or clock."""
