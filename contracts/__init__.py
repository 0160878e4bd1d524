"""The two contracts and their committed artifacts."""
