"""Lines of an export: what cannot be read names its line, and nothing hostile ends in another error."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger_client.audit import export as lines
from ledger_client.audit.collect import StateEvidence
from ledger_client.audit.evidence import Evidence
from ledger_client.audit.export import bounded_lines, read_lines, receipt_line, state_line
from ledger_client.audit.history import History
from ledger_client.audit.trust import TrustHistory
from ledger_protocol.errors import LimitError, MalformedError, ProtocolError
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.ledger.receipt_proof import ReceiptProof
from tests.fuzzing import mutated
from tests.protocol_makers import ROOT_SIGNERS, signed_root, trust_root
from tests.sim.validators import Validators, header_fields

HEADER = Validators(4).seal(header_fields(number=9), round_=0, signers=(0, 1, 2))
RECEIPT = Evidence(ReceiptProof(header=HEADER, index=3, nodes=(b"\x80",)), b"\x01\x02")
STATE = StateEvidence(9, LedgerProof(header=HEADER, nodes=(b"\x80",)))
GOOD = [receipt_line(RECEIPT, ()).encode(), state_line(STATE).encode()]
TRUST = TrustHistory.open(signed_root(trust_root(), *ROOT_SIGNERS[:2]), fingerprint=None)


def test_lines_come_back_as_they_were():
    assert list(read_lines([*GOOD[:1], b"\n", *GOOD[1:]])) == [RECEIPT, STATE]


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"[]", b"null", b"7", b'"x"', b"{}", b"\xff\xfe", b"[" * 200_000, b'{"schema":' * 5_000,
        b'{"schema": "fwledger/audit-receipt/2"}', b'{"schema": null}', b'{"schema": ["fwledger/audit-state/1"]}',
        GOOD[0][:-40], GOOD[0].replace(b'"proof":"', b'"proof":"zz'), GOOD[0].replace(b'"proof":"', b'"proof":"00'),
        GOOD[0].replace(b'"calldata":"', b'"calldata":7,"x":"'), GOOD[1].replace(b'"block":9', b'"block":-1'),
        GOOD[1].replace(b'"block":9', b'"block":' + b"9" * 3000), GOOD[1].replace(b'"block":9', b'"block":"9"'),
        GOOD[1].replace(b'"block":9', b'"block":true'), GOOD[1].replace(b'"block":9', b'"block":1e400'),
        GOOD[1].replace(b'"block":9', b'"block":NaN'),
    ],
)  # fmt: skip
def test_what_is_no_line_is_named_by_its_number(line):
    with pytest.raises(MalformedError, match=r"^line 2: "):
        list(read_lines([GOOD[0], line]))


def test_no_line_is_read_past_the_limit(monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    stream = io.BytesIO(b"x" * 1000)
    assert len(next(bounded_lines(stream))) == 101
    with pytest.raises(LimitError, match="line 1: too long"):
        list(read_lines(bounded_lines(io.BytesIO(b"x" * 1000))))


@given(st.data())
@settings(max_examples=150)
def test_no_line_ends_in_another_error(data):
    line = data.draw(mutated(data.draw(st.sampled_from(GOOD))))
    try:
        pieces = list(read_lines([line]))
    except ProtocolError:
        return
    history = History(TRUST)
    for piece in pieces:
        if isinstance(piece, Evidence):
            history.add(piece)
        else:
            history.add_state(piece)
    history.finish()
    assert history.findings


@given(
    st.dictionaries(
        st.sampled_from(["schema", "block", "proof", "calldata", "statements"]),
        st.sampled_from(
            [lines.RECEIPT_SCHEMA, lines.STATE_SCHEMA, "", "00", 0, -1, 2**70, None, [], {}, True, 1.5]
        ),
    )
)
@settings(max_examples=200)
def test_no_document_ends_in_another_error(document):
    with pytest.raises(ProtocolError):
        list(read_lines([json.dumps(document).encode()]))
