"""A black-box suite for any client of this protocol: good and bad worlds, and what it must make of them.

It shares no code with a client: `device_verifier` is never imported here.
"""
