"""JSON of strangers can neither end the process nor pass the depth that we count."""

import json

import pytest
import web3  # noqa: F401 - it raises the recursion limit, which is what makes deep JSON deadly
from hypothesis import given
from hypothesis import strategies as st

from ledger_client.json_text import MAX_DEPTH, parse_json


@pytest.mark.parametrize(
    "raw", [b"[" * 1_000_000, b'{"a":' * 200_000, b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)]
)
def test_deep_json_is_refused_before_it_is_parsed(raw: bytes) -> None:
    with pytest.raises(ValueError, match="nested deeper"):
        parse_json(raw)


def test_the_deepest_allowed_is_parsed() -> None:
    parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_brackets_inside_texts_do_not_count() -> None:
    text = '[{\\"' * 1000
    assert parse_json(json.dumps([text]).encode()) == [text]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_everything_else_is_as_the_standard_parser_has_it(value: object) -> None:
    assert parse_json(json.dumps(value).encode()) == value
