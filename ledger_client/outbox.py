"""Transactions that were sent and not seen mined, kept on disk: who runs the same command again goes on
waiting for the one that is out, and sends no second.

Beside them a lock for each account: processes of one account choose their nonces one after another.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger_client.config_file import replace_file
from ledger_client.errors import UsageError
from ledger_client.json_text import parse_json
from ledger_protocol.keccak import keccak256

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = "fwledger/sent-transaction/1"
FOLDER = ".fwledger"
# A record holds a few signed transactions of at most 128 KiB each, in hex (bytes).
MAX_RECORD_BYTES = 4 * 1024 * 1024
# What nobody asked about for so long is forgotten (seconds).
KEPT_S = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction on its way. `signed` are its versions, oldest first: same nonce, rising fees (wei).

    `subject` says what it does but for deadlines, so that a command run again finds it; `epoch` is the one
    that its act spends, None where it spends none.
    """

    chain_id: int
    account: bytes
    nonce: int
    what: str
    subject: str
    epoch: int | None
    fields: dict[str, Any]
    max_fee: int
    tip: int | None
    fee_limit: int
    signed: tuple[bytes, ...]

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """What the versions are called, newest first: that is the likeliest to be mined."""
        return tuple(keccak256(raw) for raw in reversed(self.signed))

    def document(self) -> dict[str, Any]:
        """For the file."""
        return {
            "schema": SCHEMA,
            "chain_id": self.chain_id,
            "account": self.account.hex(),
            "nonce": self.nonce,
            "what": self.what,
            "subject": self.subject,
            "epoch": self.epoch,
            "fields": self.fields,
            "max_fee": self.max_fee,
            "tip": self.tip,
            "fee_limit": self.fee_limit,
            "signed": [raw.hex() for raw in self.signed],
        }

    @classmethod
    def read(cls, document: Any) -> Sent:
        """From the file; ValueError, KeyError or TypeError where it is not one of ours."""
        if document["schema"] != SCHEMA or not document["signed"]:
            raise ValueError(str(document["schema"]))
        return cls(
            **{
                name: value for name, value in document.items() if name not in ("schema", "account", "signed")
            },
            account=bytes.fromhex(document["account"]),
            signed=tuple(bytes.fromhex(raw) for raw in document["signed"]),
        )


class Outbox:
    """The records of one folder. A folder that cannot be written only costs the memory, never the act."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def locked(self, chain_id: int, account: bytes) -> Iterator[None]:
        """Hold the account's lock among this folder's processes and threads."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                self.folder.mkdir(parents=True, exist_ok=True)
                path = self.folder / f"{chain_id}-{account.hex()}.lock"
                stream = stack.enter_context(path.open("a"))
                fcntl.flock(stream, fcntl.LOCK_EX)  # the file's end lets go of it
            yield

    def put(self, sent: Sent) -> None:
        """Remember a transaction, in place of an older record of the same subject."""
        self._forget_old()
        with contextlib.suppress(UsageError):
            replace_file(
                self._path(sent.chain_id, sent.account, sent.subject),
                json.dumps(sent.document()).encode(),
                mode=0o600,
            )

    def find(self, chain_id: int, account: bytes, subject: str) -> Sent | None:
        """What was sent about a subject and not seen mined. A record that does not read is no record."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            with self._path(chain_id, account, subject).open("rb") as stream:
                sent = Sent.read(parse_json(stream.read(MAX_RECORD_BYTES)))
            if (sent.chain_id, sent.account, sent.subject) == (chain_id, account, subject):
                return sent
        return None

    def drop(self, sent: Sent) -> None:
        """Forget one that is settled."""
        with contextlib.suppress(OSError):
            self._path(sent.chain_id, sent.account, sent.subject).unlink(missing_ok=True)

    def _path(self, chain_id: int, account: bytes, subject: str) -> Path:
        name = keccak256(f"{chain_id} {account.hex()} {subject}".encode()).hex()[:32]
        return self.folder / f"{name}.sent.json"

    def _forget_old(self) -> None:
        with contextlib.suppress(OSError):
            for path in self.folder.glob("*.sent.json"):
                if path.stat().st_mtime < time.time() - KEPT_S:
                    path.unlink()


def default_outbox(config: Path | None) -> Outbox:
    """The folder beside fwledger.toml, or the user's own where there is no such file."""
    if config is not None:
        return Outbox(config.resolve().parent / FOLDER)
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Outbox(Path(home).expanduser() / "fwledger")
