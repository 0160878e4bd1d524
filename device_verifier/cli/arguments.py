"""The command line's grammar and help."""

import argparse
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

from device_verifier.cli.output import OutputFormat
from device_verifier.config import DEFAULT_CONFIG_PATH

__all__ = ["make_parser"]

EXIT_USAGE: Final = 2
EPILOG: Final = """\
examples:
  fwledger-device enrol --output device.request    make this device's key, and the request to be enrolled
  fwledger-device check --explain                what is new, and how each check V0 to V9 went
  fwledger-device install                        fetch it into the spare slot and arm the boot loader
  fwledger-device install --bundle stick.car     the same from a stick, without any network

exit codes: 0 done, 1 not trusted or refused, 2 usage, 3 ledger or content unreachable,
            4 device or slot failure, 10 update available (check)
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in our two lines instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}", file=sys.stderr)
        print(f"hint: see `{self.prog} --help`", file=sys.stderr)
        sys.exit(EXIT_USAGE)


class _Version(argparse.Action):
    """Prints the installed version, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib import metadata  # noqa: PLC0415 - it brings a mail parser, which no other command needs

        try:
            version = metadata.version("fwledger")
        except metadata.PackageNotFoundError:
            version = "unknown: this is a source tree"
        print(f"{parser.prog}, version {version}")
        parser.exit()


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; each command's name is in `command`."""
    parser = _Parser(
        prog="fwledger-device",
        description="Update this device by releases that it proves to itself: no server is trusted.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help=f"device.toml (default: $FWLEDGER_DEVICE_CONFIG, else {DEFAULT_CONFIG_PATH})",
    )
    parser.add_argument(
        "--output-format",
        choices=[choice.value for choice in OutputFormat],
        default=OutputFormat.READABLE.value,
        metavar="FORMAT",
        help="readable (default), shell, json or json-pretty",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    enrol = commands.add_parser(
        "enrol", aliases=["enroll"], help="make the device's key and a request to be enrolled"
    )
    enrol.add_argument(
        "--output", type=Path, metavar="FILE", help="where the request goes (default: device.request)"
    )

    check = commands.add_parser("check", help="ask whether there is an update, without touching a slot")
    check.add_argument("--explain", action="store_true", help="show how each check went")
    _add_source(check)

    install = commands.add_parser("install", help="install the newest release into the spare slot")
    install.add_argument("--explain", action="store_true", help="show how each check went")
    _add_source(install)

    commands.add_parser("consent", help="agree to the release that waits for consent")
    status = commands.add_parser("status", help="show slots, floors, and why a release was not taken")
    status.add_argument("--detailed", action="store_true", help="with refusals and the newest history")
    status.add_argument("--facts", action="store_true", help="print the facts that `release check` reads")
    commands.add_parser("mark-good", help="confirm the running slot, after the same checks")

    boot = commands.add_parser(
        "boot", help="simulated boot: choose a slot, check its health, confirm or fall back"
    )
    _add_hang(boot)
    reboot = commands.add_parser("reboot", help="reboot (only --simulate: the init system does the real one)")
    reboot.add_argument("--simulate", action="store_true", help="as `boot` does")
    _add_hang(reboot)

    log = commands.add_parser("log", help="show this device's own history")
    log.add_argument("--limit", type=int, default=50, metavar="N", help="newest lines (default 50)")

    commands.add_parser("report", help="send queued events to the relay, and prove that the ledger has them")
    receipts = commands.add_parser("receipts", help="carry queued events by file")
    verbs = receipts.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    export = verbs.add_parser("export", help="write them to a file")
    export.add_argument("file", type=Path, metavar="FILE")
    anchored = verbs.add_parser("anchored", help="let go of those that an anchor is proved to hold")
    anchored.add_argument("file", type=Path, metavar="FILE", help="what `fwledger receipts anchor` gave back")

    run = commands.add_parser("run", help="check, install and report again and again")
    run.add_argument("--rounds", type=int, metavar="N", help="stop after N rounds (default: never)")
    return parser


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="from this bundle only, without network")
    parser.add_argument(
        "--now", action="store_true", help="override cohort, window and consent; it is written down"
    )


def _add_hang(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--hang", action="store_true", help="let the chosen slot hang before its agent starts"
    )
