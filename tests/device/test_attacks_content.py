"""Attacks on the way of an image's bytes (protocol.md §8), each mounted and refused with its reason."""

import threading
import time
from contextlib import contextmanager

import pytest

from device_verifier.durable import DurableSteps
from device_verifier.errors import DeviceError, NotTrusted, SourceUnreachable
from device_verifier.fetcher import WINDOW_BLOCKS, Leaf, fetch_image
from device_verifier.held import HeldBlocks
from device_verifier.pool import MAX_FAILURES, MAX_MISSES
from device_verifier.records import ChunkRecord
from device_verifier.slots import SlotLayout
from device_verifier.store import Store
from ledger_protocol.content.cid import DAG_PB, RAW, Cid
from ledger_protocol.content.unixfs import Link, encode_node
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import CHUNK_BYTES, Release, Repository, payload
from tests.sim.sources import MemoryBlocks

IMAGE = payload(20_000)


class Fetch:
    """One component, mirrors that hold it, and what a fetch wrote."""

    def __init__(self, plain: bytes = IMAGE, mirrors: int = 2, **component: object) -> None:
        self.release: Release = Repository().build(1, images={"rootfs": plain}, component=component)
        self.component = self.release.manifest.components[0]
        self.mirrors = [MemoryBlocks(dict(self.release.blocks), name=f"mirror {i}") for i in range(mirrors)]
        self.written = bytearray()
        self.leaves: list[Leaf] = []

    def run(self, **options):
        return fetch_image(
            self.component,
            sources=self.mirrors,
            write=self.written.extend,
            on_leaf=self.leaves.append,
            **options,
        )

    def refusal(self, **options) -> DeviceError:
        with pytest.raises(DeviceError) as caught:
            self.run(**options)
        assert caught.value.hint
        assert IMAGE.startswith(bytes(self.written)), "only verified bytes, in order, ever reach the sink"
        return caught.value

    @property
    def some_leaf(self) -> Cid:
        return Cid.of(RAW, IMAGE[5 * CHUNK_BYTES : 6 * CHUNK_BYTES])


def test_a_malicious_mirror_that_swaps_a_block_is_dropped_and_the_other_finishes():
    fetch = Fetch()
    fetch.mirrors[0].lies = dict.fromkeys(fetch.release.blocks, b"evil")
    fetched = fetch.run()
    assert bytes(fetch.written) == IMAGE
    liar, honest = fetched.sources
    assert liar.dropped
    assert liar.blocks == 0
    assert honest.dropped is None


def test_a_malicious_mirror_alone_is_corrupt_content():
    fetch = Fetch(mirrors=1)
    fetch.mirrors[0].lies[fetch.some_leaf] = b"e" * CHUNK_BYTES
    error = fetch.refusal()
    assert (error.reason, error.check, error.exit_code) == (Reason.CORRUPT_CONTENT, "V10", 1)


def test_a_malicious_mirror_that_swaps_an_inner_node_is_dropped():
    fetch = Fetch()
    other = Fetch(payload(20_000, "other"))
    fetch.mirrors[0].lies[fetch.component.image] = other.mirrors[0].blocks[other.component.image]
    assert fetch.run().sources[0].dropped
    assert bytes(fetch.written) == IMAGE


def test_a_swap_between_check_and_use_is_refused_because_every_answer_is_checked_itself():
    image = IMAGE[:CHUNK_BYTES] * 12  # one chunk many times: its CID is asked for again and again
    fetch = Fetch(image)
    mirror = fetch.mirrors[0]

    def swap_after_the_first_check(cid):
        if mirror.asked.count(cid) > 1:
            mirror.lies[cid] = b"evil"

    mirror.before = swap_after_the_first_check
    fetched = fetch.run(connections=1)
    assert bytes(fetch.written) == image
    assert fetched.sources[0].dropped


def test_endless_data_in_one_block_is_cut_off():
    fetch = Fetch(mirrors=1)
    fetch.mirrors[0].lies[fetch.some_leaf] = IMAGE * 10
    asked = []
    honest = fetch.mirrors[0].get
    fetch.mirrors[0].get = lambda cid, *, max_bytes: (
        asked.append((cid, max_bytes)) or honest(cid, max_bytes=max_bytes)
    )
    assert fetch.refusal().exit_code == 3
    assert all(limit <= CHUNK_BYTES for cid, limit in asked if cid.codec == RAW), (
        "the signed size is the limit"
    )


