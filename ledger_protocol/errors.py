"""What a decoder or verifier of this package raises: *they are wrong*, never *we could not reach them*."""

from __future__ import annotations

_SHOWN_CHARS = 120  # a hostile value must not flood a log line


class ProtocolError(Exception):
    """Bytes from elsewhere are not what they must be. Everything that leaves this package derives from it.

    `what` names the thing that is wrong; `expected` and `got` say how; `hint` is for a person. Byte
    strings are shown as hex and long values are cut, so hostile input can be printed.
    """

    def __init__(self, what: str, *, expected: object = None, got: object = None, hint: str = "") -> None:
        self.what = what
        self.expected = expected
        self.got = got
        self.hint = hint
        sides = []
        if expected is not None:
            sides.append(f"expected {_shown(expected)}")
        if got is not None:
            sides.append(f"got {_shown(got)}")
        super().__init__(f"{what}: {', '.join(sides)}" if sides else what)


class MalformedError(ProtocolError):
    """The encoding is broken, not canonical, truncated, or not of the schema that was asked for."""


class LimitError(MalformedError):
    """A length, count or depth is over the limit that this package sets."""


class MismatchError(ProtocolError):
    """Content is well formed but is not what its digest, CID or link says."""


class MissingError(ProtocolError):
    """A block that a bundle or archive has to hold is not in it."""


class SignatureError(ProtocolError):
    """A signature or a key is not valid, or not of a kind that is accepted."""


class QuorumError(SignatureError):
    """Too few distinct trusted keys signed."""


class ProofError(ProtocolError):
    """A Merkle proof does not lead from the trusted root to the claimed value."""


class TrustRootError(ProtocolError):
    """A trust root does not follow from the one that is held.

    `steps` are the signed roots that a walk accepted before it stopped: they are authentic and are to be
    stored, whatever came after them.
    """

    steps: tuple[bytes, ...] = ()


class RootExpiredError(TrustRootError):
    """The newest trust root at hand is authentic, and its time is over."""


def _shown(value: object) -> str:
    text = value.hex() if isinstance(value, bytes | bytearray) else str(value)
    text = "".join(char if char.isprintable() else "?" for char in text[: _SHOWN_CHARS + 1])
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
