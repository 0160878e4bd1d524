"""`fwledger`: the publisher's, operator's and auditor's command.

Nouns are imported when they are used, so that `fwledger --help` answers at once.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import click

from ledger_client.errors import EXIT_NOT_TRUSTED, EXIT_UNREACHABLE, EXIT_USAGE, ClientError
from ledger_protocol.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Noun: its module in this package, and what stands beside it in --help.
NOUNS = {
    "init": ("init", "write fwledger.toml, with comments"),
    "key": ("key", "make keys: firmware, root, account"),
    "deploy": ("deploy", "put the two contracts on a chain and make the first trust root"),
    "trust": ("trust", "show, sign and announce a trust root"),
    "release": ("release", "build, sign, check, publish, list and revoke releases"),
    "channel": ("channel", "create, halt, resume and look at channels"),
    "governance": ("governance", "show and change who may do what, in public"),
    "operator": ("operator", "countersign releases as a fleet owner"),
    "device": ("device", "enrol, retire and list devices"),
    "proof": ("proof", "fetch ledger and receipt proofs as files"),
    "bundle": ("bundle", "make and show offline bundles"),
    "receipts": ("receipts", "record what devices did"),
    "relay": ("relay", "take receipts and serve proofs over HTTP"),
    "witness": ("witness", "sign which block is final, and join such notes"),
    "ipfs": ("ipfs", "run the embedded IPFS node"),
    "audit": ("audit", "read, prove and export the history"),
}

EXIT_INTERRUPTED = 130

_EPILOG = """\b
Example:
  fwledger init && fwledger key new --kind firmware keys/alice.pem
  fwledger release build rootfs=rootfs.img --version 1.2.0 --sequence 12 --out releases/1.2.0

\b
Exit codes: 0 done, 1 not trusted or refused, 2 usage, 3 chain or content unreachable.
"""


class _Nouns(click.Group):
    """A group whose members are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [noun for noun, (module, _) in NOUNS.items() if _present(module)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        found = NOUNS.get(cmd_name)
        if found is None or not _present(found[0]):
            return None
        command = getattr(importlib.import_module(f"ledger_client.cli.{found[0]}"), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"ledger_client.cli.{found[0]}.{cmd_name} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Nouns"):
            formatter.write_dl([(noun, NOUNS[noun][1]) for noun in self.list_commands(ctx)])


@click.group(cls=_Nouns, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fwledger", prog_name="fwledger")
def cli() -> None:
    """Publish, steer and audit firmware releases on a ledger that no server owns."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and end the process with its exit code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code. What goes wrong is printed as `error:` and `hint:` on standard
    error.
    """
    try:
        result: Any = cli.main(
            args=None if arguments is None else list(arguments), prog_name="fwledger", standalone_mode=False
        )
    except click.exceptions.Abort:
        return _tell("interrupted", "", EXIT_INTERRUPTED)
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # click 8.2 and later; it is the help, not an error
            sys.stderr.write(f"{error.format_message()}\n")
            return EXIT_USAGE
        hint = ""
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f"`{error.ctx.command_path} --help` shows how it is used"
        return _tell(_lower(error.format_message()), hint, EXIT_USAGE)
    except ClientError as error:
        return _tell(str(error), error.hint, error.exit_code)
    except ProtocolError as error:
        return _tell(str(error), error.hint, EXIT_NOT_TRUSTED)
    except BrokenPipeError:
        return EXIT_USAGE
    except OSError as error:  # a file that a person named: a folder, not ours to read, on a full disk
        return _tell(_file_trouble(error), "check the path, its permissions and the space left", EXIT_USAGE)
    except Exception as error:
        if not _is_device_error(error):
            raise
        return _tell(
            str(error), getattr(error, "hint", ""), int(getattr(error, "exit_code", EXIT_UNREACHABLE))
        )
    return result if isinstance(result, int) else 0


def _present(module: str) -> bool:
    return importlib.util.find_spec(f"ledger_client.cli.{module}") is not None


def _is_device_error(error: Exception) -> bool:
    """The device's own checks run here too (`release check`, `bundle show`), and raise their own family."""
    return type(error).__module__ == "device_verifier.errors"


def _file_trouble(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{(error.strerror or str(error) or type(error).__name__).lower()}"


def _tell(what: str, hint: str, code: int) -> int:
    sys.stderr.write(f"error: {' '.join(what.split())}\n")
    if hint:
        sys.stderr.write(f"hint: {hint}\n")
    return code


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:].rstrip(".")
