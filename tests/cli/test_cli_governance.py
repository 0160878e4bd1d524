"""Two of three publishers who share no machine: approvals pass as files. And a ledger that is not the
configured one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ledger_client.acts import STRUCTS, Act
from ledger_client.approvals import approve, read_approval
from ledger_client.config_file import set_values
from ledger_client.signers import dev_account
from tests.support.lying_rpc import lying_node
from tests.support.manufacturer import Manufacturer, deployed, found

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.chain import RunningChain
    from tests.support.ipfs import IpfsNode

PUBLISHERS = [dev_account(index, chain_id=31337) for index in (3, 4, 5)]
STRANGER = "9"


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, chain: RunningChain, embedded_node: IpfsNode
) -> Manufacturer:
    """A manufacturer with two of three publishers; account 0 pays, governs and guards, but is no
    publisher.
    """
    flags = [flag for account in PUBLISHERS for flag in ("--publisher", account.text)]
    made = deployed(
        tmp_path_factory.mktemp("shared"), *flags, "--publish-threshold", "2",
        rpc=chain.url, ipfs=embedded_node.api, gateway=embedded_node.gateway,
    )  # fmt: skip
    create = ["channel", "create", "stable", "--group", "1"]
    made.run(*create, "--approve-only", "one.approval", "--dev-account", "3")
    made.run("release", "approve", "one.approval", "--out", "two.approval", "--dev-account", "4", "--yes")
    made.run(*create, "--approval", "one.approval", "--approval", "two.approval", "--yes")
    return made


def approved(maker: Manufacturer, folder: str, name: str, *more: str) -> tuple[str, str]:
    """Approval files of two publishers for a publication on `stable`."""
    first, second = f"{name}-1.approval", f"{name}-2.approval"
    maker.run(
        "release", "approve", folder, "--channel", "stable", *more, "--out", first, "--dev-account", "3"
    )
    maker.run(
        "release", "approve", first, "--release", folder, "--out", second, "--dev-account", "4", "--yes"
    )
    return first, second


def publish(maker: Manufacturer, folder: str, *approvals: str) -> list[str]:
    flags = [flag for path in approvals for flag in ("--approval", path)]
    return ["release", "publish", folder, "--channel", "stable", *flags, "--yes"]


def test_one_approval_of_two_is_not_enough_and_the_payer_adds_none(shared: Manufacturer) -> None:
    folder = shared.signed("0.1.0", 1)
    first, _ = approved(shared, folder, "few")
    err = shared.refused(*publish(shared, folder, first), code=1)
    assert "error: approvals of Publish: expected 2 distinct publishers, got 1" in err
    assert "error: approvals of Publish: expected 2 distinct publishers, got 1" in shared.refused(
        *publish(shared, folder, first, first), code=1
    )


def test_an_account_without_the_role_cannot_approve(shared: Manufacturer) -> None:
    folder = shared.signed("0.2.0", 1)
    err = shared.refused(
        "release", "approve", folder, "--channel", "stable", "--out", "x.approval", "--dev-account", STRANGER, code=2
    )  # fmt: skip
    assert "may not approve Publish: expected a publisher, got no role" in err


def test_an_approval_for_one_release_publishes_no_other(shared: Manufacturer) -> None:
    good, other = shared.signed("0.3.0", 1), shared.signed("0.3.1", 1, image=b"other")
    first, second = approved(shared, good, "other")
    err = shared.refused(*publish(shared, other, first, second), code=1)
    assert "is for another act: expected release 0x" in err
    assert "is not about releases/0.3.1" in shared.refused(
        "release", "approve", first, "--release", other, "--out", "y.approval", "--dev-account", "5", "--yes", code=1
    )  # fmt: skip


def test_an_edited_approval_file_is_refused(shared: Manufacturer) -> None:
    folder = shared.signed("0.4.0", 1)
    first, second = approved(shared, folder, "edited", "--initial-bps", "100", "--hold-hours", "24")
    document = json.loads((shared.path / first).read_text())
    document["typed_data"]["message"]["initialBps"] = 10_000
    (shared.path / first).write_text(json.dumps(document))
    assert f"error: {first}: signature: expected by" in shared.refused(
        *publish(shared, folder, first, second), code=1
    )


def test_two_approvals_publish_what_they_say_and_cannot_be_used_twice(shared: Manufacturer) -> None:
    folder = shared.signed("1.0.0", 1)
    approvals = approved(shared, folder, "good", "--initial-bps", "2500", "--hold-hours", "24")
    shared.run(*publish(shared, folder, *approvals))
    status = shared.json("channel", "status", "stable")["channels"][0]
    assert (status["sequence"], status["share_bps"], status["hold_hours"]) == (1, 2500, 24)
    again = shared.refused(*publish(shared, folder, *approvals), code=2)
    assert "release 1.0.0 is the head of channel stable already" in again


def test_a_running_rollout_is_raised_and_never_lowered(shared: Manufacturer) -> None:
    change = ["channel", "rollout", "stable"]
    assert "which rollout?" in shared.refused(*change, "--yes", code=2)

    def told(bps: str) -> list[str]:
        first, second = f"raise-{bps}-1.approval", f"raise-{bps}-2.approval"
        shared.run(*change, "--initial-bps", bps, "--approve-only", first, "--dev-account", "3")
        shared.run("release", "approve", first, "--out", second, "--dev-account", "4", "--yes")
        return [*change, "--approval", first, "--approval", second, "--yes"]

    assert "share below the one reached" in shared.refused(*told("2000"), code=1)
    assert shared.json(*told("5000"))["share_bps"] == 5000
    assert shared.json("channel", "status", "stable")["channels"][0]["hold_hours"] == 24


def test_a_wallet_signs_the_typed_data_and_nobody_elses_signature_is_taken(shared: Manufacturer) -> None:
    folder = shared.signed("1.0.1", 2)
    shared.run("release", "approve", folder, "--channel", "stable", "--typed-data", "--out", "wallet.json")
    typed = json.loads((shared.path / "wallet.json").read_text())
    made = "0x" + PUBLISHERS[2].sign_typed(typed).hex()
    took = ["release", "approve", "wallet.json", "--release", folder, "--out", "wallet.approval"]
    other = shared.refused(*took, "--signature", made, "--signer", PUBLISHERS[0].text, code=1)
    assert f"--signature: signature: expected by {PUBLISHERS[0].text}, got by {PUBLISHERS[2].text}" in other
    assert "belong together" in shared.refused(*took, "--signature", made, code=2)
    assert "signature: expected 0x and hex digits" in shared.refused(
        *took, "--signature", "zz", "--signer", PUBLISHERS[2].text, code=2
    )
    shared.run(*took, "--signature", made, "--signer", PUBLISHERS[2].text)
    shared.run("release", "approve", "wallet.json", "--out", "second.approval", "--dev-account", "3", "--yes")
    shared.run(*publish(shared, folder, "wallet.approval", "second.approval"))
    assert shared.json("channel", "status", "stable")["channels"][0]["sequence"] == 2


def test_a_halt_voids_the_approvals_that_were_gathered_before_it(shared: Manufacturer) -> None:
    folder = shared.signed("1.1.0", 3)
    approvals = approved(shared, folder, "void")
    shared.run("channel", "halt", "stable", "--yes")
    err = shared.refused(*publish(shared, folder, *approvals), code=1)
    assert "is for another act: expected epoch" in err
    assert "hint: all must approve the same file; an act on the channel since then voids approvals" in err


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"ledger": bytes(19) + b"\xaa"}, 1, "Publish is an act on another ledger: expected 0x"),
        ({"chain_id": 1}, 1, "on chain 31337, got 0x"),
        ({"deadline": 1}, 2, "Publish is past its deadline: expected "),
        ({"epoch": 0}, 2, "Publish can no longer be carried out: expected epoch "),
        ({"sequence": 7}, 1, "sequence of releases/1.1.5: expected 4, got 7"),
        ({"securityVersion": 3}, 1, "security version of releases/1.1.5: expected 0, got 3"),
        ({"channel": b"\x01" * 32}, 1, "channel: expected one of stable"),
    ],
)
def test_nobody_signs_an_act_that_another_wrote_for_elsewhere_or_for_nothing(
    shared: Manufacturer, changes: dict[str, Any], code: int, said: str
) -> None:
    folder = shared.signed("1.1.5", 4)
    first, _ = approved(shared, folder, "honest" + "".join(changes))
    act = read_approval(shared.path / first).act
    if "channel" in changes:
        changes = {**changes, "epoch": 0}  # of a channel that nobody published on
    fields = {name: act[name] for name, _ in STRUCTS["Publish"]}
    where = {"chain_id": act.chain_id, "ledger": act.ledger}
    where |= {k: v for k, v in changes.items() if k in where}
    fields |= {k: v for k, v in changes.items() if k in fields}
    (shared.path / "crafted.approval").write_bytes(
        approve(Act.of("Publish", fields, **where), PUBLISHERS[0]).encode()
    )
    asked = ["release", "approve", "crafted.approval", "--release", folder, "--out", "crafted.out"]
    assert said in shared.refused(*asked, "--dev-account", "4", "--yes", code=code)
    assert said in shared.refused(*asked, "--typed-data", code=code)
    assert not (shared.path / "crafted.out").exists()


def test_an_approver_is_told_where_the_act_counts_and_until_when(shared: Manufacturer) -> None:
    folder = shared.signed("1.1.6", 4)
    first, _ = approved(shared, folder, "told")
    ran = shared.run("release", "approve", first, "--out", "told.approval", "--dev-account", "5", "--yes")
    assert "Publish on chain 31337, ledger 0x" in ran.err
    assert " UTC)" in ran.err
    assert "(stable)" in ran.err


def test_a_guardian_alone_revokes_but_not_as_mandatory(shared: Manufacturer) -> None:
    folder = shared.signed("1.2.0", 4)
    err = shared.refused("release", "revoke", folder, "--mandatory", "--yes", code=1)
    assert "approvals of Revoke: expected 2 distinct publishers, got 0" in err
    shared.run("release", "revoke", folder, "--yes")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("chain.chain_id", 1, "is not the chain you configured: expected chain id 1, got 31337"),
        (
            "chain.ledger",
            "0x00000000000000000000000000000000000000AA",
            "this is not the ledger you configured: expected a",
        ),
        (
            "chain.journal",
            "0x00000000000000000000000000000000000000AA",
            "this is not the pair you configured: expected",
        ),
    ],
)
def test_a_ledger_that_is_not_the_configured_one_is_named(
    tmp_path: Path, shared: Manufacturer, key: str, value: str | int, said: str
) -> None:
    other = tmp_path / "fwledger.toml"
    other.write_text((shared.path / "fwledger.toml").read_text())
    set_values(other, {key: value})
    if key == "chain.ledger":
        root = shared.path / "trust-root.cbor"
        (tmp_path / "trust-root.cbor").write_bytes(root.read_bytes())
        assert "the trust root is for another ledger: expected" in shared.refused(
            "release", "list", "--config", other, code=1
        )
        (tmp_path / "trust-root.cbor").unlink()
    assert said in shared.refused("release", "list", "--config", other, code=1)


def test_the_journal_given_as_the_ledger_is_found_out(tmp_path: Path, shared: Manufacturer) -> None:
    other = tmp_path / "fwledger.toml"
    text = (shared.path / "fwledger.toml").read_text()
    journal = next(line.split('"')[1] for line in text.splitlines() if line.startswith("journal"))
    other.write_text(text)
    set_values(other, {"chain.ledger": journal})
    err = shared.refused("release", "list", "--config", other, code=1)
    assert err.startswith("error: ")
    assert "Traceback" not in err


def test_a_trust_root_of_another_ledger_is_found_out_by_its_code_hash(shared: Manufacturer) -> None:
    """The same address with other code: what a staging chain with the same deployer looks like."""
    from ledger_client.deploy import check_pair
    from ledger_client.errors import WrongLedgerError
    from ledger_client.network import Network

    config = (shared.path / "fwledger.toml").read_text()
    address = next(line.split('"')[1] for line in config.splitlines() if line.startswith("ledger"))
    url = next(line.split('"')[1] for line in config.splitlines() if line.startswith("rpc"))
    network = Network([url], chain_id=31337, timeout_s=5, receipt_timeout_s=5)
    with pytest.raises(WrongLedgerError, match="expected code hash 1111"):
        check_pair(network, ledger=bytes.fromhex(address[2:]), journal=None, code_hash=b"\x11" * 32)


def test_root_keys_that_share_no_machine_complete_the_trust_root_one_by_one(
    tmp_path: Path, chain: RunningChain
) -> None:
    maker = found(tmp_path, rpc=chain.url)
    maker.run("key", "new", "--kind", "root", "keys/root-2.pem")
    done = maker.json(
        "deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem",
        "--root-public", "keys/root-2.pem.pub", "--root-threshold", "2",
    )  # fmt: skip
    assert not done["announced"]
    assert not (tmp_path / "trust-root.cbor").exists()
    assert "not a root key" in maker.refused(
        "trust", "sign", done["trust_root"], "--key", "keys/alice.pem", code=2
    )
    signed = maker.run("trust", "sign", done["trust_root"], "--key", "keys/root-2.pem", "--json")
    assert signed.document["complete"]
    assert f"ledger        {done['ledger']} on chain 31337" in signed.err
    assert f"fingerprint   {done['fingerprint']}" in signed.err
    maker.run("trust", "announce", "--yes")
    assert "is announced already" in maker.refused("trust", "announce", "--yes", code=2)
    maker.run("trust", "show", "--fingerprint", done["fingerprint"])
    err = maker.refused("trust", "show", "--fingerprint", "00" * 32, code=1)
    assert "is not the trust root that you named" in err


def test_a_manufacturer_is_not_deployed_twice_by_mistake(shared: Manufacturer) -> None:
    err = shared.refused(
        "deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem", code=2
    )
    assert "exists already" in err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--release-threshold", "2"], "threshold"),
        (["--publish-threshold", "2"], "threshold of publishers: expected 1 to 1, got 2"),
        (["--publish-threshold", "0"], "'--publish-threshold': 0 is not in the range 1<=x<=16"),
        (["--publisher", "0x12"], "publisher: expected 0x and 40 hex digits"),
        (["--min-validators", "5"], "validators of the chain: expected at least 5, got 4"),
        (["--validators", "absent.json"], "cannot read absent.json"),
        (["--root-key", "keys/absent.pem"], "cannot read key keys/absent.pem"),
    ],
)
def test_a_deployment_that_cannot_hold_is_refused(
    tmp_path: Path, chain: RunningChain, flags: list[str], said: str
) -> None:
    maker = found(tmp_path, rpc=chain.url)
    err = maker.refused(
        "deploy",
        "--yes",
        "--release-key",
        "keys/alice.pem.pub",
        "--root-key",
        "keys/root.pem",
        *flags,
        code=2,
    )
    assert said in err
    assert not (tmp_path / "trust-root.cbor").exists()


def test_a_configuration_that_cannot_be_written_loses_no_address(
    tmp_path: Path, chain: RunningChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ledger_client.errors import UsageError

    maker = found(tmp_path, rpc=chain.url)

    def full(*_: object) -> None:
        raise UsageError("cannot write fwledger.toml", got="No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ledger_client.cli.deploy.set_values", full)
        err = maker.refused(
            "deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem", code=2
        )
    assert "error: cannot write fwledger.toml: got No space left on device" in err
    told = {line.split(" = ")[0].strip(): line.split(" = ")[1] for line in err.splitlines() if " = " in line}
    set_values(tmp_path / "fwledger.toml", {k: int(v) if v.isdecimal() else v for k, v in told.items()})
    assert (
        "going on with the ledger at"
        in maker.run(
            "deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem"
        ).err
    )


def test_a_deployment_that_stopped_half_way_goes_on(tmp_path: Path, chain: RunningChain) -> None:
    maker = found(tmp_path, rpc=chain.url)
    arguments = ["deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem"]
    maker.refused(*arguments, "--min-validators", "5", code=2)
    done = maker.run(*arguments)
    assert "going on with the ledger at" in done.err
    assert maker.run("trust", "show").code == 0


def test_no_trust_root_is_made_for_code_that_is_not_ours(tmp_path: Path, chain: RunningChain) -> None:
    """Devices would believe it for years: a node's word for the code hash is not enough."""
    maker = found(tmp_path, rpc=chain.url)
    arguments = ["deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem"]
    maker.refused(*arguments, "--min-validators", "5", code=2)
    for change in (lambda code: code[:-2] + f"{int(code[-2:], 16) ^ 1:02x}", lambda code: "0x"):
        with lying_node(chain.url) as node:
            node.lies["eth_getCode"] = change
            err = maker.refused(*arguments, "--rpc", node.url, code=1)
        assert "is not the FirmwareLedger of this program: expected code hash" in err
    assert not (tmp_path / "trust-root.cbor").exists()
    maker.run(*arguments)


def test_validators_from_a_file_must_match_their_keys(tmp_path: Path, chain: RunningChain) -> None:
    maker = found(tmp_path, rpc=chain.url)
    entries = [
        {"address": "0x" + v.address.hex(), "publicKey": "0x" + v.public_key.hex()} for v in chain.validators
    ]
    arguments = ["deploy", "--yes", "--release-key", "keys/alice.pem.pub", "--root-key", "keys/root.pem"]
    swapped = [{**entries[0], "address": entries[1]["address"]}, *entries[1:]]
    for content in ("", "{}", "[]", "[1]", '[{"address": "0x"}]', json.dumps(swapped)):
        (tmp_path / "validators.json").write_text(content)
        assert "validators.json" in maker.refused(*arguments, "--validators", "validators.json", code=2)
    (tmp_path / "validators.json").write_text(json.dumps({"validators": entries}))
    maker.run(*arguments, "--validators", "validators.json")
    assert len(maker.json("trust", "show")["validators"]) == 4