def test_endless_data_by_a_tree_larger_than_the_signed_size_is_refused():
    fetch = Fetch(size=len(IMAGE) - 1)
    assert fetch.refusal().reason is Reason.CORRUPT_CONTENT
    assert not fetch.written


def test_endless_data_by_a_tree_that_loops_or_nests_too_deep_is_refused():
    block = IMAGE[:CHUNK_BYTES]
    link, nodes = Link(Cid.of(RAW, block), len(block), len(block)), {Cid.of(RAW, block): block}
    for _ in range(7):
        node = encode_node([link])
        nodes[Cid.of(DAG_PB, node)] = node
        link = Link(Cid.of(DAG_PB, node), len(node), CHUNK_BYTES)
    fetch = Fetch(block, image=link.cid)
    fetch.mirrors = [MemoryBlocks(nodes)]
    with pytest.raises(NotTrusted) as caught:
        fetch.run()
    assert caught.value.reason is Reason.CORRUPT_CONTENT


def test_a_node_that_claims_another_file_size_is_refused():
    leaf = IMAGE[:CHUNK_BYTES]
    node = encode_node([Link(Cid.of(RAW, leaf), CHUNK_BYTES, CHUNK_BYTES + 5)])
    fetch = Fetch(leaf, image=Cid.of(DAG_PB, node), size=CHUNK_BYTES + 5)
    fetch.mirrors = [MemoryBlocks({Cid.of(DAG_PB, node): node, Cid.of(RAW, leaf): leaf})]
    with pytest.raises(NotTrusted) as caught:
        fetch.run()
    assert caught.value.reason is Reason.CORRUPT_CONTENT
    assert not fetch.written


def test_dropped_requests_for_a_block_are_answered_by_another_mirror():
    fetch = Fetch()
    fetch.mirrors[0].missing = {fetch.some_leaf}
    fetched = fetch.run()
    assert bytes(fetch.written) == IMAGE
    assert fetched.sources[0].dropped is None, "one missing block is no reason to leave a source"


def test_dropped_requests_by_every_mirror_are_unreachable():
    fetch = Fetch()
    for mirror in fetch.mirrors:
        mirror.missing = {fetch.some_leaf}
    error = fetch.refusal()
    assert (error.reason, error.exit_code) == (Reason.CONTENT_UNAVAILABLE, 3)
    assert str(fetch.some_leaf) in str(error)


def test_a_dead_mirror_is_asked_a_few_times_only():
    fetch = Fetch()
    fetch.mirrors[0].down = True
    fetch.run(connections=1)
    assert bytes(fetch.written) == IMAGE
    assert len(fetch.mirrors[0].asked) == MAX_FAILURES


def test_a_mirror_without_the_release_is_asked_a_few_times_only():
    fetch = Fetch()
    fetch.mirrors[0].blocks = {}
    fetch.run(connections=1)
    assert len(fetch.mirrors[0].asked) == MAX_MISSES


def test_a_mirror_that_dies_half_way_leaves_the_rest_to_the_others():
    fetch = Fetch()
    mirror = fetch.mirrors[0]

    def die(_):
        mirror.down = len(mirror.asked) > 5

    mirror.before = die
    fetched = fetch.run()
    assert bytes(fetch.written) == IMAGE
    assert fetched.sources[0].dropped


def test_no_source_at_all_is_unreachable():
    assert Fetch(mirrors=0).refusal().reason is Reason.CONTENT_UNAVAILABLE


def test_a_partial_download_goes_on_where_it_stopped_and_fetches_nothing_twice():
    for offset in (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 7 * CHUNK_BYTES + 3, len(IMAGE) - 1, len(IMAGE)):
        fetch = Fetch()
        assert fetch.run(offset=offset).size_bytes == len(IMAGE) - offset
        assert bytes(fetch.written) == IMAGE[offset:]
        leaves = {cid for mirror in fetch.mirrors for cid in mirror.asked if cid.codec == RAW}
        below = {
            Cid.of(RAW, IMAGE[at : at + CHUNK_BYTES])
            for at in range(0, offset - CHUNK_BYTES + 1, CHUNK_BYTES)
        }
        assert not leaves & below


