"""Speaks to an IPFS node, ours or Kubo, by the same calls of its RPC; which one is one line of configuration.

    [ipfs]
    api = "/ip4/127.0.0.1/tcp/5001"

Built on `ipfshttpclient` 0.7.0 (content.md §3): never its `connect()`, whose version check refuses every
daemon since 0.8; uploads in pieces of 1 MiB; a time-out on every call, since a node on line waits for ever
for blocks that nobody has. A node is not trusted: blocks are checked against their address here, and so
must the caller check what `cat` and `export_car` give, because a node reports errors after the first byte
in a trailer that nobody reads.
"""

from __future__ import annotations

import base64
import contextlib
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import ipfshttpclient
import ipfshttpclient.exceptions as lib
import requests
from ipfshttpclient import multipart

from ledger_client.content import answers
from ledger_client.content.errors import BlockMissingError, ContentMismatchError
from ledger_client.content.importer import IMAGE, Profile
from ledger_client.content.publish import PIECE_BYTES, PieceReader, in_pieces
from ledger_client.errors import ConfigError, NodeRefusedError, UnreachableError, UsageError
from ledger_protocol.content.cid import CODECS, RAW, Cid
from ledger_protocol.errors import ProtocolError
from ledger_protocol.limits import MAX_BLOCK_BYTES

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    Answer = dict[str, Any]

CONNECT_S: Final = 10.0
TIMEOUT_S: Final = 60.0  # without a byte; a node hashes and pins 1 GiB in less
_MAX_ROOTS: Final = 16
# The library hands urllib3 2 an argument of version 1; it is why urllib3 is held below 3.
warnings.filterwarnings("ignore", "The 'strict' parameter is no longer needed", FutureWarning)
_NOT_FOUND: Final = ("not found", "could not find")


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """Who a node says that it is: `id` tells nodes apart when providers are counted."""

    id: str
    agent: str


