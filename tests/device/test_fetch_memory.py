"""A device has little memory, and none of a host's packages: measured in a process of its own."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from tests.sim.repository import image_blocks, payload
from tests.sim.servers import Gateway, http_server

MAX_RESIDENT_MB = 60  # what the whole process may take while it installs
FORBIDDEN = (
    "web3",
    "eth",
    "eth_abi",
    "eth_account",
    "hexbytes",
    "trie",
    "rlp",
    "numpy",
    "click",
    "rich",
    "ledger_client",
)

# VmHWM, not ru_maxrss: that one survives exec, and would count the test's own memory.
SCRIPT = """
import hashlib, json, re, sys
from device_verifier.fetcher import fetch_image
from device_verifier.inquiry import consult
from device_verifier.sources import bundle, directory, relay, rpc, witnesses
from device_verifier.sources.gateway import GatewayBlocks
from ledger_protocol.content.cid import Cid
from ledger_protocol.release.manifest import Component
urls, image, size = json.loads(sys.argv[1])
component = Component("rootfs", "rootfs", "raw", "aarch64", size, bytes(32), Cid.parse(image))
digest = hashlib.sha256()
fetch_image(component, sources=[GatewayBlocks(url) for url in urls], write=digest.update)
peak_mb = int(re.search("VmHWM:\\\\s*([0-9]+) kB", open("/proc/self/status").read())[1]) / 1024
print(json.dumps([digest.hexdigest(), peak_mb, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_a_fetch_from_two_gateways_stays_small_and_loads_no_package_of_a_host():
    image = payload(40 * 2**20)
    root, blocks = image_blocks(image, chunk_bytes=65_536, width=1_024)
    with http_server(Gateway(blocks)) as one, http_server(Gateway(blocks)) as other:
        arguments = json.dumps([[one, other], str(root), len(image)])
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, arguments],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
            timeout=60,
        )
    digest, peak_mb, modules = json.loads(run.stdout)
    assert digest == hashlib.sha256(image).hexdigest()
    assert peak_mb < MAX_RESIDENT_MB
    assert not set(modules) & set(FORBIDDEN)
