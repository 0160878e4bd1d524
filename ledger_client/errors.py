"""What can go wrong on a host, in families: they are wrong, we could not reach them, we were asked wrongly.

`exit_code` is what the command line ends with. Errors of libraries (web3, requests, eth-account,
securesystemslib) never leave `ledger_client`: they arrive as one of these.
"""

from __future__ import annotations

EXIT_NOT_TRUSTED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3


class ClientError(Exception):
    """Base of every error that leaves `ledger_client`.

    `str()` is one line, "what: expected X, got Y"; `hint` says what a person can do about it.
    """

    exit_code = EXIT_NOT_TRUSTED

    def __init__(self, what: str, *, expected: object = None, got: object = None, hint: str = "") -> None:
        self.what = what
        self.expected = expected
        self.got = got
        self.hint = hint or self.default_hint()
        super().__init__(what)

    @classmethod
    def default_hint(cls) -> str:
        """The advice that stands where the raiser gives none."""
        return ""

    def __str__(self) -> str:
        parts = []
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        if self.got is not None:
            parts.append(f"got {self.got}")
        return f"{self.what}: {', '.join(parts)}" if parts else self.what


class NotTrustedError(ClientError):
    """They are wrong: bytes, a signature, a contract or a chain are not what was pinned or asked for."""


class WrongLedgerError(NotTrustedError):
    """The chain or the contracts behind the RPC are not the ones that were configured."""

    @classmethod
    def default_hint(cls) -> str:
        """Where the person can set it right."""
        return "check `rpc`, `chain_id`, `ledger` and `journal` in fwledger.toml"


class NotEnoughApprovalsError(NotTrustedError):
    """Fewer distinct members approved or signed than the threshold asks for."""


class UnreachableError(ClientError):
    """We could not reach them: no RPC node, IPFS node or gateway answered in time. Trying again may help."""

    exit_code = EXIT_UNREACHABLE


class NodeRefusedError(UnreachableError):
    """A node answered, but does not offer or did not accept what was asked (a JSON-RPC error)."""


class NotMinedError(UnreachableError):
    """A transaction was sent and no receipt came in time; it may still be mined."""

    def __init__(self, what: str, *, transaction: bytes, hint: str = "") -> None:
        self.transaction = transaction
        super().__init__(what, hint=hint)


class NonceTakenError(NotMinedError):
    """Another transaction of the account was mined under the nonce of ours, which is void now."""


class UsageError(ClientError):
    """We were asked wrongly: an argument, a file or an answer of the person is missing or of the wrong
    form.
    """

    exit_code = EXIT_USAGE


class ConfigError(UsageError):
    """fwledger.toml, an FWLEDGER_* variable or a flag is missing, unknown or of the wrong form."""


class KeyFileError(UsageError):
    """A key or password file is missing, open to others, damaged or of the wrong kind."""


class DeclinedError(UsageError):
    """The person, or the lack of a terminal to ask at, said no before anything was sent."""


class RevertedError(NotTrustedError):
    """A contract refused the call. `reason` is its text without the `fwledger: ` prefix, or empty."""

    reason = ""
    advice = ""

    def __init__(self, what: str = "", *, reason: str = "", call: str = "", hint: str = "") -> None:
        self.reason = reason or type(self).reason
        self.call = call
        where = f" {call}" if call else ""
        super().__init__(what or f"the ledger refused{where}: {self.reason or 'no reason given'}", hint=hint)

    @classmethod
    def default_hint(cls) -> str:
        """What each refusal's class says."""
        return cls.advice
