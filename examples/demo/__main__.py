"""`make demo`: exits with 0 if everything went as it must, with 1 and the reason if anything did not."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from examples.demo.stage import DemoError, Stage
from examples.demo.story import run_demo


def main() -> int:
    """Play the story in a folder of its own, which goes when it ends well."""
    folder = Path(tempfile.mkdtemp(prefix="fwledger-demo-")).resolve()
    home = Path.cwd()
    try:
        with Stage(folder) as stage:
            run_demo(stage)
    except DemoError as error:
        print(
            f"\nerror: the demo went otherwise: {error}\nhint: everything it made is in {folder}",
            file=sys.stderr,
        )
        return 1
    os.chdir(home)
    shutil.rmtree(folder)
    return 0


sys.exit(main())
