"""The content half of publishing: all blocks of a release on an IPFS node, pinned, before the ledger speaks
of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger_client.content.publish import release_car
from ledger_client.errors import NotTrustedError
from ledger_protocol.content.cid import DAG_CBOR, Cid

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger_client.content.ipfs import IpfsClient
    from ledger_client.content.node.store import BlockStore
    from ledger_client.releases import Release


def push_release(
    client: IpfsClient,
    store: BlockStore,
    release: Release,
    *,
    progress: Callable[[int], None] | None = None,
) -> Cid:
    """Send a release to an IPFS node as one CAR and check that it is pinned; the envelope's CID.

    Images come from `store`, where `release build` put them. `progress` is called with the bytes sent so far.
    Raises what the store and the client raise, NotTrustedError where the node says that it pinned and holds
    something else.
    """
    envelope = release.envelope.encode()
    root = release.envelope.cid
    store.put(release.envelope.manifest, release.block)
    store.put(root, envelope)
    client.import_car(release_car(store, root), roots=[root], progress=progress)
    if not client.pinned(root) or client.get_block(root) != envelope:
        raise NotTrustedError(
            "the IPFS node did not keep the release",
            expected=f"{root} pinned",
            got="not pinned",
            hint="publish again, or to another node",
        )
    return root


def release_bytes(release: Release) -> int:
    """About how many bytes a push sends: its images', for a progress bar."""
    return sum(component.size for component in release.manifest.components) + len(release.block)


def envelope_hint(digest: bytes) -> Cid:
    """The CID that a `Published` log hints at."""
    return Cid(DAG_CBOR, digest)