def test_leaves_are_named_with_their_places_for_the_next_update():
    fetch = Fetch()
    fetch.run()
    for leaf in fetch.leaves:
        assert Cid.of(RAW, IMAGE[leaf.offset : leaf.offset + leaf.size_bytes]).digest == leaf.digest
    assert sum(leaf.size_bytes for leaf in fetch.leaves) == len(IMAGE)


@contextmanager
def held_blocks(folder, index, holds=None):
    """What a device that wrote `index` (digest: place) into slot a finds when that slot `holds` these bytes."""
    paths = tuple(folder / f"rootfs.{slot}" for slot in "ab")
    if holds is not None:
        paths[0].write_bytes(holds)
    with Store(folder / "state.db", steps=DurableSteps()) as store, store.change() as change:
        change.add_chunks([ChunkRecord("a", "rootfs", *place, digest) for digest, place in index.items()])
    held = HeldBlocks(folder / "state.db", SlotLayout({"rootfs": paths}))
    try:
        yield held
    finally:
        held.close()


def index_at(start):
    """Where the first three chunks of the image were written."""
    places = range(0, 3 * CHUNK_BYTES, CHUNK_BYTES)
    return {Cid.of(RAW, IMAGE[at : at + CHUNK_BYTES]).digest: (start + at, CHUNK_BYTES) for at in places}


def test_chunks_that_the_active_slot_holds_are_not_fetched(tmp_path):
    fetch = Fetch()
    index = index_at(10)
    with held_blocks(tmp_path, index, b"old header" + IMAGE[: 3 * CHUNK_BYTES]) as held:
        assert fetch.run(reuse=held).reused_bytes == 3 * CHUNK_BYTES
    assert bytes(fetch.written) == IMAGE
    assert not {Cid(RAW, digest) for digest in index} & {cid for m in fetch.mirrors for cid in m.asked}


def test_a_wrong_delta_base_is_noticed_and_fetched_instead(tmp_path):
    fetch = Fetch()
    with held_blocks(tmp_path, index_at(0), bytes(len(IMAGE))) as held:  # not what the index says
        assert fetch.run(reuse=held).reused_bytes == 0
    assert bytes(fetch.written) == IMAGE


def test_a_wrong_delta_base_alone_is_unreachable_not_written(tmp_path):
    fetch = Fetch(mirrors=0)
    index = {cid.digest: (0, CHUNK_BYTES) for cid in fetch.release.blocks}
    with held_blocks(tmp_path, index, bytes(len(IMAGE))) as held:
        assert fetch.refusal(reuse=held).reason is Reason.CONTENT_UNAVAILABLE
    assert not fetch.written


def test_a_slot_that_cannot_be_read_is_only_no_help(tmp_path):
    fetch = Fetch()
    index = {cid.digest: (0, CHUNK_BYTES) for cid in fetch.release.blocks}
    with held_blocks(tmp_path, index) as held:
        assert fetch.run(reuse=held).reused_bytes == 0
    assert bytes(fetch.written) == IMAGE


