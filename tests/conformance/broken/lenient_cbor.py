"""Reads dag-cbor as a general CBOR library does: longer integers, keys in any order, bytes behind."""

from ledger_protocol.content import dag_cbor
from ledger_protocol.errors import MalformedError
from tests.conformance.broken.serving import serve


class Reader(dag_cbor._Reader):
    def head(self):
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if info < 24:
            return major, info
        if info > 27 or major == 7:
            raise MalformedError("head")
        return major, int.from_bytes(self.take(1 << (info - 24)), "big")

    def map(self, count, depth):
        result = {}
        for _ in range(count):
            major, size = self.head()
            if major != 3:
                raise MalformedError("key")
            key = self.text(size)
            result[key] = self.value(depth + 1)
        return result


def decode(data, *, max_bytes):
    if len(data) > max_bytes:
        raise dag_cbor.LimitError("document")
    return Reader(bytes(data)).value(0)


dag_cbor.decode = decode

serve()
