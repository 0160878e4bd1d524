"""Trust roots: the walk from the one held to the newest, and what a new one changes (§3, V0)."""

from ledger_client.conformance.case import ACCEPT, HEADER, ROOT, refuse
from ledger_client.conformance.cases.roots import (
    ATTACKERS,
    FORGED,
    FREEZE,
    OLD_KEYS,
    SECTION,
    THIEVES,
    YEAR_S,
    attackers_headers,
)
from ledger_client.conformance.scenario import Scenario, case
from ledger_client.conformance.world import documents, headers
from ledger_client.conformance.world.headers import Sealing
from ledger_client.conformance.world.keys import SigningKey, ed25519_key, p256_key
from ledger_client.conformance.world.manufacturer import CODE_HASH
from ledger_protocol.content import dag_cbor
from ledger_protocol.report.reasons import Reason


@case(
    "root.newest-is-held", "mix-and-match", SECTION, ACCEPT, "the ledger names the root that the device holds"
)
def _(s: Scenario) -> None:
    s.check(s.stick(), root_version=1)


@case("root.next-version", OLD_KEYS, SECTION, ACCEPT, "a root signed by both versions' keys is taken")
def _(s: Scenario) -> None:
    s.world.rotate_validators("second")
    s.seal()
    s.check(s.stick(), root_version=2)


@case(
    "root.root-keys-changed",
    "one key stolen",
    SECTION,
    ACCEPT,
    "new root keys are taken when old and new ones sign",
)
def _(s: Scenario) -> None:
    fresh: list[SigningKey] = [ed25519_key("new root 0"), p256_key("new root 1")]
    s.world.rotate(keys=[*s.world.root_keys[:2], *fresh], root_keys=documents.key_set(fresh, 2))
    s.seal()
    s.check(s.stick(), root_version=2)


@case(
    "root.old-root-keys-after-a-change",
    "one key stolen",
    SECTION,
    refuse(*ROOT, *HEADER),
    "keys that were taken out of the root sign nothing any more",
)
def _(s: Scenario) -> None:
    fresh: list[SigningKey] = [ed25519_key("new root 0"), ed25519_key("new root 1")]
    s.world.rotate(keys=[*s.world.root_keys[:2], *fresh], root_keys=documents.key_set(fresh, 2))
    s.world.rotate(keys=s.world.root_keys[:2], headers=attackers_headers())
    s.seal(Sealing(by=headers.validators(4, ATTACKERS)))
    s.check(s.stick(), root_version=2)


@case(
    "root.slept-through-three-validator-sets",
    OLD_KEYS,
    SECTION,
    ACCEPT,
    "a device walks all roots before it checks its first header: no header under old keys is needed",
)
def _(s: Scenario) -> None:
    for name in ("second", "third", "fourth"):
        s.world.rotate_validators(name)
    s.seal()
    s.check(s.stick(), root_version=4)


@case(
    "root.hundred-versions",
    OLD_KEYS,
    SECTION,
    ACCEPT,
    "ten years of changes are one walk, one version at a time",
)
def _(s: Scenario) -> None:
    for year in range(100):
        s.world.rotate(announced=False, issued_at=1_800_000_000 + year)
    s.world.rotate_validators("second")
    s.seal()
    s.check(s.stick(), root_version=102)


@case(
    "root.walk-goes-on-next-time",
    OLD_KEYS,
    SECTION,
    ACCEPT,
    "roots are stored as they are taken: what comes later follows from them",
)
def _(s: Scenario) -> None:
    s.world.rotate_validators("second")
    s.seal()
    s.check(s.stick(), root_version=2)
    s.world.rotate_validators("third")
    s.seal()
    s.check({name: data for name, data in s.stick().items() if name != "trust-root-2.cbor"}, root_version=3)


