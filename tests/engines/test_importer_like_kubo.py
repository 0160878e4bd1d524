"""The same roots as the real Kubo, over many sizes, contents, chunkers and widths."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger_client.content.chunker import Fixed, Rabin
from ledger_client.content.importer import IMAGE, SMALL, Profile, import_file

pytestmark = pytest.mark.engines("kubo")

PROFILES = st.one_of(
    st.just(IMAGE),
    st.just(SMALL),
    st.builds(
        Profile,
        st.one_of(
            st.integers(100, 5000).map(Fixed),
            st.tuples(st.integers(16, 300), st.integers(1, 600), st.integers(1, 900)).map(
                lambda part: Rabin(part[0], part[0] + part[1], part[0] + part[1] + part[2])
            ),
        ),
        st.integers(6, 12),  # at most five levels, which is what a device accepts
    ),
)


def content(kind: str, size: int) -> bytes:
    if kind == "random":
        return random.Random(size).randbytes(size)
    pattern = {"zeros": b"\0", "ones": b"\xff", "text": b"the same line again\n"}[kind]
    return (pattern * (size // len(pattern) + 1))[:size]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    profile=PROFILES, kind=st.sampled_from(["random", "zeros", "ones", "text"]), size=st.integers(0, 60_000)
)
def test_small_files_have_kubos_root(kubo_node, tmp_path, profile, kind, size):
    path = tmp_path / "image"
    path.write_bytes(content(kind, size))
    with kubo_node.client() as client:
        assert client.only_hash(path, profile) == import_file(path, profile=profile).root


@pytest.mark.parametrize("kind", ["random", "zeros", "text"])
@pytest.mark.parametrize(
    "profile", [IMAGE, SMALL, Profile(Fixed(262_144), 174)], ids=lambda p: str(p.chunker)
)
@pytest.mark.parametrize("size", [65_537, 1_048_575, 9_000_001])
def test_larger_files_have_kubos_root(kubo_node, tmp_path, profile, kind, size):
    path = tmp_path / "image"
    path.write_bytes(content(kind, size))
    with kubo_node.client() as client:
        assert client.only_hash(path, profile) == import_file(path, profile=profile).root


def test_a_tree_of_three_levels_has_kubos_root(kubo_node, tmp_path):
    # 1,100 leaves of 4 kB under nodes of 1,024 links, as a large image has them at 32 kB a leaf.
    path = tmp_path / "image"
    path.write_bytes(random.Random(4).randbytes(1100 * 4096 + 7))
    profile = Profile(Fixed(4096), 1024)
    with kubo_node.client() as client:
        assert client.only_hash(path, profile) == import_file(path, profile=profile).root


def test_what_is_added_to_kubo_is_what_we_import(kubo_node, tmp_path):
    data = random.Random(5).randbytes(700_000)
    path = tmp_path / "image"
    path.write_bytes(data)
    done = import_file(path)
    with kubo_node.client() as client:
        assert client.only_hash(path) == done.root
        assert not client.has_block(done.root)
