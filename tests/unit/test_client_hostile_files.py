"""Whatever a file of the manufacturer's folder holds, only our errors leave its reader."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger_client import checking, fleet, receipts, releases, trust, validators
from ledger_client.config import load_config
from ledger_client.firmware_keys import open_signer, read_public_key
from ledger_client.signers import create_keystore, load_keystore

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(tempfile.mkdtemp(prefix="fwledger-test-"))
OURS = (
    "ledger_client.errors",
    "ledger_client.content.errors",
    "ledger_protocol.errors",
    "device_verifier.errors",
)

READERS: dict[str, Callable[[Path], object]] = {
    "manifest": releases.load_release,
    "envelope": releases.read_envelope,
    "trust root": trust.read_root,
    "unsigned trust root": trust.read_unsigned,
    "validators": validators.read_validators,
    "enrolment request": fleet.read_request,
    "receipts": lambda path: receipts.verify_receipts(
        receipts.read_receipts(path), chain_id=1, journal=bytes(20)
    ),
    "facts": checking.read_facts,
    "public key": read_public_key,
    "private key": lambda path: open_signer(str(path), password="x"),
    "configuration": lambda path: load_config(path, environ={}),
}


def refused(read: Callable[[], object]) -> Exception | None:
    """The error of ours that a reader ended with, None where it read; any other error passes."""
    try:
        read()
    except Exception as error:
        if type(error).__module__ not in OURS:
            raise
        return error
    return None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
contents = (
    st.binary(max_size=300)
    | st.text(max_size=200).map(str.encode)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=60).map(
        lambda body: b"-----BEGIN PRIVATE KEY-----\n" + body + b"\n-----END PRIVATE KEY-----\n"
    )
    | st.binary(max_size=60).map(
        lambda body: b"-----BEGIN PUBLIC KEY-----\n" + body + b"\n-----END PUBLIC KEY-----\n"
    )
)


@pytest.mark.parametrize("name", sorted(READERS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=contents)
def test_only_our_errors_leave_a_reader(name: str, content: bytes) -> None:
    path = FOLDER / name.replace(" ", "-")
    path.write_bytes(content)
    path.chmod(0o600)
    refusal = refused(lambda: READERS[name](path))
    assert refusal is None or "\n" not in str(refusal)


KEYSTORE: dict[str, Any] = {}


def keystore() -> dict[str, Any]:
    if not KEYSTORE:
        create_keystore(FOLDER / "good.json", password="right", iterations=2)
        KEYSTORE.update(json.loads((FOLDER / "good.json").read_text()))
    return json.loads(json.dumps(KEYSTORE))


@st.composite
def bent_keystores(draw: st.DrawFn) -> bytes:
    """A keystore with one value replaced or removed, at any depth."""
    document = keystore()
    spots = [(document, key) for key in document]
    spots += [(document["crypto"], key) for key in document["crypto"]]
    for inner in ("cipherparams", "kdfparams"):
        spots += [(document["crypto"][inner], key) for key in document["crypto"][inner]]
    holder, key = draw(st.sampled_from(spots))
    if draw(st.booleans()):
        del holder[key]
    else:
        holder[key] = draw(
            st.none() | st.integers(-5, 5) | st.text(max_size=4) | st.just([]) | st.just({}) | st.just("zz")
        )
    return json.dumps(document).encode()


@settings(max_examples=120, deadline=None)
@given(bent_keystores())
def test_a_bent_keystore_opens_or_is_refused(raw: bytes) -> None:
    path = FOLDER / "bent.json"
    path.write_bytes(raw)
    path.chmod(0o600)
    refusal = refused(lambda: load_keystore(path, password="right"))
    assert refusal is None or "bent.json" in str(refusal)


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_folder_or_nothing_in_place_of_a_file_is_named(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(Exception, match=r"absent|test_a_folder") as caught:
            READERS[name](path)
        assert type(caught.value).__module__ in OURS
