"""A witness: with a node of its own it signs which block is final, once for each height (protocol.md §4)."""
