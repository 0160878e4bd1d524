"""What a node or a gateway may tell that is not so."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from examples.demo.attacking.server import Lie

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_FLOOD_BYTES = 65_536


@dataclass
class Record(Lie):
    """Tell the truth, and keep it for later."""

    kept: dict[str, Any] = field(default_factory=dict)
    used: int = 0

    def rpc(self, ask: Callable[[str, Sequence[Any]], Any], method: str, params: Sequence[Any]) -> Any:
        """Pass on, and keep."""
        self.used += 1
        answer = self.kept[_name(method, params)] = ask(method, params)
        return answer


@dataclass
class Replay(Lie):
    """Tell what was true when it was recorded."""

    kept: Mapping[str, Any]
    used: int = 0

    def rpc(self, ask: Callable[[str, Sequence[Any]], Any], method: str, params: Sequence[Any]) -> Any:
        """Answer from the record where it has this call."""
        if _name(method, params) not in self.kept:
            return ask(method, params)
        self.used += 1
        return self.kept[_name(method, params)]


@dataclass
class SwapWord(Lie):
    """Put another word in a word's place, in every node and every value of every proof."""

    word: bytes
    other: bytes
    used: int = 0

    def rpc(self, ask: Callable[[str, Sequence[Any]], Any], method: str, params: Sequence[Any]) -> Any:
        """Change proofs, pass on the rest."""
        answer = ask(method, params)
        if method != "eth_getProof":
            return answer
        text = json.dumps(answer)
        self.used += text.count(self.word.hex())
        return json.loads(text.replace(self.word.hex(), self.other.hex()))


@dataclass
class HideValue(Lie):
    """Write zero beside the proof of one storage key, as if nothing stood there."""

    key: bytes
    used: int = 0

    def rpc(self, ask: Callable[[str, Sequence[Any]], Any], method: str, params: Sequence[Any]) -> Any:
        """Change the value, leave its proof."""
        answer = ask(method, params)
        for entry in answer["storageProof"] if method == "eth_getProof" else ():
            if int(entry["key"], 16) == int.from_bytes(self.key, "big") and entry["value"] != "0x0":
                entry["value"] = "0x0"
                self.used += 1
        return answer


@dataclass
class OtherChain(Lie):
    """Answer from another chain's node, by `elsewhere`."""

    elsewhere: Callable[[str, Sequence[Any]], Any]
    used: int = 0

    def rpc(self, ask: Callable[[str, Sequence[Any]], Any], method: str, params: Sequence[Any]) -> Any:
        """Ask there."""
        del ask
        self.used += 1
        return self.elsewhere(method, params)


@dataclass
class SwapBlocks(Lie):
    """Give one block in the place of those named."""

    cids: frozenset[str]
    instead: bytes
    used: int = 0

    def block(self, fetch: Callable[[str], bytes], cid: str) -> bytes | Iterator[bytes]:
        """Swap those, pass on the rest."""
        if cid not in self.cids:
            return fetch(cid)
        self.used += 1
        return self.instead


@dataclass
class EndlessBlocks(Lie):
    """For these blocks, send zeros as long as somebody listens: as fast as can be, or a byte at a time."""

    cids: frozenset[str]
    pause_s: float = 0.0
    used: int = 0

    def block(self, fetch: Callable[[str], bytes], cid: str) -> bytes | Iterator[bytes]:
        """Send and send; pass on the rest."""
        if cid not in self.cids:
            return fetch(cid)
        self.used += 1
        return self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        while True:
            yield bytes(1 if self.pause_s else _FLOOD_BYTES)
            time.sleep(self.pause_s)


def _name(method: str, params: Sequence[Any]) -> str:
    return json.dumps([method, list(params)])
