"""Parse, run one command, print its answer."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from device_verifier.cli.arguments import make_parser
from device_verifier.cli.output import Answer, OutputFormat, print_answer, print_error
from device_verifier.config import DEFAULT_CONFIG_PATH, DeviceConfig, load_config
from device_verifier.errors import DeviceError
from device_verifier.progress import BarProgress, LineProgress, NoProgress, Progress

__all__ = ["main"]

EXIT_INTERRUPTED: Final = 130

Command = Callable[[DeviceConfig, argparse.Namespace, Progress], Answer]

# Each command's module and function. Only the one that is run is loaded: most of a check's time is loading.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "enrol": ("enrolling", "enrol"),
    "enroll": ("enrolling", "enrol"),
    "check": ("checking", "check"),
    "install": ("updating", "install"),
    "consent": ("checking", "consent"),
    "run": ("updating", "run"),
    "status": ("showing", "status"),
    "log": ("showing", "log"),
    "mark-good": ("booting", "mark_good"),
    "boot": ("booting", "boot"),
    "reboot": ("booting", "reboot"),
    "report": ("reporting", "report"),
    "receipts": ("reporting", "receipts"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `fwledger-device`; return the exit code (design: device.md, Commands)."""
    arguments = make_parser().parse_args(argv)
    output_format = OutputFormat(arguments.output_format)
    try:
        config = load_config(_config_path(arguments))
        answer = _command(arguments.command)(config, arguments, _progress(arguments))
        print_answer(answer, output_format)
    except DeviceError as error:
        print_error(error, output_format)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python must not complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("error: interrupted; the next run goes on from the last durable step", file=sys.stderr)
        return EXIT_INTERRUPTED
    return answer.exit_code


def _command(name: str) -> Command:
    module, function = COMMANDS[name]
    command: Command = getattr(import_module(f"device_verifier.cli.{module}"), function)
    return command


def _config_path(arguments: argparse.Namespace) -> Path:
    named: Path | None = arguments.config
    if named is not None:
        return named
    return Path(os.environ.get("FWLEDGER_DEVICE_CONFIG") or DEFAULT_CONFIG_PATH)


def _progress(arguments: argparse.Namespace) -> Progress:
    if arguments.quiet:
        return NoProgress()
    return BarProgress(sys.stderr) if sys.stderr.isatty() else LineProgress(sys.stderr)
