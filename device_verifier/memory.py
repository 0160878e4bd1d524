"""What the device remembers of the ledger between checks: `inquiry.Memory` over the store."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from device_verifier.config import ImageFloor
from device_verifier.errors import UsageError
from device_verifier.inquiry import Held
from device_verifier.store import Store
from device_verifier.trusted_ledger import LedgerFloor, floor_scope
from ledger_protocol.errors import ProtocolError
from ledger_protocol.ledger.contract_state import Revocation
from ledger_protocol.limits import MAX_ROOT_STEPS, MAX_TRUST_ROOT_BYTES
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot, verify_first
from ledger_protocol.report.reasons import Reason

__all__ = ["StoreMemory", "read_factory_root"]


class StoreMemory:
    """Roots and floor in the store, on top of the root that came with the image. Each call is durable on
    return.
    """

    def __init__(self, store: Store, *, factory_root: bytes, image: ImageFloor | None = None) -> None:
        """`factory_root` is the signed trust root of the image that runs, from `read_factory_root`; `image`
        what else was known when it was built.
        """
        self._store = store
        self._factory = factory_root
        self._image = image

    def held(self) -> Held:
        """Return the newest signed root, the digests of the others, and the floor."""
        signed = self._signed_roots()
        digests = tuple(map(_digest, signed[:-1]))
        return Held(trust_root=signed[-1], walked=digests, floor=self.floor())

    def floor(self) -> LedgerFloor | None:
        """Return the newest state that this device may go back to: what it accepted, or what its image
        knows.
        """
        accepted = self._store.floor()
        if self._image is None:
            return accepted
        built = LedgerFloor(
            number=self._image.block,
            hash=None,
            time=self._image.block_time,
            root_version=_version(self._factory),
            scope=floor_scope(self._factory),
            built_at=self._image.built_at,
        )
        if accepted is None:
            return built
        if accepted.scope != built.scope:
            # The ledger or its headers changed in between: the newer root's floor is the one that counts.
            return accepted if accepted.root_version >= built.root_version else built
        newer = accepted if accepted.number >= built.number else built
        return replace(
            newer,
            time=max(accepted.time, built.time),
            root_version=max(accepted.root_version, built.root_version),
            seen_at=accepted.seen_at,
            built_at=built.built_at,
        )

    def keep_root(self, signed: bytes) -> None:
        """Remember an accepted root."""
        with self._store.change() as change:
            change.add_trust_root(_version(signed), signed)

    def keep_floor(self, floor: LedgerFloor) -> None:
        """Remember the floor of an accepted proof; nothing is written if it is the one held.

        With it the root that it was accepted under: where that came with the image which runs now, the image
        that the device falls back to does not have it.
        """
        if floor != self._store.floor():
            newest = self._signed_roots()[-1]
            with self._store.change() as change:
                if _version(newest) > 1:  # older than the first is no image's
                    change.add_trust_root(_version(newest), newest)
                change.raise_floor(floor)

    def revocations(self) -> Mapping[bytes, Revocation]:
        """Return every revocation that was ever proven here."""
        return self._store.revocations()

    def keep_revocations(self, revoked: Mapping[bytes, Revocation]) -> None:
        """Remember proven revocations; nothing is written if all are known."""
        known = self._store.revocations()
        new = {release: found for release, found in revoked.items() if known.get(release) != found}
        if new:
            with self._store.change() as change:
                for release, found in new.items():
                    change.keep_revocation(release, found)

    def root(self) -> TrustRoot:
        """Return the newest trust root held."""
        return _decoded(self._signed_roots()[-1])

    def _signed_roots(self) -> list[bytes]:
        # Of one version in two envelopes, the one that was walked to: the sort keeps it behind the factory's.
        return sorted(dict.fromkeys((self._factory, *self._store.trust_roots())), key=_version)


def read_factory_root(path: Path) -> bytes:
    """Return the signed trust root at `path`; UsageError where it is missing or not rightly signed by
    itself.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TRUST_ROOT_BYTES * 2)
        verify_first(data, now_s=None)
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    except ProtocolError as error:
        raise _refused(path, str(error)) from error
    return data


# Every line of history asks for the newest root, and a device may hold hundreds.
@lru_cache(maxsize=MAX_ROOT_STEPS)
def _version(signed: bytes) -> int:
    return _decoded(signed).version


@lru_cache(maxsize=MAX_ROOT_STEPS)
def _digest(signed: bytes) -> bytes:
    return SignedTrustRoot.decode(signed).digest


@lru_cache(maxsize=1)
def _decoded(signed: bytes) -> TrustRoot:
    return TrustRoot.decode(SignedTrustRoot.decode(signed).document)


def _refused(path: Path, got: str) -> UsageError:
    return UsageError(
        f"trust root {path}",
        reason=Reason.USAGE,
        expected="the manufacturer's signed trust root",
        got=got,
        hint="install the trust root of your manufacturer; without it nothing can be trusted",
    )
