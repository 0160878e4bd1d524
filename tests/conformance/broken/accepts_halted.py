"""Installs the head of a halted channel."""

from dataclasses import replace

from device_verifier import policy
from tests.conformance.broken.serving import serve


def standing_gates(view, facts, head, word):
    return honest(view, facts, head, replace(word, halted=False))


honest, policy._standing_gates = policy._standing_gates, standing_gates

serve()
