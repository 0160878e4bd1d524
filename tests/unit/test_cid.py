import multiformats
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_protocol.content.cid import DAG_CBOR, DAG_PB, RAW, Cid
from ledger_protocol.errors import MalformedError, MismatchError, ProtocolError
from tests.fuzzing import cids, decodes_strictly, mutated

HELLO = Cid.of(RAW, b"hello world")
HELLO_TEXT = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "length"),
        (HELLO.to_bytes()[:-1], "length"),
        (HELLO.to_bytes() + b"\0", "length"),
        (b"\x00" + HELLO.to_bytes()[1:], "version"),
        (b"\x02" + HELLO.to_bytes()[1:], "version"),
        (b"\x01\x72" + HELLO.to_bytes()[2:], "codec"),
        (b"\x01\x55\x1b\x20" + HELLO.digest, "hash"),
        (b"\x01\x55\x12\x1f" + HELLO.digest, "hash"),
    ],
)
def test_other_binary_forms_are_refused(data, what):
    with pytest.raises(MalformedError, match=what):
        Cid.from_bytes(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        HELLO_TEXT[:-1],
        HELLO_TEXT + "a",
        HELLO_TEXT.upper(),
        "z" + HELLO_TEXT[1:],
        HELLO_TEXT[:-1] + "f",  # the same digest, by an unused bit
        HELLO_TEXT[:20] + "1" + HELLO_TEXT[21:],  # 1 is not in base32
        HELLO_TEXT[:20] + "=" + HELLO_TEXT[21:],
        HELLO_TEXT[:20] + "İ" + HELLO_TEXT[21:],
        "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn",
        "bafkqaaa",
    ],
)
def test_other_text_forms_are_refused(text):
    with pytest.raises(MalformedError, match="text of CID"):
        Cid.parse(text)


@pytest.mark.parametrize(("codec", "digest"), [(0x72, bytes(32)), (RAW, bytes(31)), (RAW, bytes(33))])
def test_a_cid_cannot_be_made_of_other_parts(codec, digest):
    with pytest.raises(MalformedError):
        Cid(codec, digest)


def test_other_content_is_refused_and_named():
    with pytest.raises(MismatchError) as caught:
        HELLO.verify(b"hello World")
    assert HELLO_TEXT in str(caught.value)
    assert str(Cid.of(RAW, b"hello World")) in str(caught.value)


def test_the_content_itself_is_accepted():
    HELLO.verify(b"hello world")


def test_text_is_that_of_kubo():
    assert str(HELLO) == HELLO_TEXT
    assert Cid.parse(HELLO_TEXT) == HELLO


def test_codecs_make_different_cids_of_one_block():
    assert len({Cid.of(codec, b"x") for codec in (RAW, DAG_PB, DAG_CBOR)}) == 3


@settings(max_examples=100)
@given(cids)
def test_both_forms_agree_with_multiformats(cid):
    other = multiformats.CID("base32", 1, cid.codec, ("sha2-256", cid.digest))
    assert str(other) == str(cid)
    assert bytes(other) == cid.to_bytes()
    assert Cid.parse(str(cid)) == cid == Cid.from_bytes(cid.to_bytes())


@settings(max_examples=200)
@given(mutated(HELLO.to_bytes()) | st.binary(max_size=40))
def test_only_protocol_errors_leave_the_binary_decoder(data):
    decodes_strictly(Cid.from_bytes, Cid.to_bytes, data)


@settings(max_examples=200)
@given(st.text(max_size=70) | mutated(HELLO_TEXT.encode()).map(lambda data: data.decode("latin-1")))
def test_only_protocol_errors_leave_the_text_decoder(text):
    try:
        cid = Cid.parse(text)
    except ProtocolError:
        return
    assert str(cid) == text
