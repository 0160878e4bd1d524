"""`fwledger-device`: the command that runs on the device."""

from device_verifier.cli.main import main

__all__ = ["main"]
