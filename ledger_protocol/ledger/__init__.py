"""What the chain proves."""