@case(
    "root.reordered",
    FORGED,
    SECTION,
    refuse(*ROOT, *HEADER),
    "versions are taken in their order and no other",
)
def _(s: Scenario) -> None:
    s.world.rotate_validators("second")
    s.world.rotate_validators("third")
    s.seal()
    files = s.stick()
    swapped = {
        "trust-root-2.cbor": files["trust-root-3.cbor"],
        "trust-root-3.cbor": files["trust-root-2.cbor"],
    }
    s.check({**files, **swapped}, root_version=1)


@case("root.gap", FORGED, SECTION, refuse(*ROOT, *HEADER), "a missing version stops the walk")
def _(s: Scenario) -> None:
    s.world.rotate_validators("second")
    s.world.rotate_validators("third")
    s.seal()
    files = s.stick()
    del files["trust-root-2.cbor"]
    s.check(files, root_version=1)


@case(
    "root.withheld",
    "dropped requests",
    "V4",
    refuse(Reason.TRUST_ROOT_MISSING),
    "the ledger's digest authorises no root, but shows that one is missing",
)
def _(s: Scenario) -> None:
    s.world.rotate(release_keys=documents.key_set(THIEVES, 2))
    s.seal()
    files = s.stick()
    del files["trust-root-2.cbor"]
    s.check(files, root_version=1)


@case(
    "root.fork-of-the-held-version",
    "split view",
    SECTION,
    refuse(*ROOT),
    "the ledger names another root of the version that the device holds: one of both is a fork",
)
def _(s: Scenario) -> None:
    s.world.announce({**s.world.root, "issued_at": 1})
    s.seal()
    s.check(s.stick(), root_version=1)


@case(
    "root.two-histories",
    "split view",
    SECTION,
    refuse(*ROOT, *HEADER),
    "a version 3 that follows from another version 2 than the one that was taken is refused",
)
def _(s: Scenario) -> None:
    fork = s.world.sign_root(s.world.next_root(issued_at=1_800_000_001))
    s.world.rotate(issued_at=1_800_000_002)
    s.seal()
    s.check(s.stick(), expect=ACCEPT, root_version=2)
    s.world.roots[1] = fork
    s.world.rotate(headers=attackers_headers())
    s.seal(Sealing(by=headers.validators(4, ATTACKERS)))
    s.check(s.stick(), root_version=2)


@case(
    "root.ledger-lags-behind",
    OLD_KEYS,
    SECTION,
    ACCEPT,
    "a root may reach devices before the ledger names it: an older digest is fine",
)
def _(s: Scenario) -> None:
    s.world.rotate(announced=False)
    s.seal()
    s.check(s.stick(), root_version=2)


@case(
    "root.a-spare-signature-stripped",
    "malicious mirror",
    SECTION,
    ACCEPT,
    "a mirror may strip a signature beyond the threshold; the same document still leads on",
)
def _(s: Scenario) -> None:
    s.world.rotate(keys=s.world.root_keys)
    full = s.world.roots[1]
    s.world.rotate_validators("third")
    s.seal()
    second = dag_cbor.decode(full, max_bytes=2**16)
    assert isinstance(second, dict)
    stripped = dag_cbor.encode({**second, "signatures": second["signatures"][:2]})  # type: ignore[index]
    s.check({**s.stick(), "trust-root-2.cbor": stripped}, expect=refuse(*ROOT, *HEADER), root_version=2)
    s.check(s.stick(), root_version=3)


@case(
    "root.expired",
    FREEZE,
    SECTION,
    refuse(Reason.TRUST_ROOT_EXPIRED),
    "an expired root says that its signers wanted to be asked again",
    world={"expires": 1_800_000_000 + YEAR_S},
)
def _(s: Scenario) -> None:
    s.check(s.stick(), now=s.world.time + YEAR_S)


@case(
    "root.expired-by-the-proven-header",
    FREEZE,
    SECTION,
    refuse(Reason.TRUST_ROOT_EXPIRED),
    "a device without a clock learns from the proven header that its root is over",
    world={"expires": 1_800_000_000 + YEAR_S},
)
def _(s: Scenario) -> None:
    s.seal(time=1_800_000_000 + 2 * YEAR_S)
    s.check(s.stick(), now=None)


