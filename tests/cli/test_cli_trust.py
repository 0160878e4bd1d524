"""`fwledger trust new`, `sign`, `diff` and `publish`: one version after another, as people make them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ledger_client.firmware_keys import read_public_key
from ledger_protocol.content.cid import DAG_CBOR, Cid
from ledger_protocol.errors import ProtocolError
from ledger_protocol.release.trust_root import SignedTrustRoot, TrustRoot, verify_first, verify_next
from tests.support.chain import chain_process
from tests.support.manufacturer import Manufacturer, deployed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.chain import RunningChain
    from tests.support.ipfs import IpfsNode

DEAD = ("--rpc", "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def clock_chain() -> Iterator[RunningChain]:
    """A chain whose clock tests move."""
    with chain_process() as running:
        yield running


@pytest.fixture
def maker(tmp_path: Path, clock_chain: RunningChain, embedded_node: IpfsNode) -> Manufacturer:
    return deployed(
        tmp_path / "maker",
        rpc=clock_chain.url,
        ipfs=embedded_node.api,
        gateway=embedded_node.gateway,
    )


@pytest.fixture(scope="module")
def still(
    tmp_path_factory: pytest.TempPathFactory, clock_chain: RunningChain, embedded_node: IpfsNode
) -> Manufacturer:
    """One that no test changes."""
    return deployed(
        tmp_path_factory.mktemp("still"),
        rpc=clock_chain.url,
        ipfs=embedded_node.api,
        gateway=embedded_node.gateway,
    )


def held(maker: Manufacturer, name: str = "trust-root.cbor") -> SignedTrustRoot:
    return SignedTrustRoot.decode((maker.path / name).read_bytes())


def root(maker: Manufacturer, name: str = "trust-root.cbor") -> TrustRoot:
    return TrustRoot.decode(held(maker, name).document)


def key_id(maker: Manufacturer, name: str) -> str:
    return read_public_key(maker.path / f"keys/{name}.pem.pub").key_id.hex()


def rotate(maker: Manufacturer, *changes: str, keys: tuple[str, ...] = ("root",)) -> None:
    maker.run("trust", "new", *changes)
    for key in keys:
        maker.run("trust", "sign", "trust-root.cbor.unsigned", "--key", f"keys/{key}.pem")


def follows(maker: Manufacturer, before: SignedTrustRoot) -> TrustRoot:
    """The new trust root as a device takes it that holds the one before."""
    first = verify_first(before.encode(), now_s=None)
    link = Cid.of(DAG_CBOR, before.encode())
    return verify_next((maker.path / "trust-root.cbor").read_bytes(), held=first, held_cid=link, now_s=None)


# -- refusals


def test_a_version_that_says_the_same_is_not_made(still: Manufacturer) -> None:
    assert "would say what this one says" in still.refused("trust", "new", code=2)
    assert not (still.path / "trust-root.cbor.unsigned").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--remove-release-key", "ffffffff"], "got 0 keys"),
        (["--remove-release-key", "f"], "at least 8 digits"),
        (["--release-threshold", "3"], "threshold 1 to 2"),
        (["--root-threshold", "2"], "threshold 1 to 1"),
        (["--add-root-key", "keys/root.pem.pub"], "distinct"),
        (["--remove-witness", "nobody"], "expected the vkey or the name of one"),
        (["--add-witness", "rubbish"], "the first witnesses need a rule"),
        (["--no-validators"], "validators or witnesses"),
        (["--min-validators", "5"], "expected at least 5"),
        (["--no-expiry", "--expires-days", "3"], "contradict each other"),
        (["--operator", "0x12"], "40 hex digits"),
        (["--from-time", "5"], "--from-block"),
        (["--changes", "nothing.toml"], "cannot read nothing.toml"),
    ],
)
def test_a_change_that_no_root_can_say_is_refused(still: Manufacturer, options: list[str], says: str) -> None:
    assert says in still.refused("trust", "new", *options, code=2)
    assert not (still.path / "trust-root.cbor.unsigned").exists()


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("add_root_key = 3", "a list"),
        ("max_age_hours = [3]", "one value"),
        ("rot_threshold = 2", "unknown key rot_threshold"),
        ("rpc = ['http://x']", "unknown key rpc"),
        ("max_age_hours = ", "is not TOML"),
        ("max_age_hours = 'soon'", "not a valid integer"),
    ],
)
def test_a_file_of_changes_that_makes_no_sense_is_refused(still: Manufacturer, toml: str, says: str) -> None:
    (still.path / "changes.toml").write_text(toml)
    assert says in still.refused("trust", "new", "--changes", "changes.toml", code=2)


def test_other_header_signers_need_a_floor_and_without_a_node_a_person_names_it(maker: Manufacturer) -> None:
    change = ("trust", "new", "--min-validators", "3", *DEAD)
    assert "the oldest block that counts is taken from the chain" in maker.refused(*change, code=3)
    maker.run(*change, "--from-block", "7", "--from-time", "1900000000")
    made = root(maker, "trust-root.cbor.unsigned").ledger
    assert (made.from_block, made.from_time) == (7, 1_900_000_000)


def test_a_floor_that_stays_where_the_old_signers_stood_is_warned_of(maker: Manufacturer) -> None:
    told = maker.json("trust", "new", "--min-validators", "3", "--keep-floor", *DEAD)
    assert any("count again" in note for note in told["notes"])


def test_a_key_that_need_not_sign_is_refused(maker: Manufacturer) -> None:
    maker.run("trust", "new", "--max-age-hours", "48")
    line = ("trust", "sign", "trust-root.cbor.unsigned", "--key")
    assert "no signature of this key is missing" in maker.refused(*line, "keys/alice.pem", code=2)
    maker.run(*line, "keys/root.pem", "--out", "signed")
    again = ("trust", "sign", "signed", "--key", "keys/root.pem")
    assert "has the signatures that it needs" in maker.refused(*again, code=2)


def test_a_version_is_not_signed_after_another_one_than_it_links_to(maker: Manufacturer) -> None:
    maker.run("trust", "new", "--max-age-hours", "48", "--out", "one")
    maker.run("trust", "new", "--max-age-hours", "24", "--out", "other")
    maker.run("trust", "sign", "one", "--key", "keys/root.pem")
    line = ("trust", "sign", "other", "--key", "keys/root.pem")
    assert "does not follow the one before" in maker.refused(*line, code=2)
    (maker.path / "gone").write_bytes(b"")
    assert maker.refused(*line, "--previous", "gone", code=1)


# -- what works


def test_a_firmware_key_is_replaced_and_the_older_version_is_kept(maker: Manufacturer) -> None:
    before = held(maker)
    maker.run("key", "new", "keys/carol.pem")
    gone = key_id(maker, "bob")
    rotate(maker, "--remove-release-key", gone[:8], "--add-release-key", "keys/carol.pem.pub")
    after = follows(maker, before)
    assert gone not in [key.key_id.hex() for key in after.release_keys.keys]
    assert (len(after.release_keys.keys), after.release_keys.threshold) == (2, 2)
    assert after.ledger == TrustRoot.decode(before.document).ledger  # the height floor stays
    assert (maker.path / "trust-root-1.cbor").read_bytes() == before.encode()


def test_other_root_keys_need_the_old_and_the_new_ones(maker: Manufacturer) -> None:
    before = held(maker)
    for name in ("one", "two", "three"):
        maker.run("key", "new", "--kind", "root", f"keys/{name}.pem")
    added = [part for name in ("one", "two", "three") for part in ("--add-root-key", f"keys/{name}.pem.pub")]
    maker.run("trust", "new", *added, "--remove-root-key", key_id(maker, "root"), "--root-threshold", "2")
    line = ("trust", "sign", "trust-root.cbor.unsigned", "--key")
    for name, done in (("two", [0, 1]), ("three", [0, 2])):
        told = maker.json(*line, f"keys/{name}.pem")
        assert ([one["signed"] for one in told["signatures"]], told["complete"]) == (done, False)
    assert "no signature of this key is missing" in maker.refused(*line, "keys/one.pem", code=2)
    last = maker.json(*line, "keys/root.pem")
    assert (last["complete"], last["written"]) == (True, "trust-root.cbor")
    assert [one["of"] for one in last["signatures"]] == ["root keys of version 1", "root keys of version 2"]
    assert follows(maker, before).root_keys.threshold == 2


def test_a_change_of_header_signers_starts_the_floor_at_the_newest_block(
    maker: Manufacturer, clock_chain: RunningChain
) -> None:
    clock_chain.rpc("anvil_mine", "0x3")
    newest = int(str(clock_chain.rpc("eth_blockNumber")), 16)
    told = maker.json("trust", "new", "--min-validators", "3")
    made = root(maker, "trust-root.cbor.unsigned")
    assert made.ledger.from_block == newest
    block = clock_chain.rpc("eth_getBlockByNumber", hex(newest), False)
    assert made.ledger.from_time == int(block["timestamp"], 16)  # type: ignore[index]
    assert any(f"start at block {newest}" in note for note in told["notes"])


def test_the_first_witnesses_are_added_and_one_is_taken_away(maker: Manufacturer) -> None:
    vkeys = []
    for name in ("w1", "w2", "w3"):
        maker.run("key", "new", f"keys/{name}.pem")
        vkeys.append(
            maker.run("witness", "vkey", "--key", f"keys/{name}.pem", "--name", f"{name}.example").out.strip()
        )
    added = [part for vkey in vkeys for part in ("--add-witness", vkey)]
    rotate(maker, *added, "--witness-threshold", "2", "--final", "seals", "--origin", "acme.example")
    first = root(maker).headers
    assert (first.require, first.witnesses is not None and first.witnesses.keys) == ("all", tuple(vkeys))
    told = maker.json("trust", "new", "--remove-witness", "w2.example", "--dry-run")
    texts = [change["text"] for change in told["changes"]]
    assert any(text.startswith("witnesses: w2.example leaves") for text in texts)
    assert "witnesses: 2 of 2 must agree (before: 2 of 3)" in texts
    assert not (maker.path / "trust-root.cbor.unsigned").exists()


def test_changes_come_from_a_file_and_flags_win(maker: Manufacturer) -> None:
    maker.run("key", "new", "keys/carol.pem")
    (maker.path / "changes.toml").write_text(
        'add_release_key = ["keys/carol.pem.pub"]\nrelease_threshold = 3\nmax_age_hours = 48\nno_operator = true\n'
    )
    maker.run("trust", "new", "--changes", "changes.toml", "--max-age-hours", "24")
    made = root(maker, "trust-root.cbor.unsigned")
    assert (len(made.release_keys.keys), made.release_keys.threshold) == (3, 3)
    assert made.max_checkpoint_age == 24 * 3600


def test_a_diff_says_in_words_what_people_compare(maker: Manufacturer) -> None:
    maker.run("key", "new", "keys/carol.pem")
    gone = key_id(maker, "bob")
    maker.run(
        "trust", "new", "--remove-release-key", gone, "--add-release-key", "keys/carol.pem.pub",
        "--release-threshold", "1", "--max-age-hours", "48", "--operator", "0x" + "11" * 20, "--expires-days", "30",
    )  # fmt: skip
    out = maker.run("trust", "diff", "trust-root.cbor", "trust-root.cbor.unsigned", *DEAD).out
    assert f"  releases: ecdsa-p256 key {gone} leaves\n" in out
    assert "  releases: 1 of 2 keys must sign (before: 2 of 2)\n" in out
    assert "  oldest header: 48 h (before: any age)\n" in out
    assert "  approval needed: of 0x1111111111111111111111111111111111111111 (before: none)\n" in out
    assert "signed       0 of 1 needed, root keys of version 1\n" in out
    told = maker.json("trust", "diff", "trust-root.cbor", "trust-root.cbor.unsigned")
    assert (told["follows"], told["complete"], told["from_version"], told["to_version"]) == (
        True,
        False,
        1,
        2,
    )
    assert {"field": "release_keys.threshold", "before": 2, "after": 1}.items() <= next(
        one for one in told["changes"] if one["field"] == "release_keys.threshold"
    ).items()


def test_a_diff_over_more_than_one_version_says_that_devices_cannot_jump(maker: Manufacturer) -> None:
    first = (maker.path / "trust-root.cbor").read_bytes()
    rotate(maker, "--max-age-hours", "48")
    rotate(maker, "--max-age-hours", "24")
    (maker.path / "first").write_bytes(first)
    told = maker.json("trust", "diff", "first", "trust-root.cbor")
    assert (told["follows"], told["complete"]) == (False, False)


# -- publish


def test_the_next_version_waits_two_days_in_public_and_publish_goes_on_where_it_stands(
    maker: Manufacturer, clock_chain: RunningChain, embedded_node: IpfsNode
) -> None:
    rotate(maker, "--max-age-hours", "48")
    planned = maker.json("trust", "publish", "--dry-run", "--yes")
    assert (planned["state"], planned.get("transactions")) == ("would propose", None)
    proposed = maker.json("trust", "publish", "--yes")
    assert proposed["state"] == "proposed"
    with embedded_node.client() as client:
        assert client.get_block(held(maker).cid) == held(maker).encode()
    again = maker.json("trust", "publish", "--yes")
    assert (again["state"], again["change"], again.get("transactions")) == (
        "proposed",
        proposed["change"],
        None,
    )
    clock_chain.rpc("evm_increaseTime", hex(173_400))
    clock_chain.rpc("anvil_mine", "0x1")
    assert maker.json("trust", "publish", "--yes")["state"] == "announced"
    assert maker.json("trust", "publish", "--yes").get("transactions") is None
    assert "is announced already" in maker.refused("trust", "announce", "--yes", code=2)
    shown = maker.json("governance", "show")
    assert (shown["trust_root_version"], shown["trust_root"]) == (2, held(maker).digest.hex())


def test_a_version_is_not_published_over_a_gap(maker: Manufacturer) -> None:
    rotate(maker, "--max-age-hours", "48")
    rotate(maker, "--max-age-hours", "24")
    err = maker.refused("trust", "publish", "--yes", code=2)
    assert "expected 2, since the ledger names version 1, got 3" in err
    assert "--file trust-root-N.cbor" in err
    assert maker.json("trust", "publish", "--file", "trust-root-2.cbor", "--yes")["state"] == "proposed"


def test_an_approval_to_announce_travels_as_a_file(maker: Manufacturer) -> None:
    rotate(maker, "--max-age-hours", "48")
    maker.run("trust", "publish", "--approve-only", "root.approval", "--yes")
    done = maker.json("trust", "publish", "--approval", "root.approval", "--dev-account", "5", "--yes")
    assert done["state"] == "proposed"


def test_files_for_a_web_server_hold_every_version_and_need_no_node(maker: Manufacturer) -> None:
    first = held(maker).encode()
    rotate(maker, "--max-age-hours", "48")
    line = ("trust", "publish", "--files-only", *DEAD)
    assert "--mirror" in maker.refused(*line, code=2)
    maker.run(*line, "--mirror", "www", "--dry-run")
    assert not (maker.path / "www").exists()
    told = maker.json(*line, "--mirror", "www")
    folder = "www/fwledger/v1/trust-roots"
    assert told["files"] == [f"{folder}/1", f"{folder}/2"]
    assert [(maker.path / name).read_bytes() for name in told["files"]] == [first, held(maker).encode()]


def test_an_under_signed_version_is_not_published(maker: Manufacturer) -> None:
    maker.run("trust", "new", "--max-age-hours", "48")
    err = maker.refused("trust", "publish", "--file", "trust-root.cbor.unsigned", "--yes", code=1)
    assert "is not a trust root that holds" in err


def test_a_move_takes_ledger_and_header_signers_of_another_deployment(
    maker: Manufacturer, tmp_path: Path
) -> None:
    before = held(maker)
    with chain_process("--chain-id", "1337") as other:
        (maker.path / "new.toml").write_text(
            (maker.path / "fwledger.toml").read_text().split("[chain]")[0]
            + f'[chain]\nrpc = ["{other.url}"]\n[account]\ndev_account = 0\n'
            + '[release]\ntrust_root = "new-ledger.cbor"\n'
        )
        maker.run(
            "deploy", "--config", "new.toml", "--yes", "--no-announce",
            "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem",
        )  # fmt: skip
        goal = root(maker, "new-ledger.cbor")
        told = maker.json("trust", "new", "--move-to", "new-ledger.cbor", *DEAD)
        assert "ledger: on chain 1337 (before: 31337)" in [one["text"] for one in told["changes"]]
        assert any("another ledger" in note for note in told["notes"])
        maker.run("trust", "sign", "trust-root.cbor.unsigned", "--key", "keys/root.pem", "--out", "2.cbor")
        raw = (maker.path / "2.cbor").read_bytes()
        link = Cid.of(DAG_CBOR, before.encode())
        first = verify_first(before.encode(), now_s=None)
        moved = verify_next(raw, held=first, held_cid=link, now_s=None)
        assert (moved.ledger, moved.headers, moved.release_keys) == (
            goal.ledger,
            goal.headers,
            first.release_keys,
        )
        # The old chain's devices learn of it there; the new ledger names no root that they could miss.
        assert maker.json("trust", "publish", "--file", "2.cbor", "--yes")["state"] == "proposed"
        assert maker.json("governance", "show", "--config", "new.toml")["trust_root_version"] == 0
    with pytest.raises(ProtocolError):
        verify_next((maker.path / "new-ledger.cbor").read_bytes(), held=first, held_cid=link, now_s=None)


def test_every_command_says_the_same_in_json(maker: Manufacturer) -> None:
    for line, schema in (
        (("trust", "new", "--max-age-hours", "48"), "trust-new"),
        (("trust", "diff", "trust-root.cbor", "trust-root.cbor.unsigned"), "trust-diff"),
        (("trust", "sign", "trust-root.cbor.unsigned", "--key", "keys/root.pem"), "trust-sign"),
        (("trust", "publish", "--yes"), "trust-publish"),
    ):
        assert json.loads(maker.run(*line, "--json").out)["schema"] == f"fwledger/cli/{schema}/1"


def test_show_says_everything_that_a_root_says(maker: Manufacturer) -> None:
    operator = "0x1111111111111111111111111111111111111111"
    rotate(maker, "--max-age-hours", "48", "--operator", operator, "--expires-days", "30")
    shown = maker.json("trust", "show")
    made = root(maker)
    told = {key: shown[key] for key in ("version", "expires", "max_checkpoint_age", "operator", "from_time")}
    assert told == {
        "version": 2,
        "expires": made.expires,
        "max_checkpoint_age": 48 * 3600,
        "operator": operator,
        "from_time": made.ledger.from_time,
    }
    assert shown["previous"] == str(made.previous)
    out = maker.run("trust", "show").out
    for line in (f"operator      {operator}", "oldest        48 h", "validators    4, at least 4"):
        assert line in out
