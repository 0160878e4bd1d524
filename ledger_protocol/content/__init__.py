"""How bytes are addressed."""