@case(
    "root.not-yet-expired",
    FREEZE,
    SECTION,
    ACCEPT,
    "an expiry ahead holds nothing back",
    world={"expires": 1_800_000_000 + YEAR_S},
)
def _(s: Scenario) -> None:
    s.check(s.stick(), now=s.world.time)


@case(
    "root.expired-on-the-way",
    OLD_KEYS,
    SECTION,
    ACCEPT,
    "only the newest root is asked for its expiry: a device that slept walks over the old ones",
    world={"expires": 1_800_000_000 + YEAR_S},
)
def _(s: Scenario) -> None:
    s.world.rotate(expires=None)
    s.seal(time=1_800_000_000 + 2 * YEAR_S)
    s.check(s.stick(), root_version=2)


# --- what a new root changes


@case(
    "root.old-validators-after-a-change",
    OLD_KEYS,
    SECTION,
    refuse(*HEADER),
    "validators that were replaced seal nothing any more, at whatever height",
)
def _(s: Scenario) -> None:
    old = s.world.rotate_validators("second")
    s.seal()
    s.check(s.stick(), expect=ACCEPT, root_version=2)
    s.seal(Sealing(by=old))
    s.check(s.stick(), root_version=2)


@case(
    "root.old-validators-beside-the-new-root",
    OLD_KEYS,
    SECTION,
    refuse(*HEADER),
    "a device that walks a new root judges the header that came with it by that root",
)
def _(s: Scenario) -> None:
    old = s.world.rotate_validators("second")
    s.seal(Sealing(by=old))
    s.check(s.stick(), root_version=2)


@case(
    "root.release-key-withdrawn",
    "one key stolen",
    "V7",
    refuse(Reason.THRESHOLD, Reason.BAD_SIGNATURE),
    "a stolen release key is taken out by the next root, and signs nothing any more",
)
def _(s: Scenario) -> None:
    s.world.rotate(release_keys=documents.key_set([s.world.release_keys[1], s.world.release_keys[2]], 2))
    s.seal()
    s.check(s.stick(), root_version=2)


@case(
    "root.moved-to-another-ledger",
    "staging chain",
    SECTION,
    ACCEPT,
    "a move starts the height floor afresh, from the new root's first block",
)
def _(s: Scenario) -> None:
    s.seal(number=5_000)
    s.check(s.stick(), expect=ACCEPT)
    s.world.rotate(ledger={**s.world.ledger, "from_block": 7})
    s.seal(number=8)
    s.check(s.stick(), root_version=2, height=8)


@case(
    "root.moved-below-its-first-block",
    "rollback",
    SECTION,
    refuse(Reason.LEDGER_ROLLBACK),
    "a move starts the floor afresh only as the new root says",
)
def _(s: Scenario) -> None:
    s.seal(number=5_000)
    s.check(s.stick(), expect=ACCEPT)
    s.world.rotate(ledger={**s.world.ledger, "from_block": 4_000})
    s.seal(number=3_999)
    s.check(s.stick(), root_version=2)


@case(
    "root.new-root-keeps-the-floor",
    "rollback",
    SECTION,
    refuse(Reason.LEDGER_ROLLBACK),
    "a root that changes neither ledger nor headers keeps the height floor",
)
def _(s: Scenario) -> None:
    old = s.block
    s.seal()
    s.check(s.stick(), expect=ACCEPT)
    s.world.rotate(release_keys=documents.key_set(s.world.release_keys[:2], 2), announced=False)
    s.check(s.stick(old), root_version=2)


@case(
    "root.code-of-another-contract",
    "staging chain",
    "V3",
    refuse(Reason.WRONG_CONTRACT),
    "a new root that pins other code makes the old contract another one",
)
def _(s: Scenario) -> None:
    s.world.rotate(ledger={**s.world.ledger, "code_hash": CODE_HASH[::-1]})
    s.seal()
    s.check(s.stick(), root_version=2)
