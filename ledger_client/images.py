"""What `release build` is given: images, and what to say about each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ledger_client.content.importer import import_file
from ledger_client.errors import UsageError
from ledger_protocol.content.cid import RAW, Cid
from ledger_protocol.release.manifest import Component

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger_client.content.importer import BlockSink

_KEYS = ("slot", "handler", "arch", "read_only")


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """One image file and the component it becomes."""

    name: str
    path: Path
    slot_class: str
    handler: str = "raw"
    arch: str = ""
    read_only: bool = False

    @classmethod
    def parse(cls, text: str, *, arch: str) -> ImageSpec:
        """Read `[NAME=]PATH[,slot=CLASS][,handler=H][,arch=A][,read_only]`.

        The name is the file's name up to its first dot where none is given, the slot class is the name, and
        the architecture is `arch`.
        """
        place, *options = text.split(",")
        name, equals, path = place.partition("=")
        if not equals:
            name, path = Path(place).name.split(".")[0], place
        if not name or not path:
            raise UsageError(
                "image", expected="[NAME=]PATH[,slot=CLASS][,handler=H][,arch=A][,read_only]", got=text
            )
        spec = cls(name=name, path=Path(path), slot_class=name, arch=arch)
        for option in options:
            match option.split("=", 1):
                case ["read_only"]:
                    spec = replace(spec, read_only=True)
                case ["slot", value] if value:
                    spec = replace(spec, slot_class=value)
                case ["handler", value] if value:
                    spec = replace(spec, handler=value)
                case ["arch", value]:
                    spec = replace(spec, arch=value)
                case _:
                    raise UsageError(f"image {name}: option", expected=", ".join(_KEYS), got=option)
        return spec

    def draft(self) -> Component:
        """The component before its image was read: enough to check everything else in a manifest."""
        if not self.path.is_file():
            raise UsageError(f"cannot read {self.path}", expected="a file", got="none")
        nothing = hashlib.sha256(b"").digest()
        return Component(
            name=self.name,
            slot_class=self.slot_class,
            handler=self.handler,
            arch=self.arch,
            size=1,
            sha256=nothing,
            image=Cid(RAW, nothing),
            read_only=self.read_only,
        )


def import_component(
    spec: ImageSpec, *, sink: BlockSink, progress: Callable[[int], None] | None = None
) -> Component:
    """Cut an image into blocks, put them into the store, and describe it."""
    imported = import_file(spec.path, sink=sink, progress=progress)
    if not imported.size_bytes:
        raise UsageError(f"image {spec.path}", expected="content", got="an empty file")
    return Component(
        name=spec.name,
        slot_class=spec.slot_class,
        handler=spec.handler,
        arch=spec.arch,
        size=imported.size_bytes,
        sha256=imported.sha256,
        image=imported.root,
        read_only=spec.read_only,
    )
