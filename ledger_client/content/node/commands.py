"""What each call of the node's RPC does: arguments and options in, Kubo's JSON or a stream out."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from ledger_client.content import files, publish
from ledger_client.content.address import Address
from ledger_client.content.chunker import parse_chunker
from ledger_client.content.errors import BlockMissingError
from ledger_client.content.importer import Profile, import_file
from ledger_client.content.node.store import VERSION
from ledger_client.errors import UsageError
from ledger_protocol.content import car
from ledger_protocol.content.cid import CODECS, Cid
from ledger_protocol.errors import ProtocolError
from ledger_protocol.limits import MAX_BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ledger_client.content.node.body import UploadedFile
    from ledger_client.content.node.store import BlockStore

    Json = dict[str, object]

AGENT: Final = f"fwledger/{version('fwledger')}"
_MAX_PINS: Final = 1024  # of one call
_DEFAULT_CHUNKER: Final = "size-262144"  # Kubo's, where a client names none
_DEFAULT_WIDTH: Final = 174
_JSON: Final = "application/json"


class CallError(UsageError):
    """A call's arguments or options are missing or not supported: status 400."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: arguments in order, options by name, and its file where it has one."""

    store: BlockStore
    arguments: tuple[str, ...]
    options: Mapping[str, str]
    upload: UploadedFile | None

    @property
    def file(self) -> UploadedFile:
        """The uploaded file."""
        if self.upload is None:
            raise RuntimeError("this command takes no file")
        return self.upload

    def cids(self) -> tuple[Cid, ...]:
        """The arguments as CIDs; `/ipfs/CID` is accepted, paths below one are not."""
        return tuple(Address.parse(text.removeprefix("/ipfs/").rstrip("/")).cid for text in self.arguments)

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean option, in any of Go's spellings."""
        text = self.options.get(name)
        if text is None:
            return default
        if text in ("1", "t", "T", "true", "TRUE", "True"):
            return True
        if text in ("0", "f", "F", "false", "FALSE", "False"):
            return False
        raise CallError(f"option {name!r}", expected="true or false", got=repr(text[:40]))

    def number(self, name: str, *, default: int | None, low: int, high: int) -> int | None:
        """An integer option within bounds."""
        text = self.options.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) < 20 and low <= int(text) <= high):
            raise UsageError(f"option {name!r}", expected=f"{low} to {high}", got=repr(text[:40]))
        return int(text)

    def only(self, name: str, wanted: str) -> None:
        """Refuse an option of any value but the one that this node does."""
        if self.options.get(name, wanted).lower() != wanted:
            raise UsageError(f"option {name!r} of this node", expected=wanted, got=self.options[name][:40])


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that is sent while it is made."""

    pieces: Iterator[bytes]
    media_type: str


@dataclass(frozen=True, slots=True)
class Command:
    """How a call is answered: least and most arguments, options that mean something, and whether it takes a
    file.
    """

    run: Callable[[Call], Json | Stream]
    arguments: tuple[int, int] = (0, 0)
    options: frozenset[str] = frozenset()
    file: bool = False


def _version(_: Call) -> Json:
    system = f"{platform.machine()}/{platform.system().lower()}"
    return {"Version": AGENT, "Commit": "", "Repo": VERSION, "System": system, "Golang": ""}


def _id(call: Call) -> Json:
    # Not a libp2p peer: the id only tells nodes apart, which counting providers needs.
    agent = {"AgentVersion": AGENT, "Protocols": None}
    return {"ID": f"fwledger-{call.store.id}", "PublicKey": "", "Addresses": None, **agent}


def _add(call: Call) -> Json:
    for name, wanted in _ADD_ONLY.items():
        call.only(name, wanted)
    if call.options.get("cid-version") != "1" or not call.flag("raw-leaves", default=False):
        raise UsageError(
            "this node adds files", expected="with cid-version=1 and raw-leaves=true", got="without"
        )
    width = call.number("max-file-links", default=_DEFAULT_WIDTH, low=2, high=1024) or _DEFAULT_WIDTH
    profile = Profile(parse_chunker(call.options.get("chunker", _DEFAULT_CHUNKER)), width)
    if call.flag("only-hash", default=False):
        done = import_file(call.file, profile=profile)
    else:
        with call.store.writing():
            done = import_file(call.file, profile=profile, sink=call.store)
            if call.flag("pin", default=True):
                call.store.pin(done.root)
    return {"Name": call.file.name or str(done.root), "Hash": str(done.root), "Size": str(done.tree_bytes)}


_ADD_ONLY: Final = {"trickle": "false", "nocopy": "false", "wrap-with-directory": "false", "hash": "sha2-256"}


def _block_put(call: Call) -> Json:
    call.only("mhtype", "sha2-256")
    names = {name: codec for codec, name in CODECS.items()}
    name = call.options.get("cid-codec", "raw")
    if name not in names:
        raise UsageError("option 'cid-codec' of this node", expected=", ".join(names), got=name[:40])
    block = bytearray()
    while piece := call.file.read(MAX_BLOCK_BYTES + 1 - len(block)):
        block += piece
        if len(block) > MAX_BLOCK_BYTES:
            raise UsageError("block too large", expected=f"at most {MAX_BLOCK_BYTES} bytes", got="more")
    cid = Cid.of(names[name], bytes(block))
    with call.store.writing():
        call.store.put(cid, bytes(block))
        if call.flag("pin", default=False):
            call.store.pin(cid)
    return {"Key": str(cid), "Size": len(block)}


def _block_get(call: Call) -> Stream:
    return Stream(iter((call.store.get(call.cids()[0]),)), "application/vnd.ipld.raw")


def _block_stat(call: Call) -> Json:
    cid = call.cids()[0]
    return {"Key": str(cid), "Size": call.store.size(cid)}


def _dag_import(call: Call) -> Stream:
    pin = call.flag("pin-roots", default=True)
    count = size = 0

    def counted(blocks: Iterator[tuple[Cid, bytes]]) -> Iterator[tuple[Cid, bytes]]:
        nonlocal count, size
        for cid, block in blocks:
            count += 1
            size += len(block)
            yield cid, block

    lines: list[Json] = []
    with call.store.writing():
        roots = car.read_header(call.file)
        call.store.put_many(counted(car.iter_blocks(call.file, max_block_bytes=MAX_BLOCK_BYTES)))
        lines += [
            {"Root": {"Cid": {"/": str(root)}, "PinErrorMsg": _pin_error(call.store, root)}}
            for root in (roots if pin else ())
        ]
    if call.flag("stats", default=False):
        lines.append({"Stats": {"BlockCount": count, "BlockBytesCount": size}})
    return Stream(_json_lines(iter(lines)), _JSON)


def _dag_export(call: Call) -> Stream:
    return Stream(publish.release_car(call.store, call.cids()[0]), "application/vnd.ipld.car; version=1")


def _cat(call: Call) -> Stream:
    top = 2**63 - 1
    first = call.number("offset", default=0, low=0, high=top) or 0
    length = call.number("length", default=None, low=0, high=top)
    root = Address.of(call.cids()[0])
    if not files.is_file(root, call.store.get(root.cid)):
        raise UsageError("this dag node is not a file")
    last = None if length is None else first + length - 1
    pieces = iter(()) if length == 0 else files.read_range(root, call.store.get, first, last)
    return Stream(publish.in_pieces(pieces), "text/plain")


def _pin_add(call: Call) -> Json:
    call.only("recursive", "true")
    cids = call.cids()
    for cid in cids:
        call.store.pin(cid)
    return {"Pins": [str(cid) for cid in cids]}


def _pin_ls(call: Call) -> Json | Stream:
    if call.options.get("type", "all") not in ("all", "recursive"):
        raise UsageError(
            "option 'type' of this node", expected="all or recursive", got=call.options["type"][:40]
        )
    cids = call.cids()
    for cid in cids:
        if not call.store.pinned(cid):
            raise UsageError(f"path '{cid}' is not pinned")
    shown = cids or call.store.pins()
    if call.flag("stream", default=False):
        return Stream(_json_lines({"Cid": str(cid), "Type": "recursive"} for cid in shown), _JSON)
    return {"Keys": {str(cid): {"Type": "recursive", "Name": ""} for cid in shown}}


def _pin_rm(call: Call) -> Json:
    cids = call.cids()
    for cid in cids:
        if not call.store.unpin(cid):
            raise UsageError("not pinned or pinned indirectly")
    return {"Pins": [str(cid) for cid in cids]}


def _repo_gc(call: Call) -> Stream:
    return Stream(_json_lines({"Key": {"/": str(cid)}} for cid in call.store.collect_garbage()), _JSON)


def _repo_stat(call: Call) -> Json:
    stat = call.store.stat()
    return {
        "RepoSize": stat.size_bytes,
        "StorageMax": 0,
        "NumObjects": stat.blocks,
        "RepoPath": str(call.store.path),
        "Version": VERSION,
    }


def _pin_error(store: BlockStore, root: Cid) -> str:
    try:
        store.pin(root)
    except (BlockMissingError, ProtocolError) as error:
        return str(error)
    return ""


def _json_lines(items: Iterator[Json]) -> Iterator[bytes]:
    for item in items:
        yield json.dumps(item, separators=(",", ":")).encode() + b"\n"


_ONE: Final = (1, 1)
_ADD_OPTIONS: Final = {"only-hash", "chunker", "cid-version", "raw-leaves", "max-file-links", "pin"}
COMMANDS: Final[Mapping[str, Command]] = {
    "version": Command(_version),
    "id": Command(_id),
    "add": Command(_add, options=frozenset(_ADD_OPTIONS | _ADD_ONLY.keys()), file=True),
    "block/put": Command(_block_put, options=frozenset({"cid-codec", "mhtype", "pin"}), file=True),
    "block/get": Command(_block_get, _ONE),
    "block/stat": Command(_block_stat, _ONE),
    "dag/import": Command(_dag_import, options=frozenset({"pin-roots", "stats"}), file=True),
    "dag/export": Command(_dag_export, _ONE),
    "cat": Command(_cat, _ONE, options=frozenset({"offset", "length"})),
    "pin/add": Command(_pin_add, (1, _MAX_PINS), options=frozenset({"recursive"})),
    "pin/ls": Command(_pin_ls, (0, _MAX_PINS), options=frozenset({"type", "stream"})),
    "pin/rm": Command(_pin_rm, (1, _MAX_PINS), options=frozenset({"recursive"})),
    "repo/gc": Command(_repo_gc),
    "repo/stat": Command(_repo_stat),
}
