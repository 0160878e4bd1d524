"""How fast an image becomes a tree: ours, storing nothing, against `ipfs add --only-hash`, in one run.

    FWLEDGER_KUBO=$(.ci/kubo) .venv/bin/python -m benchmarks.importer [--mebibytes 256] [IMAGE]

Both read the same file from the page cache and must find the same root. Without FWLEDGER_KUBO only ours is
measured.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ledger_client.content.importer import IMAGE, import_file
from ledger_client.content.node.store import BlockStore

ROUNDS = 3


def main() -> int:
    parser = argparse.ArgumentParser(description="Time the importer against Kubo's.")
    parser.add_argument("image", nargs="?", type=Path, help="a file; random bytes where none is named")
    parser.add_argument("--mebibytes", type=int, default=256, help="length of the random file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        image = arguments.image or random_file(Path(directory) / "image", arguments.mebibytes)
        size_mb = image.stat().st_size / 1e6
        print(f"{size_mb:.0f} MB, {IMAGE.chunker}, width {IMAGE.width}, best of {ROUNDS}")
        ours_s, root = best(lambda: str(import_file(image).root))
        print(f"ours, hash only      {ours_s:6.2f} s  {size_mb / ours_s:6.0f} MB/s  {root}")
        rounds = iter(range(ROUNDS))
        stored_s, _ = best(lambda: str(import_into(image, Path(directory) / f"store{next(rounds)}")))
        print(f"ours, blocks on disk {stored_s:6.2f} s  {size_mb / stored_s:6.0f} MB/s")
        binary = os.environ.get("FWLEDGER_KUBO")
        if not binary:
            print("Kubo not measured: FWLEDGER_KUBO is not set (.ci/kubo builds it)")
            return 0
        environment = {**os.environ, "IPFS_PATH": f"{directory}/repository"}
        subprocess.run([binary, "init", "--profile=test"], env=environment, check=True, capture_output=True)
        theirs_s, theirs = best(lambda: kubo_root(binary, image, environment))
        print(f"Kubo, hash only      {theirs_s:6.2f} s  {size_mb / theirs_s:6.0f} MB/s  {theirs}")
        print(f"ratio ours / Kubo    {ours_s / theirs_s:6.2f}")
        if theirs != root:
            print("error: the roots differ", file=sys.stderr)
            return 1
    return 0


def best(work) -> tuple[float, str]:
    seconds = []
    result = ""
    for _ in range(ROUNDS):
        before = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - before)
    return min(seconds), result


def import_into(image: Path, store: Path) -> str:
    return str(import_file(image, sink=BlockStore(store)).root)


def kubo_root(binary: str, image: Path, environment: dict[str, str]) -> str:
    options = [
        "--cid-version=1",
        "--raw-leaves",
        f"--chunker={IMAGE.chunker}",
        f"--max-file-links={IMAGE.width}",
    ]
    command = [binary, "add", "--only-hash", "-Q", *options, str(image)]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def random_file(path: Path, mebibytes: int) -> Path:
    source = random.Random(0)
    with path.open("wb") as file:
        for _ in range(mebibytes):
            file.write(source.randbytes(1024 * 1024))
    return path


if __name__ == "__main__":
    sys.exit(main())
