"""The manifest: what a release is, for whom, and which bytes it is made of.

Source: protocol.md §2. The release id is the SHA-256 of the manifest block: the digest in its CID, and what
the ledger, revocations and events speak of. Signatures are not part of it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ledger_protocol import limits
from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import CID_BYTES, DAG_CBOR, DAG_PB, RAW, Cid
from ledger_protocol.errors import LimitError, MalformedError
from ledger_protocol.fields import Fields, distinct, matching, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger_protocol.content.dag_cbor import Encodable, Value

SCHEMA: Final = "fwledger/manifest/1"
KINDS: Final = ("security", "feature", "both")

_FILE_CODECS: Final = (RAW, DAG_PB)
_BLOCK_CODECS: Final = (RAW, DAG_PB, DAG_CBOR)
_COMPATIBLE: Final = re.compile(r"[a-z0-9][a-z0-9,._+-]*")  # device-tree style: acme,gateway-2
_REVISION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")  # as printed on a board: B2
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~:-]*")
_ADVISORY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")  # CVE-2031-1234, GHSA-...


@dataclass(frozen=True, slots=True)
class Delta:
    """A patch of `size` bytes, by `algorithm`, on the image with `from_sha256` (None: on nothing)."""

    from_sha256: bytes | None
    algorithm: str
    patch: Cid
    size: int


@dataclass(frozen=True, slots=True)
class Component:
    """One image of a release: `size` bytes with this `sha256`, addressed by `image`, for one class of slot.

    `encryption` is a map that a device must understand or refuse; None means plain. `read_only` says that
    the running system never changes these bytes.
    """

    name: str
    slot_class: str
    handler: str
    arch: str
    size: int
    sha256: bytes
    image: Cid
    deltas: tuple[Delta, ...] = ()
    encryption: Mapping[str, Value] | None = None
    verity_root: bytes | None = None
    read_only: bool = False
    hooks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MinFrom:
    """A device of a lower security version installs release `via` first (None: no way from there)."""

    security_version: int
    via: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A release as its signers mean it. Times are Unix seconds; `previous` and `via` are release ids.

    An empty `hw_revisions` means every revision of `compatible`.
    """

    compatible: str
    version: str
    channels: tuple[str, ...]
    sequence: int
    security_version: int
    kind: str
    created: int
    components: tuple[Component, ...]
    hw_revisions: tuple[str, ...] = ()
    previous: bytes | None = None
    min_from: MinFrom | None = None
    advisories: tuple[str, ...] = ()
    support_until: int | None = None
    notes: str = ""
    identifiers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    sbom: Cid | None = None
    provenance: Cid | None = None

    def encode(self) -> bytes:
        """Return the block; raise ProtocolError for a manifest that `decode` would refuse."""
        block = dag_cbor.encode(_to_map(self))
        if Manifest.decode(block) != self:
            raise MalformedError("manifest", expected="values that survive encoding", got="others")
        return block

    @classmethod
    def decode(cls, block: bytes) -> Manifest:
        """Read a manifest block of at most 64 KiB; `encode` of the result gives the block again.

        What comes back is well formed. Who signed it, and whether the ledger names it, is not said here.
        """
        fields = Fields.document(block, schema=SCHEMA, max_bytes=limits.MAX_MANIFEST_BYTES)
        manifest = cls(
            compatible=fields.name("compatible", pattern=_COMPATIBLE, max_bytes=limits.MAX_LABEL_BYTES),
            hw_revisions=fields.names("hw_revisions", max_count=limits.MAX_HW_REVISIONS, pattern=_REVISION),
            version=fields.name("version", pattern=_VERSION),
            channels=fields.names("channels", min_count=1, max_count=limits.MAX_CHANNELS),
            sequence=fields.integer("sequence", low=1, high=limits.MAX_U32),
            security_version=fields.integer("security_version", high=limits.MAX_U24),
            previous=fields.octets_or_null("previous", size=32),
            min_from=_min_from(fields.group_or_null("min_from")),
            kind=fields.choice("kind", KINDS),
            advisories=fields.names("advisories", max_count=limits.MAX_ADVISORIES, pattern=_ADVISORY),
            support_until=fields.integer_or_null("support_until", high=limits.MAX_TIME_S),
            created=fields.integer("created", high=limits.MAX_TIME_S),
            notes=fields.text("notes", max_bytes=limits.MAX_NOTES_BYTES, empty=True, lines=True),
            identifiers=_identifiers(fields.take("identifiers")),
            sbom=fields.link_or_null("sbom", codecs=_BLOCK_CODECS),
            provenance=fields.link_or_null("provenance", codecs=_BLOCK_CODECS),
            components=tuple(
                _component(item)
                for item in fields.groups("components", min_count=1, max_count=limits.MAX_COMPONENTS)
            ),
        )
        fields.end()
        distinct((component.name for component in manifest.components), where="names of components")
        return manifest

    def component(self, name: str) -> Component | None:
        """Return the component of this name, or None."""
        return next((component for component in self.components if component.name == name), None)


