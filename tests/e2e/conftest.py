"""One world a session: a chain, an IPFS node, a manufacturer with two publishers to spare, and a relay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.chain import RunningChain, chain_process
from tests.support.fleet import run_relay
from tests.support.manufacturer import Manufacturer, deployed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.ipfs import IpfsNode


@pytest.fixture(scope="session")
def chain() -> Iterator[RunningChain]:
    with chain_process() as running:
        yield running


@pytest.fixture(scope="module")
def maker(
    tmp_path_factory: pytest.TempPathFactory, chain: RunningChain, embedded_node: IpfsNode
) -> Manufacturer:
    """A manufacturer with contracts of its own; group 1 follows `stable`."""
    made = deployed(
        tmp_path_factory.mktemp("maker"), rpc=chain.url, ipfs=embedded_node.api, gateway=embedded_node.gateway
    )
    made.run("channel", "create", "stable", "--group", "1", "--yes")
    return made


@pytest.fixture(scope="module")
def relay(maker: Manufacturer) -> Iterator[str]:
    with run_relay(maker) as url:
        yield url