class IpfsClient:
    """One IPFS node's RPC. Safe to share between threads for separate calls."""

    def __init__(self, api: str, *, timeout_s: float = TIMEOUT_S, authorization: str = "") -> None:
        """Name a node; nothing is sent yet.

        `api` is a multiaddr (`/ip4/127.0.0.1/tcp/5001`) or a URL (`http://127.0.0.1:5001`). `timeout_s`
        bounds every wait for the next bytes. `authorization` is a secret of Kubo's `API.Authorizations`:
        `bearer:TOKEN` or `basic:USER:PASSWORD`. Raises ConfigError for another form of either.
        """
        self.api = to_multiaddr(api)
        headers = {"Authorization": _authorization(authorization)} if authorization else {}
        self._timeout = (min(CONNECT_S, timeout_s), timeout_s)
        try:
            self._client = ipfshttpclient.Client(
                self.api, chunk_size=PIECE_BYTES, timeout=self._timeout, headers=headers, session=True
            )
            if _is_local(self.api):
                # A proxy of the environment is for other machines, and cannot reach this one's loopback.
                self._client._client._session.trust_env = False  # noqa: SLF001
        except lib.AddressError:
            raise ConfigError(
                "ipfs api", expected="/ip4/HOST/tcp/PORT or http://HOST:PORT", got=api
            ) from None

    def close(self) -> None:
        """Give back the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def version(self) -> str:
        """The node's version, as it says itself."""
        return answers.text(self._json("/version"), "Version")

    def info(self) -> NodeInfo:
        """Who the node says that it is."""
        answer = self._json("/id")
        return NodeInfo(answers.text(answer, "ID"), answers.text(answer, "AgentVersion"))

    def put_block(self, block: bytes, codec: int = RAW, *, pin: bool = False) -> Cid:
        """Store one block, pinned where asked; return its address, once the node names the same."""
        cid = Cid.of(codec, block)
        answer = self._upload(
            "/block/put", iter((block,)), {"cid-codec": CODECS[codec], "pin": str(pin).lower()}
        )
        _check_address(answers.text(answers.one(answer), "Key"), cid)
        return cid

    def get_block(self, cid: Cid) -> bytes:
        """One block, verified: BlockMissingError where there is none, ContentMismatchError for others."""
        block = bytearray()
        with contextlib.closing(self._stream("/block/get", str(cid), {"offline": "true"})) as pieces:
            for piece in pieces:
                block += piece
                if len(block) > MAX_BLOCK_BYTES:
                    raise ContentMismatchError("block from node", expected=f"at most {MAX_BLOCK_BYTES} bytes")
        try:
            cid.verify(bytes(block))
        except ProtocolError as error:
            raise ContentMismatchError(
                "block from node", expected=error.expected, got=error.got, hint="use another node"
            ) from None
        return bytes(block)

    def has_block(self, cid: Cid) -> bool:
        """Whether the node says that it holds the block itself."""
        try:
            answer = self._json("/block/stat", str(cid), {"offline": "true"})
        except BlockMissingError:
            return False
        _check_address(answers.text(answer, "Key"), cid)
        return True

    def import_car(
        self,
        pieces: Iterable[bytes],
        *,
        roots: Iterable[Cid],
        pin: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Send a CAR, as `publish.release_car` makes it; with `pin`, the node must pin exactly `roots`.

        `progress` is called with the bytes sent so far. Raises NodeRefusedError where the node could not
        pin, and ContentMismatchError where it pinned something else; errors in `pieces` pass through.
        """
        options = {"pin-roots": "true" if pin else "false"}
        lines = self._upload("/dag/import", _counted(in_pieces(pieces), progress), options)
        if not pin:
            return
        pinned = set()
        for answer in lines:
            root = answer.get("Root")
            if not isinstance(root, dict):
                continue
            if message := root.get("PinErrorMsg"):
                raise NodeRefusedError(
                    "the IPFS node could not pin the release",
                    got=str(message)[:200],
                    hint="publish again: blocks that are there already are kept",
                )
            link = root.get("Cid")
            pinned.add(str(link.get("/")) if isinstance(link, dict) else "")
        expected = {str(cid) for cid in roots}
        if pinned != expected:
            raise ContentMismatchError(
                "roots pinned by the IPFS node",
                expected=", ".join(sorted(expected)),
                got=", ".join(sorted(pinned)[:_MAX_ROOTS]) or "none",
            )

    def export_car(self, root: Cid) -> Iterator[bytes]:
        """The CAR of all that is below `root`, in pieces; verify each block as it is read
        (`car.iter_blocks`).
        """
        return self._stream("/dag/export", str(root), {"offline": "true"})

    def cat(self, cid: Cid, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of a file, in pieces, unverified: hash what arrives, and count it."""
        options = {"offset": str(offset), "offline": "true"}
        if length is not None:
            options["length"] = str(length)
        return self._stream("/cat", str(cid), options)

    def only_hash(self, path: str | os.PathLike[str], profile: Profile = IMAGE) -> Cid:
        """The root that the node itself computes, storing nothing: a cross-check of our importer."""
        options = {
            "only-hash": "true",
            "cid-version": "1",
            "raw-leaves": "true",
            "pin": "false",
            "chunker": str(profile.chunker),
            "max-file-links": str(profile.width),
        }
        try:
            with open(path, "rb") as file:  # noqa: PTH123 (a path of any kind)
                answer = answers.one(self._upload("/add", iter(lambda: file.read(PIECE_BYTES), b""), options))
        except OSError as error:
            raise UsageError(f"cannot read {path}", got=error.strerror or error) from None
        return _cid(answers.text(answer, "Hash"))

    def pin(self, cid: Cid) -> None:
        """Pin a DAG that the node holds already."""
        self._json("/pin/add", str(cid), {"offline": "true"})

    def unpin(self, cid: Cid) -> bool:
        """Give up a recursive pin; return whether there was one."""
        try:
            self._json("/pin/rm", str(cid))
        except NodeRefusedError as error:
            if "not pinned" in str(error):
                return False
            raise
        return True

    def pinned(self, cid: Cid) -> bool:
        """Whether `cid` is pinned recursively."""
        try:
            answer = self._json("/pin/ls", str(cid), {"type": "recursive"})
        except NodeRefusedError as error:
            if "is not pinned" in str(error):
                return False
            raise
        return str(cid) in answers.mapping(answer, "Keys")

    def pin_ls(self) -> tuple[str, ...]:
        """All recursive pins of the node, as text: others pin under addresses that we do not write."""
        return tuple(sorted(answers.mapping(self._json("/pin/ls", "", {"type": "recursive"}), "Keys")))

    def gc(self) -> int:
        """Let the node remove what no pin holds; return how many blocks it says that it removed."""
        return sum("Key" in answer for answer in answers.read_answers(self._stream("/repo/gc", "", {})))

    def _json(self, path: str, argument: str = "", options: Mapping[str, str] | None = None) -> Answer:
        return answers.one(answers.read_answers(self._stream(path, argument, options or {})))

    def _upload(self, path: str, pieces: Iterator[bytes], options: Mapping[str, str]) -> list[Answer]:
        body, headers = multipart.stream_files(PieceReader(pieces), chunk_size=PIECE_BYTES)
        return answers.read_answers(self._stream(path, "", options, data=body, headers=headers))

    def _stream(
        self, path: str, argument: str, options: Mapping[str, str], **upload: Any
    ) -> Generator[bytes, None, None]:
        # The library's typed methods drop options that we need, and decode answers of any length.
        with self._translated():
            answer = self._client._client.request(  # noqa: SLF001
                path,
                (argument,) if argument else (),
                opts=dict(options),
                stream=True,
                timeout=self._timeout,
                **upload,
            )
            with answer:
                yield from answer

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the library raises into the families of `ledger_client.errors`."""
        hint = "is the node running? `fwledger ipfs up` starts one; [ipfs] api in fwledger.toml names it"
        try:
            yield
        except lib.ErrorResponse as error:
            message = str(error)[:300]
            if any(sign in message for sign in _NOT_FOUND):
                raise BlockMissingError("the IPFS node does not hold it", got=message) from None
            raise NodeRefusedError("the IPFS node refused", got=message) from None
        except lib.TimeoutError:
            got = f"nothing for {self._timeout[1]:g} s"
            raise UnreachableError(f"the IPFS node at {self.api} is silent", got=got, hint=hint) from None
        except lib.StatusError as error:
            got = str(error.original or error)[:200]
            raise NodeRefusedError(
                f"{self.api} does not answer as an IPFS node", got=got, hint=hint
            ) from None
        except (lib.Error, requests.RequestException) as error:
            raise UnreachableError(f"no IPFS node at {self.api}", got=_root_cause(error), hint=hint) from None


def to_multiaddr(api: str) -> str:
    """The multiaddr of an API given as one, or as `http://HOST:PORT`; ConfigError for anything else."""
    if api.startswith("/"):
        return api
    parts = urlsplit(api)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        port = 0
    host = parts.hostname or ""
    plain = not (parts.path.strip("/") or parts.query or parts.username)
    if parts.scheme not in ("http", "https") or not host or not port or not plain:
        raise ConfigError("ipfs api", expected="/ip4/HOST/tcp/PORT or http://HOST:PORT", got=repr(api[:80]))
    kind = "ip6" if ":" in host else "ip4" if re.fullmatch(r"[\d.]+", host) else "dns"
    return f"/{kind}/{host}/tcp/{port}/{parts.scheme}"


def _is_local(api: str) -> bool:
    return bool(re.match(r"/(ip4/127\.|ip6/::1/|dns[46]?/localhost/)", api))


def _authorization(secret: str) -> str:
    kind, _, rest = secret.partition(":")
    if kind == "bearer" and rest:
        return f"Bearer {rest}"
    if kind == "basic" and ":" in rest:
        return "Basic " + base64.b64encode(rest.encode()).decode("ascii")
    raise ConfigError(
        "ipfs authorization", expected="bearer:TOKEN or basic:USER:PASSWORD", got="another form"
    )


def _counted(pieces: Iterator[bytes], progress: Callable[[int], None] | None) -> Iterator[bytes]:
    sent = 0
    for piece in pieces:
        yield piece
        sent += len(piece)
        if progress:
            progress(sent)


def _cid(text: str) -> Cid:
    try:
        return Cid.parse(text)
    except ProtocolError as error:
        raise ContentMismatchError(
            "address from the IPFS node", expected=error.expected, got=text[:80]
        ) from None


def _check_address(said: str, cid: Cid) -> None:
    if said != str(cid):
        raise ContentMismatchError("address from the IPFS node", expected=cid, got=said[:80])


def _root_cause(error: BaseException) -> str:
    """The shortest true reason of a chain of library errors, such as `Connection refused`."""
    original: object = getattr(error, "original", None) or error
    text = str(original)
    match = re.search(
        r"(Connection refused|Name or service not known|[Tt]imed out|Connection reset by peer)", text
    )
    return match[1].lower() if match else text[:160]
