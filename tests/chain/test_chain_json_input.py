"""JSON from strangers is parsed as the standard library parses it, or refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_chain.json_input import MAX_DEPTH, parse_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
@settings(max_examples=100, deadline=None)
def test_what_is_json_is_read_as_json(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:\\1 ', max_size=60).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_anything_else_raises_only_value_error(body: bytes) -> None:
    try:
        parse_json(body)
    except ValueError:
        return


def test_brackets_in_text_are_no_nesting() -> None:
    text = "[" * 1000 + '"' + "{" * 1000 + "\\"
    assert parse_json(json.dumps([text, {text: text}]).encode()) == [text, {text: text}]


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'["\\"",{"a":'])
def test_nesting_ends_at_the_bound(opening: bytes) -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert isinstance(parse_json(deepest), list)
    with pytest.raises(ValueError, match="levels of nesting"):
        parse_json(opening * 300_000)


@pytest.mark.parametrize(
    "body", [b'"' + b'\\"' * 1_000_000, b'["' * 16 + b"\\", b'"' * 1_000_001, b'"\\' * 700_000]
)
def test_text_without_an_end_is_refused_in_linear_time(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(body)
