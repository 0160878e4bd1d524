import pytest

from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, RAW, Cid
from ledger_protocol.errors import LimitError, MalformedError
from ledger_protocol.fields import Fields, distinct

LINK = Cid.of(RAW, b"x")


def fields(**values):
    return Fields(values, where="thing")


def document(data, *, schema="fwledger/thing/1"):
    return Fields.document(dag_cbor.encode(data), schema=schema, max_bytes=100)


@pytest.mark.parametrize("schema", ["fwledger/thing/2", "fwledger/other/1", b"fwledger/thing/1", None, 1])
def test_another_schema_is_refused(schema):
    with pytest.raises(MalformedError, match="schema of document"):
        document({"schema": schema})


@pytest.mark.parametrize("data", [{}, [], "fwledger/thing/1", None])
def test_a_document_without_a_schema_is_refused(data):
    with pytest.raises(MalformedError):
        document(data)


def test_an_oversize_document_is_refused():
    with pytest.raises(LimitError):
        document({"schema": "fwledger/thing/1", "a": b"x" * 100})


def test_an_unknown_field_is_refused_by_name():
    left = document({"schema": "fwledger/thing/1", "zeal": 1})
    with pytest.raises(MalformedError, match="zeal"):
        left.end()


def test_a_missing_field_is_refused_by_name():
    with pytest.raises(MalformedError, match="'size'"):
        fields(other=1).integer("size", high=5)


def test_a_field_is_read_once():
    read = fields(size=1)
    read.integer("size", high=5)
    with pytest.raises(MalformedError, match="'size'"):
        read.integer("size", high=5)
    read.end()


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda f: f.integer("a", low=2, high=5), 1),
        (lambda f: f.integer("a", low=2, high=5), 6),
        (lambda f: f.integer("a", high=5), -1),
        (lambda f: f.integer("a", high=5), True),
        (lambda f: f.integer("a", high=5), "1"),
        (lambda f: f.integer("a", high=5), None),
        (lambda f: f.integer_or_null("a", high=5), False),
        (lambda f: f.integer_or_null("a", high=5), 6),
        (lambda f: f.boolean("a"), 1),
        (lambda f: f.boolean("a"), None),
        (lambda f: f.octets("a", size=2), b"a"),
        (lambda f: f.octets("a", size=2), b"abc"),
        (lambda f: f.octets("a", size=2), "ab"),
        (lambda f: f.octets("a", size=2), None),
        (lambda f: f.octets_or_null("a", size=2), b""),
        (lambda f: f.octets_up_to("a", max_bytes=2), b""),
        (lambda f: f.octets_up_to("a", max_bytes=2), b"abc"),
        (lambda f: f.octets_up_to("a", max_bytes=2), "a"),
        (lambda f: f.text("a", max_bytes=4), ""),
        (lambda f: f.text("a", max_bytes=4), b"ab"),
        (lambda f: f.text("a", max_bytes=4), "abcde"),
        (lambda f: f.text("a", max_bytes=4), "üüü"),
        (lambda f: f.text("a", max_bytes=4), "a\nb"),
        (lambda f: f.text("a", max_bytes=4, lines=True), "\x1b[m"),
        (lambda f: f.text("a", max_bytes=4, lines=True), "a\rb"),
        (lambda f: f.text("a", max_bytes=4), "\u202e"),
        (lambda f: f.name("a"), "Upper"),
        (lambda f: f.name("a"), "../etc"),
        (lambda f: f.name("a"), ".hidden"),
        (lambda f: f.name("a"), "a/b"),
        (lambda f: f.name("a"), "a b"),
        (lambda f: f.name("a"), "a\n"),
        (lambda f: f.name("a"), "x" * 65),
        (lambda f: f.names("a", max_count=3), ["a", "a"]),
        (lambda f: f.names("a", max_count=1), ["a", "b"]),
        (lambda f: f.names("a", max_count=3, min_count=1), []),
        (lambda f: f.names("a", max_count=3), ["a", 1]),
        (lambda f: f.names("a", max_count=3), "a"),
        (lambda f: f.choice("a", ("x", "y")), "z"),
        (lambda f: f.choice("a", ("x", "y")), b"x"),
        (lambda f: f.choice("a", ("x", "y")), ["x"]),
        (lambda f: f.link("a", codecs=(DAG_CBOR,)), LINK),
        (lambda f: f.link("a", codecs=(RAW,)), LINK.to_bytes()),
        (lambda f: f.link("a", codecs=(RAW,)), None),
        (lambda f: f.items("a", max_count=1), {}),
        (lambda f: f.items("a", max_count=1), [1, 2]),
        (lambda f: f.groups("a", max_count=1), [1]),
        (lambda f: f.group("a"), None),
        (lambda f: f.group("a"), []),
        (lambda f: f.group_or_null("a"), 1),
    ],
)
def test_a_value_of_another_type_or_range_is_refused(read, value):
    with pytest.raises(MalformedError):
        read(fields(a=value))


@pytest.mark.parametrize(
    ("read", "value", "found"),
    [
        (lambda f: f.integer("a", low=2, high=5), 2, 2),
        (lambda f: f.integer("a", low=2, high=5), 5, 5),
        (lambda f: f.integer("a", high=5), 0, 0),
        (lambda f: f.integer_or_null("a", high=5), None, None),
        (lambda f: f.integer_or_null("a", high=5), 5, 5),
        (lambda f: f.boolean("a"), False, False),
        (lambda f: f.octets("a", size=2), b"ab", b"ab"),
        (lambda f: f.octets_or_null("a", size=2), None, None),
        (lambda f: f.octets_up_to("a", max_bytes=2), b"ab", b"ab"),
        (lambda f: f.text("a", max_bytes=4), "üü", "üü"),
        (lambda f: f.text("a", max_bytes=4, empty=True), "", ""),
        (lambda f: f.text("a", max_bytes=4, lines=True), "a\n\tb", "a\n\tb"),
        (lambda f: f.name("a"), "x" * 64, "x" * 64),
        (lambda f: f.names("a", max_count=2), ["b", "a"], ("b", "a")),
        (lambda f: f.choice("a", ("x", "y")), "y", "y"),
        (lambda f: f.link("a", codecs=(RAW,)), LINK, LINK),
        (lambda f: f.link_or_null("a", codecs=(RAW,)), None, None),
        (lambda f: f.items("a", max_count=1), [None], [None]),
        (lambda f: f.group_or_null("a"), None, None),
        (lambda f: f.group("a").integer("b", high=9), {"b": 9}, 9),
        (lambda f: f.groups("a", max_count=1)[0].integer("b", high=9), [{"b": 9}], 9),
    ],
)
def test_a_value_in_range_is_returned(read, value, found):
    left = fields(a=value)
    assert read(left) == found
    left.end()


def test_an_error_names_the_place():
    with pytest.raises(MalformedError, match=r"thing\.list\[1\]\.size"):
        fields(list=[{"size": 1}, {"size": 9}]).groups("list", max_count=2)[1].integer("size", high=5)


def test_distinct_accepts_distinct_values_and_names_a_repeated_one():
    distinct(["a", "b"], where="names")
    with pytest.raises(MalformedError, match="a twice"):
        distinct(["a", "b", "a"], where="names")
