"""Trust roots and ledger proofs as plain files over HTTP: from a relay, a gateway, or any cache before it."""

from urllib.parse import quote

from device_verifier.errors import SourceUnreachable
from device_verifier.sources import StateQuery
from device_verifier.sources.http import OPERATION_S, HttpClient, HttpLimits
from ledger_protocol.limits import MAX_PROOF_BYTES, MAX_ROOT_STEPS, MAX_TRUST_ROOT_BYTES
from ledger_protocol.release.trust_root import LedgerRef
from ledger_protocol.report.reasons import Reason

__all__ = ["RelayLedger"]


class RelayLedger:
    """A `LedgerSource` over `{url}/fwledger/v1/`: `proof/channel/{name}`, `proof/group/{n}`,
    `proof/device/{address}`, `trust-roots/{version}`.

    A channel's file covers the running release only while it is among the channel's last 16.
    """

    def __init__(self, url: str, *, limits: HttpLimits | None = None) -> None:
        self._http = HttpClient(url, limits=limits)

    @property
    def name(self) -> str:
        """The relay's scheme, host and port."""
        return self._http.name

    def trust_roots(self, *, after_version: int, ledger: LedgerRef) -> list[bytes]:  # noqa: ARG002 - a relay serves one ledger
        """Return the signed roots from `after_version` + 1 up to the first that the relay does not have.

        Where it fails on the way, those before: the next check goes on from them.
        """
        found: list[bytes] = []
        with self._http.operation(OPERATION_S):
            for version in range(after_version + 1, after_version + 1 + MAX_ROOT_STEPS):
                try:
                    signed = self._trust_root(version)
                except SourceUnreachable:
                    if not found:
                        raise
                    break
                if signed is None:
                    break
                found.append(signed)
        return found

    def proof(self, query: StateQuery, *, ledger: LedgerRef) -> bytes:  # noqa: ARG002 - a relay serves one ledger
        """Return the newest proof file for the query's device, channel or group."""
        if query.device is not None:
            path = f"device/0x{query.device.hex()}"
        elif query.channel is not None:
            path = f"channel/{quote(query.channel, safe='')}"
        else:
            path = f"group/{query.group}"
        answer = self._http.get(f"/fwledger/v1/proof/{path}", max_bytes=MAX_PROOF_BYTES)
        if answer.status != 200:
            raise self._refusal(f"proof/{path}", answer.status)
        return answer.body

    def abandon(self) -> None:
        """Break off the requests in flight."""
        self._http.abandon()

    def _trust_root(self, version: int) -> bytes | None:
        answer = self._http.get(f"/fwledger/v1/trust-roots/{version}", max_bytes=MAX_TRUST_ROOT_BYTES)
        if answer.status not in {200, 404}:
            raise self._refusal("trust roots", answer.status)
        return answer.body if answer.status == 200 else None

    def _refusal(self, what: str, status: int) -> SourceUnreachable:
        return SourceUnreachable(
            f"{self.name} does not serve {what}",
            reason=Reason.SOURCE_UNREACHABLE,
            expected="status 200",
            got=f"status {status}",
            hint="check that it is a fwledger relay and follows this channel",
        )