def test_a_sink_that_fails_ends_the_run_with_its_own_error():
    fetch = Fetch()

    def full(_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fetch_image(fetch.component, sources=fetch.mirrors, write=full)


def test_memory_stays_bounded_by_the_window():
    image = payload(400 * CHUNK_BYTES)
    fetch = Fetch(image, mirrors=1)
    ahead = 0

    def write(_):
        nonlocal ahead
        done = len(fetch.leaves)
        asked = sum(cid.codec == RAW for cid in fetch.mirrors[0].asked)
        ahead = max(ahead, asked - done)

    fetch_image(fetch.component, sources=fetch.mirrors, write=write, on_leaf=fetch.leaves.append)
    assert 0 < ahead <= WINDOW_BLOCKS + 1


@pytest.mark.parametrize(
    "size", [1, CHUNK_BYTES, CHUNK_BYTES + 1, 4 * CHUNK_BYTES, 4 * CHUNK_BYTES + 1, 17 * CHUNK_BYTES]
)
def test_every_shape_of_tree_comes_out_whole(size):
    image = payload(size)
    fetch = Fetch(image)
    assert fetch.run().size_bytes == size
    assert bytes(fetch.written) == image


def test_every_source_is_reported_in_the_order_given_with_the_reason_why_it_was_left():
    fetch = Fetch(mirrors=3)

    def fail(_):
        raise SourceUnreachable("timed out", reason=Reason.CONTENT_UNAVAILABLE)

    fetch.mirrors[0].before = fail
    fetched = fetch.run(connections=1)
    assert [source.name for source in fetched.sources] == ["mirror 0", "mirror 1", "mirror 2"]
    assert [source.dropped for source in fetched.sources] == ["timed out", None, None]
    assert sum(source.size_bytes for source in fetched.sources) > len(IMAGE)
    assert bytes(fetch.written) == IMAGE


def hold(mirror: MemoryBlocks, over: threading.Event):
    """Make a mirror keep every block back until it is abandoned or the test ends."""
    mirror.before = lambda _: over.wait(20)
    mirror.abandon = over.set


def test_slow_retrieval_by_a_mirror_that_keeps_blocks_back_is_overtaken_and_the_mirror_left():
    fetch, over = Fetch(), threading.Event()
    hold(fetch.mirrors[0], over)
    started = time.monotonic()
    fetched = fetch.run(patience_s=0.2)
    assert time.monotonic() - started < 5
    assert bytes(fetch.written) == IMAGE
    assert "kept a block back" in fetched.sources[0].dropped
    assert fetched.sources[1].dropped is None
    assert over.is_set(), "its requests were broken off"


def test_slow_retrieval_by_more_mirrors_than_there_are_connections_does_not_stop_the_honest_one():
    fetch = Fetch(mirrors=6)
    ends = [threading.Event() for _ in range(5)]
    for mirror, over in zip(fetch.mirrors, ends, strict=False):
        hold(mirror, over)
    started = time.monotonic()
    fetched = fetch.run(patience_s=0.02, connections=2)
    assert time.monotonic() - started < 5
    assert bytes(fetch.written) == IMAGE
    assert fetched.sources[5].dropped is None


def test_the_only_source_is_waited_for_however_slow_it_is():
    fetch = Fetch(payload(2 * CHUNK_BYTES), mirrors=1)
    pause = threading.Event()
    fetch.mirrors[0].before = lambda _: pause.wait(0.05)
    fetched = fetch.run(patience_s=0.001)
    assert fetched.sources[0].dropped is None
    assert len(fetch.written) == 2 * CHUNK_BYTES


def test_two_sources_on_one_slow_link_are_both_kept():
    fetch = Fetch(payload(6 * CHUNK_BYTES))
    pause = threading.Event()
    for mirror in fetch.mirrors:
        mirror.before = lambda _: pause.wait(0.05)
    fetched = fetch.run(patience_s=0.01)
    assert [source.dropped for source in fetched.sources] == [None, None]
    assert len(fetch.written) == 6 * CHUNK_BYTES


def test_a_failing_sink_does_not_wait_for_a_mirror_that_hangs():
    fetch = Fetch(payload(100 * CHUNK_BYTES))
    mirror = fetch.mirrors[0]
    stall, held, over, pause = (threading.Event() for _ in range(4))
    mirror.abandon = over.set

    def slow_then_silent(_):
        pause.wait(0.005)  # so that requests are waiting while the sink writes
        if stall.is_set():
            held.set()
            over.wait(20)

    def full(_):
        fetch.written.extend(b"x")
        if len(fetch.written) == 10:
            stall.set()
            assert held.wait(5)
            raise OSError(28, "No space left on device")

    mirror.before = slow_then_silent
    started = time.monotonic()
    with pytest.raises(OSError, match="No space"):
        fetch_image(fetch.component, sources=[mirror], write=full, connections=1)
    assert time.monotonic() - started < 10
    assert over.is_set()


def test_a_source_left_for_slowness_is_still_asked_for_what_only_it_holds():
    fetch = Fetch()
    slow, quick_but_poor = fetch.mirrors
    only_slow = {cid for cid in list(fetch.release.blocks)[15:18] if cid.codec == RAW}
    quick_but_poor.missing = only_slow
    pause = threading.Event()
    slow.before = lambda _: pause.wait(0.1)
    fetched = fetch.run(patience_s=0.03)
    assert bytes(fetch.written) == IMAGE
    assert only_slow <= set(slow.asked)
    assert fetched.sources[0].blocks >= len(only_slow)
