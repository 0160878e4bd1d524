"""`enrol`."""

import argparse
from pathlib import Path

from device_verifier.assembly import STATE_NAME
from device_verifier.cli.output import Answer
from device_verifier.config import DeviceConfig
from device_verifier.durable import DurableSteps, replace_file
from device_verifier.errors import SlotFailure
from device_verifier.identity import create_identity, enrolment_request, load_identity, new_salt
from device_verifier.lock import agent_lock
from device_verifier.progress import Progress
from device_verifier.store import Store
from ledger_protocol.report.reasons import Reason

__all__ = ["enrol"]

# The request holds nothing secret: the serial number is only committed to.
REQUEST_MODE = 0o644


def enrol(config: DeviceConfig, arguments: argparse.Namespace, _progress: Progress) -> Answer:
    """Make the key if there is none, and write the request; a second run writes the same request again."""
    steps = DurableSteps()
    output: Path = arguments.output or Path("device.request")
    with agent_lock(config.state_dir), Store(config.state_dir / STATE_NAME, steps=steps) as store:
        made = not config.device_key.exists()
        identity = (
            create_identity(config.device_key, steps=steps) if made else load_identity(config.device_key)
        )
        salt = store.note("serial-salt")
        if salt is None:
            salt = new_salt()
            with store.change() as change:
                change.set_note("serial-salt", salt)
        request = enrolment_request(
            identity,
            serial=config.serial or "",
            salt=salt,
            compatible=config.compatible,
            hw_revision=config.hw_revision,
        )
    try:
        replace_file(output.absolute(), request, steps=steps, mode=REQUEST_MODE)
    except OSError as error:
        raise SlotFailure(
            f"enrolment request {output}",
            reason=Reason.USAGE,
            expected="a file that can be written",
            got=error.strerror or str(error),
            hint="name another file with --output",
        ) from error
    address = "0x" + identity.address.hex()
    document = {
        "schema": "fwledger/device-enrolment/1",
        "address": address,
        "request": str(output),
        "key_made": made,
        "serial_salt": salt.hex(),
    }
    text = (
        f"device {address}\n"
        f"key {config.device_key} ({'made' if made else 'was there'})\n"
        f"request {output}: give it to the manufacturer (`fwledger device enrol {output} --group N`)"
    )
    return Answer(document, text)
