"""Real root file system images: the running Python and this project's packages, in an ext4 image by mke2fs.

Where mke2fs is missing the same tree goes into a newc cpio archive, the format of an initramfs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

TREE_BYTES = 56 << 20
"""How much of the tree goes in: enough for a 72 MiB image, well over the 64 MiB that the demo promises."""
IMAGE_BYTES = 72 << 20
LEFT_OUT = {"__pycache__", "test", "tests", "idlelib"}
FIXED_UUID = "66776c65-6467-4572-8000-000000000001"


@dataclass(frozen=True, slots=True)
class Image:
    """One image file and how it was made."""

    path: Path
    made_by: str
    size_bytes: int


def make_tree(root: Path) -> Path:
    """Copy the standard library and the site-packages into `root`, up to `TREE_BYTES`."""
    left = TREE_BYTES
    for source, below in _sources():
        for path in _files(source):
            size = path.stat().st_size
            if size > left:
                continue
            left -= size
            target = root / below / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return root


def stamp(root: Path, *, version: str, lines: dict[str, str]) -> None:
    """Give the tree its version, and change what this version changes (`lines`: path -> text)."""
    for name, text in {"etc/os-release": f'NAME="fwledger demo"\nVERSION="{version}"\n', **lines}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def make_image(root: Path, image: Path) -> Image:
    """Make an image of the tree: ext4 by mke2fs where there is one, else a newc cpio archive."""
    mke2fs = shutil.which("mke2fs", path=os.environ.get("PATH", "") + ":/sbin:/usr/sbin")
    if mke2fs is None:
        _write_cpio(root, image)
        return Image(image, "newc cpio", image.stat().st_size)
    with image.open("wb") as out:
        out.truncate(IMAGE_BYTES)
    options = ["-q", "-F", "-t", "ext4", "-d", str(root), "-U", FIXED_UUID, "-E", f"hash_seed={FIXED_UUID}"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "E2FSPROGS_FAKE_TIME": "1700000000"}
    subprocess.run([mke2fs, *options, str(image)], check=True, env=environment, stdout=subprocess.DEVNULL)
    return Image(image, "mke2fs -d", image.stat().st_size)


def _sources() -> Iterator[tuple[Path, Path]]:
    paths = sysconfig.get_paths()
    yield Path(paths["stdlib"]), Path("usr/lib/python3")
    yield Path(paths["purelib"]), Path("usr/lib/site-packages")


def _files(top: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(top):
        names[:] = sorted(n for n in names if n not in LEFT_OUT and n != "site-packages")
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _write_cpio(root: Path, archive: Path) -> None:
    """Write the tree as "newc" (cpio(5)): a fixed ASCII header of 13 hex fields, name and data padded to 4
    bytes.
    """
    with archive.open("wb") as out:
        for number, path in enumerate(sorted(root.rglob("*")), start=1):
            is_folder = path.is_dir()
            data = b"" if is_folder else path.read_bytes()
            mode = 0o040755 if is_folder else 0o100644
            _write_entry(out, str(path.relative_to(root)), data, mode=mode, number=number)
        _write_entry(out, "TRAILER!!!", b"", mode=0, number=0)


def _write_entry(out: BinaryIO, name: str, data: bytes, *, mode: int, number: int) -> None:
    encoded = name.encode() + b"\0"
    fields = [number, mode, 0, 0, 1, 1_700_000_000, len(data), 0, 0, 0, 0, len(encoded), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    out.writelines(part + b"\0" * (-len(part) % 4) for part in (header + encoded, data))
