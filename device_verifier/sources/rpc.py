"""Ledger proofs from any Ethereum JSON-RPC node. Its answers are only bytes to check and hints of what to ask
next.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from device_verifier.errors import DeviceError, SourceUnreachable
from device_verifier.sources import Abandonable, BlockSource, StateQuery
from device_verifier.sources.http import OPERATION_S, HttpClient, HttpLimits, printable
from device_verifier.sources.witnesses import WitnessNotes, collect_note
from device_verifier.strict_json import parse_json
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import ProtocolError
from ledger_protocol.keccak import keccak256
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.ledger import qbft, rlp
from ledger_protocol.ledger.contract_state import DeviceWord
from ledger_protocol.ledger.header import parse_header
from ledger_protocol.ledger.proof import MAX_ENVELOPES, proof_from_rpc
from ledger_protocol.limits import MAX_ROOT_STEPS, MAX_TRUST_ROOT_BYTES
from ledger_protocol.release.trust_root import HeaderTrust, LedgerRef, QbftTrust
from ledger_protocol.report.reasons import Reason

__all__ = ["PUBLISHED_TOPIC", "TRUST_ROOT_SET_TOPIC", "RpcLedger"]

# Proof answers are hex of at most a few hundred nodes of 532 bytes; logs of one channel are smaller still.
MAX_ANSWER_BYTES: Final = 4 * 2**20
MAX_LOGS: Final = 4_096
# Public nodes refuse wide eth_getLogs ranges; 10,000 blocks is what the strictest common ones take.
LOG_WINDOW_BLOCKS: Final = 10_000
MAX_LOG_WINDOWS: Final = 16

PUBLISHED_TOPIC: Final = keccak256(b"Published(bytes32,bytes32,uint256,bytes32,uint256)")
TRUST_ROOT_SET_TOPIC: Final = keccak256(b"TrustRootSet(uint256,bytes32,bytes32,uint256)")
_PUBLISHED_ENVELOPE_AT: Final = 32  # data: word, envelope, ...
_ROOT_ENVELOPE_AT: Final = 32  # data: digest, envelope, ...

# Header fields in RLP order by their JSON names; those after the fifteenth came with later forks and may be
# absent.
_HEADER_FIELDS: Final = (
    ("parentHash", False),
    ("sha3Uncles", False),
    ("miner", False),
    ("stateRoot", False),
    ("transactionsRoot", False),
    ("receiptsRoot", False),
    ("logsBloom", False),
    ("difficulty", True),
    ("number", True),
    ("gasLimit", True),
    ("gasUsed", True),
    ("timestamp", True),
    ("extraData", False),
    ("mixHash", False),
    ("nonce", False),
    ("baseFeePerGas", True),
    ("withdrawalsRoot", False),
    ("blobGasUsed", True),
    ("excessBlobGas", True),
    ("parentBeaconBlockRoot", False),
    ("requestsHash", False),
)
_REQUIRED_FIELDS: Final = 15
_QUANTITY: Final = re.compile("0x[0-9a-fA-F]{1,64}")


class RpcLedger:
    """A `LedgerSource` over one JSON-RPC URL.

    `blocks` are where signed trust roots are fetched from: the ledger's log names them by digest only.
    `witnesses` are asked for notes where the trust root pins witnesses: the proof is then of the block that
    they vouch for, which the node must still have the state of.
    """

    def __init__(
        self,
        url: str,
        *,
        blocks: Sequence[BlockSource] = (),
        witnesses: Sequence[WitnessNotes] = (),
        limits: HttpLimits | None = None,
    ) -> None:
        self._http = HttpClient(url, limits=limits)
        self._blocks = tuple(blocks)
        self._witnesses = tuple(witnesses)
        self._ids = itertools.count(1)

    @property
    def name(self) -> str:
        """The node's scheme, host and port."""
        return self._http.name

    def trust_roots(self, *, after_version: int, ledger: LedgerRef) -> list[bytes]:
        """Return the signed roots that the ledger's log names above `after_version`, as far as `blocks` hold
        them.
        """
        with self._http.operation(OPERATION_S):
            newest = self._newest_version(ledger)
            if newest is not None and newest <= after_version:
                return []
            _, latest = self._header("latest")
            found: dict[int, Cid] = {}
            for log in self._logs(ledger, [TRUST_ROOT_SET_TOPIC.hex()], latest):
                version = _topic_number(log, 1)
                digest = _word(log, _ROOT_ENVELOPE_AT)
                if version is not None and digest is not None and version > after_version:
                    found.setdefault(version, Cid(DAG_CBOR, digest))
            return self._signed_roots([found[version] for version in sorted(found)[:MAX_ROOT_STEPS]])

    def proof(self, query: StateQuery, *, ledger: LedgerRef) -> bytes:
        """Return a proof of the query's words at the newest block that is vouched for as `query.headers`
        wants it.

        Without witnesses, or for a root that pins none, that is the node's newest block.
        """
        with self._http.operation(OPERATION_S):
            block = self._vouched_block(query.headers)
            try:
                answers, head = self._answers(query, ledger, hex(block.number))
                hints = () if head is None else self._envelope_hints(query, ledger, head, block.number)
                return proof_from_rpc(block.raw_header, *answers, note=block.note, envelopes=hints).encode()
            except ProtocolError as error:
                raise self._confused(str(error)) from error

    def abandon(self) -> None:
        """Break off the requests in flight, those to witnesses and for blocks of trust roots included."""
        self._http.abandon()
        for source in (*self._blocks, *self._witnesses):
            if isinstance(source, Abandonable):
                source.abandon()

    def _vouched_block(self, headers: HeaderTrust | None) -> "_Block":
        """Choose the block to prove: the newest that has what the trust root wants of it.

        Where either path is enough, that is the node's newest if its seals hold, with the note if it is of
        the same block; else the one that the witnesses note.
        """
        trust = None if headers is None else headers.witnesses
        if headers is None or trust is None or not self._witnesses:
            return _Block(*self._header("latest"), None)
        if headers.qbft is None or headers.require == "all":
            joined = collect_note(self._witnesses, trust)
            number = joined.verified.checkpoint.number
            raw = None if headers.qbft is None else self._header(hex(number))[0]
            return _Block(raw, number, joined.note)
        raw, number = self._header("latest")
        try:
            joined = collect_note(self._witnesses, trust)
        except DeviceError:
            return _Block(raw, number, None)
        noted = joined.verified.checkpoint.number
        if noted == number:
            return _Block(raw, number, joined.note)
        return _Block(raw, number, None) if _sealed(raw, headers.qbft) else _Block(None, noted, joined.note)

    def _newest_version(self, ledger: LedgerRef) -> int | None:
        """Return the version that the node says the ledger names: a hint that saves a search of its logs.

        A lie hides a root for as long as this node is the only one asked, no more than silence would: the
        proof shows its absence.
        """
        key = "0x" + state.trust_root_version_key().hex()
        try:
            return _hex_number(self._call("eth_getStorageAt", ["0x" + ledger.address.hex(), key, "latest"]))
        except SourceUnreachable:
            return None

    def _answers(
        self, query: StateQuery, ledger: LedgerRef, at: str
    ) -> tuple[list[Mapping[str, object]], tuple[bytes, bytes] | None]:
        """Ask for every word of the query at block `at`; return the answers, and the hinted (channel, head).

        Later questions depend on earlier words (which head?). Those are taken from the node's word for it: a
        lie only makes a proof that does not hold what the verifier asks.
        """
        answers: list[Mapping[str, object]] = []

        def ask(account: bytes, keys: Sequence[bytes]) -> list[int]:
            answer = self._object(
                self._call("eth_getProof", ["0x" + account.hex(), ["0x" + key.hex() for key in keys], at])
            )
            answers.append(answer)
            return _hinted_values(answer, len(keys))

        channel, group = query.channel_id, query.group
        if query.device is not None:
            word = ask(ledger.journal, [state.device_key(query.device)])[0]
            if channel is None and group is None and word:
                group = DeviceWord.decode(word).group
        if group is not None:
            channel = _nonzero(ask(ledger.address, [state.channel_of_key(group)])[0])
        keys = [state.trust_root_key()]
        keys += [state.revoked_key(r) for r in (query.installed, *query.also_revoked) if r is not None]
        if channel is not None:
            keys = [state.head_key(channel), state.word_key(channel), *keys]
        head = None if channel is None else _nonzero(ask(ledger.address, keys)[0])
        if channel is None:
            ask(ledger.address, keys)
        if head is not None:
            more = [state.revoked_key(head)]
            if query.operator is not None:
                more.append(state.approval_key(query.operator, head))
            ask(ledger.address, more)
        return answers, None if channel is None or head is None else (channel, head)

    def _envelope_hints(
        self, query: StateQuery, ledger: LedgerRef, head: tuple[bytes, bytes], latest: int
    ) -> tuple[bytes, ...]:
        """Return CIDs of envelopes that the log names for the head and the stepping stones; none is not an
        error.
        """
        hints: dict[bytes, None] = {}
        channel, release = head
        topics: list[list[object]] = [[PUBLISHED_TOPIC.hex(), channel.hex(), release.hex()]]
        topics += [[PUBLISHED_TOPIC.hex(), None, stone.hex()] for stone in query.also_revoked]
        for wanted in topics:
            for log in self._logs(ledger, wanted, latest):
                digest = _word(log, _PUBLISHED_ENVELOPE_AT)
                if digest is not None and len(hints) < MAX_ENVELOPES:
                    hints[Cid(DAG_CBOR, digest).to_bytes()] = None
        return tuple(hints)

    def _logs(
        self, ledger: LedgerRef, topics: Sequence[object], latest: int
    ) -> Iterator[Mapping[str, object]]:
        """Yield the ledger's logs with these topics: in one call where the node allows it, else back in
        windows.
        """
        wanted = [None if topic is None else f"0x{topic}" for topic in topics]
        windows = [(ledger.from_block, latest)]
        ends = range(
            latest, max(ledger.from_block, latest - MAX_LOG_WINDOWS * LOG_WINDOW_BLOCKS), -LOG_WINDOW_BLOCKS
        )
        windows += [(max(ledger.from_block, end - LOG_WINDOW_BLOCKS + 1), end) for end in ends]
        for index, (first, last) in enumerate(windows):
            asked = {
                "address": "0x" + ledger.address.hex(),
                "fromBlock": hex(first),
                "toBlock": hex(last),
                "topics": wanted,
            }
            try:
                logs = self._call("eth_getLogs", [asked])
            except SourceUnreachable:
                if index == 0 and len(windows) > 1:
                    continue  # perhaps only the range was too wide
                return
            if isinstance(logs, list):
                yield from (log for log in logs[:MAX_LOGS] if isinstance(log, dict))
            if index == 0:
                return

    def _header(self, at: str) -> tuple[bytes, int]:
        """Return the RLP and number of the header at "latest" or a height in hex; from JSON where there is no
        debug API.
        """
        try:
            raw = self._bytes(self._call("debug_getRawHeader", [at]))
        except SourceUnreachable:
            raw = self._header_of(self._object(self._call("eth_getBlockByNumber", [at, False])))
        try:
            return raw, parse_header(raw).number
        except ProtocolError as error:
            raise self._confused(str(error)) from error

    def _header_of(self, block: Mapping[str, object]) -> bytes:
        items: list[rlp.Item] = []
        for index, (field, is_scalar) in enumerate(_HEADER_FIELDS):
            value = block.get(field)
            if value is None and index >= _REQUIRED_FIELDS:
                break
            items.append(rlp.encode_scalar(self._number(value)) if is_scalar else self._bytes(value))
        return rlp.encode(items)

    def _signed_roots(self, cids: Sequence[Cid]) -> list[bytes]:
        """Fetch signed roots while the time for the whole question lasts: a node may name any number that
        nobody has, and a gateway searches long for each.
        """
        signed: list[bytes] = []
        for cid in cids:
            if not self._http.may_go_on():
                break
            block = self._block(cid)
            if block is not None:
                signed.append(block)
            elif signed:
                break  # what follows cannot be walked to without it
        return signed

    def _block(self, cid: Cid) -> bytes | None:
        for source in self._blocks:
            try:
                block = source.get(cid, max_bytes=MAX_TRUST_ROOT_BYTES)
                cid.verify(block)
            except (DeviceError, ProtocolError):
                continue
            return block
        return None

    def _call(self, method: str, parameters: Sequence[object]) -> object:
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(parameters)}
        answer = self._http.post(
            "", json.dumps(request).encode(), max_bytes=MAX_ANSWER_BYTES, content_type="application/json"
        )
        try:
            document = self._object(parse_json(answer.body, max_bytes=MAX_ANSWER_BYTES))
        except ValueError as error:
            raise self._confused(f"{method}: status {answer.status}, not JSON") from error
        if document.get("error") is not None:
            raise self._confused(f"{method}: {printable(json.dumps(document['error']))}")
        return document.get("result")

    def _object(self, value: object) -> Mapping[str, object]:
        if not isinstance(value, dict):
            raise self._confused(f"a JSON object was due, {type(value).__name__} came")
        return value

    def _bytes(self, value: object) -> bytes:
        try:
            if isinstance(value, str) and value.startswith("0x"):
                return bytes.fromhex(value[2:])
        except ValueError:
            pass
        raise self._confused("hex was due, something else came")

    def _number(self, value: object) -> int:
        number = _hex_number(value)
        if number is None:
            raise self._confused("a hex number was due, something else came")
        return number

    def _confused(self, text: str) -> SourceUnreachable:
        return SourceUnreachable(
            f"{self.name} does not answer as an Ethereum node with eth_getProof does",
            reason=Reason.SOURCE_UNREACHABLE,
            expected="a JSON-RPC result",
            got=text,
            hint="check the URL, and that the node keeps the state of its newest blocks",
        )


