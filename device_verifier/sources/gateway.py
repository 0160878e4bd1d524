"""Blocks from a trustless IPFS gateway: `GET /ipfs/<cid>?format=raw` (specs.ipfs.tech, trustless gateway)."""

from device_verifier.errors import SourceUnreachable
from device_verifier.sources import BlockMissing
from device_verifier.sources.http import HttpClient, HttpLimits
from ledger_protocol.content.cid import Cid
from ledger_protocol.report.reasons import Reason

__all__ = ["GatewayBlocks"]

_GONE = {404, 410}


class GatewayBlocks:
    """A `BlockSource` over one gateway: an embedded node, Kubo, or a public one."""

    def __init__(self, url: str, *, limits: HttpLimits | None = None) -> None:
        self._http = HttpClient(url, limits=limits)

    @property
    def name(self) -> str:
        """The gateway's scheme, host and port."""
        return self._http.name

    def get(self, cid: Cid, *, max_bytes: int) -> bytes:
        """Return the body that the gateway gives for `cid`; BlockMissing for 404 and 410, SourceUnreachable
        else.
        """
        answer = self._http.get(
            f"/ipfs/{cid}?format=raw", max_bytes=max_bytes, headers={"Accept": "application/vnd.ipld.raw"}
        )
        if answer.status in _GONE:
            raise BlockMissing(
                f"{self.name} does not hold block {cid}",
                reason=Reason.CONTENT_UNAVAILABLE,
                hint="ask the publisher to pin the release, or add a gateway that holds it",
            )
        if answer.status != 200:
            raise SourceUnreachable(
                f"{self.name} does not serve block {cid}",
                reason=Reason.CONTENT_UNAVAILABLE,
                expected="status 200",
                got=f"status {answer.status}",
                hint="it must be a trustless gateway that answers ?format=raw without a redirect",
            )
        return answer.body

    def abandon(self) -> None:
        """Break off the requests in flight."""
        self._http.abandon()