def release_id(block: bytes) -> bytes:
    """Return the release id of a manifest block: its SHA-256, 32 bytes."""
    return hashlib.sha256(block).digest()


def channel_id(name: str) -> bytes:
    """Return the 32 bytes by which the ledger knows a channel: SHA-256 of its name."""
    return hashlib.sha256(name.encode("utf-8")).digest()


def _min_from(fields: Fields | None) -> MinFrom | None:
    if fields is None:
        return None
    low = MinFrom(
        fields.integer("security_version", high=limits.MAX_U24), fields.octets_or_null("via", size=32)
    )
    fields.end()
    return low


def _identifiers(value: Value) -> Mapping[str, str]:
    where = f"{SCHEMA}.identifiers"
    if not isinstance(value, dict):
        raise MalformedError(where, expected="a map", got=type(value).__name__)
    if len(value) > limits.MAX_IDENTIFIERS:
        raise LimitError(where, expected=f"at most {limits.MAX_IDENTIFIERS}", got=len(value))
    for key in value:
        matching(key, pattern=_ADVISORY, max_bytes=limits.MAX_NAME_BYTES, where=where)
    return MappingProxyType(
        {key: text(item, max_bytes=limits.MAX_LABEL_BYTES, where=where) for key, item in value.items()}
    )


def _component(fields: Fields) -> Component:
    encryption = fields.take("encryption")
    if encryption is not None and not isinstance(encryption, dict):
        raise MalformedError(
            "encryption of component", expected="a map or null", got=type(encryption).__name__
        )
    component = Component(
        name=fields.name("name"),
        slot_class=fields.name("slot_class"),
        handler=fields.name("handler"),
        arch=fields.name("arch"),
        size=fields.integer("size", low=1, high=limits.MAX_FILE_BYTES),
        sha256=fields.octets("sha256", size=32),
        image=_image(fields, encrypted=encryption is not None),
        deltas=tuple(_delta(item) for item in fields.groups("deltas", max_count=limits.MAX_DELTAS)),
        encryption=None if encryption is None else MappingProxyType(encryption),
        verity_root=fields.octets_or_null("verity_root", size=32),
        read_only=fields.boolean("read_only"),
        hooks=fields.names("hooks", max_count=limits.MAX_HOOKS),
    )
    fields.end()
    distinct(
        ((delta.from_sha256, delta.algorithm) for delta in component.deltas), where="deltas of component"
    )
    return component


def _image(fields: Fields, *, encrypted: bool) -> Cid:
    """Read the image: a link, or plain bytes for an encrypted one, whose plain blocks nobody publishes."""
    if not encrypted:
        return fields.link("image", codecs=_FILE_CODECS)
    image = Cid.from_bytes(fields.octets("image", size=CID_BYTES))
    if image.codec not in _FILE_CODECS:
        raise MalformedError("image of component", expected="raw or dag-pb", got=image)
    return image


def _delta(fields: Fields) -> Delta:
    delta = Delta(
        from_sha256=fields.octets_or_null("from_sha256", size=32),
        algorithm=fields.name("algorithm"),
        patch=fields.link("patch", codecs=_BLOCK_CODECS),
        size=fields.integer("size", low=1, high=limits.MAX_FILE_BYTES),
    )
    fields.end()
    return delta


def _to_map(manifest: Manifest) -> dict[str, Encodable]:
    low = manifest.min_from
    return {
        "schema": SCHEMA,
        "compatible": manifest.compatible,
        "hw_revisions": manifest.hw_revisions,
        "version": manifest.version,
        "channels": manifest.channels,
        "sequence": manifest.sequence,
        "security_version": manifest.security_version,
        "previous": manifest.previous,
        "min_from": None if low is None else {"security_version": low.security_version, "via": low.via},
        "kind": manifest.kind,
        "advisories": manifest.advisories,
        "support_until": manifest.support_until,
        "created": manifest.created,
        "notes": manifest.notes,
        "identifiers": manifest.identifiers,
        "sbom": manifest.sbom,
        "provenance": manifest.provenance,
        "components": [_component_map(component) for component in manifest.components],
    }


def _component_map(component: Component) -> dict[str, Encodable]:
    return {
        "name": component.name,
        "slot_class": component.slot_class,
        "handler": component.handler,
        "arch": component.arch,
        "size": component.size,
        "sha256": component.sha256,
        "image": component.image if component.encryption is None else component.image.to_bytes(),
        "deltas": [
            {
                "from_sha256": delta.from_sha256,
                "algorithm": delta.algorithm,
                "patch": delta.patch,
                "size": delta.size,
            }
            for delta in component.deltas
        ],
        "encryption": component.encryption,
        "verity_root": component.verity_root,
        "read_only": component.read_only,
        "hooks": component.hooks,
    }