@dataclass(frozen=True, slots=True)
class _Block:
    """The block that a proof is made of. The header is left out where a note alone vouches for it."""

    raw_header: bytes | None
    number: int
    note: bytes | None


def _sealed(raw_header: bytes, trust: QbftTrust) -> bool:
    """Say whether the seals hold: only to choose what to send, for the verifier asks again."""
    try:
        qbft.verify_seals(raw_header, trust)
    except ProtocolError:
        return False
    return True


def _hex_number(value: object) -> int | None:
    """Read a JSON-RPC quantity of at most 32 bytes; None for anything else."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        return None
    return int(value, 16)


def _hinted_values(answer: Mapping[str, object], count: int) -> list[int]:
    """Return the values that the node writes beside its proofs, else 0: hints, never facts."""
    storage = answer.get("storageProof")
    entries = storage if isinstance(storage, list) else []
    values = [
        _hex_number(entry.get("value")) if isinstance(entry, dict) else None for entry in entries[:count]
    ]
    return [value or 0 for value in values] + [0] * (count - len(values))


def _nonzero(value: int) -> bytes | None:
    return value.to_bytes(32, "big") if value else None


def _topic_number(log: Mapping[str, object], index: int) -> int | None:
    topics = log.get("topics")
    return _hex_number(topics[index]) if isinstance(topics, list) and len(topics) > index else None


def _word(log: Mapping[str, object], at: int) -> bytes | None:
    """Return the 32 bytes at `at` of a log's data, or None."""
    data = log.get("data")
    if not isinstance(data, str):
        return None
    try:
        word = bytes.fromhex(data[2 + 2 * at : 2 + 2 * (at + 32)])
    except ValueError:
        return None
    return word if len(word) == 32 else None
