from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_client.content.chunker import Fixed, Rabin
from tests.unit.test_chunker import Dribble, rabin_lengths

SIZES = st.tuples(st.integers(16, 80), st.integers(1, 300), st.integers(1, 400)).map(
    lambda parts: (parts[0], parts[0] + parts[1], parts[0] + parts[1] + parts[2])
)
# Few different bytes make windows repeat, which random bytes never do.
DATA = st.one_of(
    st.binary(max_size=3000), st.lists(st.sampled_from([b"\0" * 64, b"ab", b"\x80"])).map(b"".join)
)


@settings(max_examples=150)
@given(data=DATA, sizes=SIZES, step=st.integers(1, 500))
def test_rabin_is_its_definition_however_the_stream_is_read(data, sizes, step):
    chunks = list(Rabin(*sizes).chunks(Dribble(data, step)))
    assert b"".join(chunks) == data
    assert [len(chunk) for chunk in chunks] == rabin_lengths(data, *sizes)


@settings(max_examples=60)
@given(data=DATA, size=st.integers(1, 500), step=st.integers(1, 500))
def test_fixed_chunks_join_to_the_stream(data, size, step):
    chunks = list(Fixed(size).chunks(Dribble(data, step)))
    assert chunks == [data[at : at + size] for at in range(0, len(data), size)]
    assert chunks == list(Fixed(size).chunks(io.BytesIO(data)))
