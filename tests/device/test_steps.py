"""The steps of a check as a person reads them with `--explain`, word for word."""

from device_verifier.facts import InstalledRelease, Slot
from device_verifier.gates import Action, fit_gates
from device_verifier.release import verify_release
from device_verifier.trusted_roots import TrustedRoots, floor_scope
from ledger_protocol.release.manifest import MinFrom
from ledger_protocol.release.trust_root import SignedTrustRoot
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import OPERATOR, Repository
from tests.sim.scene import Scene


def test_a_check_that_passes_shows_every_step_in_order():
    scene = Scene(operator=OPERATOR)
    scene.repository.approve(scene.release.id)
    scene.repository.seal()
    head = "0x" + scene.release.id.hex()
    assert [
        (step.check, step.what, step.expected, step.found)
        for step in scene.consult().decision.steps
        if step.ok
    ] == [
        ("V0", "trust root held", "the newest on offer", "version 1"),
        ("V1", "header", "sealed by a quorum of pinned validators", "block 101"),
        ("V2", "header", "not behind the newest accepted, fresh", "10 s old"),
        ("V3", "ledger contract", "the pinned code", "0x" + "11" * 20),
        ("V4", "ledger words", "proven at one height", "block 101"),
        ("V5", "head's revocation", "none", "none"),
        ("V5", "channel", "not halted", "not halted"),
        ("V9", "head's security version", "0 (floor) or higher", "1"),
        ("V5", "operator's approval", "given", "given at 1800000010"),
        ("V5", "head on this device", "not failed before", "not failed before"),
        ("V5", "rollout cohort", "this device among the first 100 %", "reached"),
        ("V5", "consent", "given, or not needed", "given, or not needed"),
        ("V6", "manifest", head, head),
        ("V7", "signatures", "2 distinct release keys", "2 of 3"),
        ("V8", "channel", "named by the manifest", "named"),
        ("V8", "sequence and security version", "10, 1 (the ledger's word)", "10, 1"),
        ("V9", "compatible", "acme,gateway", "acme,gateway"),
        ("V9", "hardware revision", "B2", "any"),
        ("V9", "security version", "0 (floor) or higher", "1"),
        ("V9", "component rootfs: slot", "a free slot of class rootfs", "one"),
        ("V9", "component rootfs: arch", "aarch64", "aarch64"),
        ("V9", "component rootfs: handler", "raw, plain", "raw"),
        ("V9", "component rootfs: size", "at most 1000000 bytes", "10000"),
    ]


def gates(*, component=None, slots=None, manifest=None, **facts):
    world = Repository()
    made = world.build(5, component=component or {}, **(manifest or {}))
    verified = verify_release(made.envelope, made.block, head=made.id, root=world.root)
    if slots is not None:
        facts["slots"] = slots
    return {
        gate.step.what: (gate.step.expected, gate.step.found, gate.step.ok, gate.reason, gate.action)
        for gate in fit_gates(verified, world.device(**facts))
    }


def test_a_device_that_fits_in_nothing_reads_why():
    found = gates(
        component={"hooks": ("migrate", "check")},
        manifest={"hw_revisions": ("A1", "A2"), "compatible": "other,board"},
        slots=(Slot("rootfs", 9_999, handlers=("archive", "raw"), arch="riscv64"),),
        security_floor=2,
    )
    refuse = Action.REFUSE
    assert found == {
        "compatible": ("acme,gateway", "other,board", False, Reason.INCOMPATIBLE, refuse),
        "hardware revision": ("B2", "A1, A2", False, Reason.INCOMPATIBLE, refuse),
        "security version": ("2 (floor) or higher", "1", False, Reason.ROLLBACK, refuse),
        "component rootfs: slot": ("a free slot of class rootfs", "one", True, Reason.SLOT_MISSING, refuse),
        "component rootfs: arch": ("riscv64", "aarch64", False, Reason.INCOMPATIBLE, refuse),
        "component rootfs: handler": (
            "archive or raw, plain, without hooks", "raw, with hooks migrate, check", False, Reason.UNSUPPORTED, refuse,
        ),
        "component rootfs: size": ("at most 9999 bytes", "10000", False, Reason.TOO_LARGE, refuse),
    }  # fmt: skip


def test_a_device_without_the_slot_reads_that_alone():
    found = gates(slots=(Slot("app", 10),))
    slot = found["component rootfs: slot"]
    assert slot == ("a free slot of class rootfs", "none", False, Reason.SLOT_MISSING, Action.REFUSE)
    assert "component rootfs: size" not in found


def test_sizes_and_floors_fit_to_the_one():
    found = gates(slots=(Slot("rootfs", 10_000),), security_floor=1)
    assert found["component rootfs: size"][2]
    assert found["security version"][2]


def test_a_named_hardware_revision_must_be_this_one():
    assert gates(manifest={"hw_revisions": ("A1", "B2")})["hardware revision"][:3] == ("B2", "A1, B2", True)


def test_a_stepping_stone_is_named_unless_it_is_what_runs():
    via = b"\7" * 32
    stone = MinFrom(3, via)
    running = InstalledRelease(b"\1" * 32, 4, 2, "1.4")
    key = "installs over"
    shown = (
        "security version 3 or higher",
        f"2, go by way of 0x{via.hex()}",
        False,
        Reason.INSTALL_VIA,
        Action.REFUSE,
    )
    assert gates(manifest={"min_from": stone, "security_version": 3}, installed=running)[key] == shown
    same = InstalledRelease(via, 4, 2, "1.4")
    assert gates(manifest={"min_from": stone, "security_version": 3}, installed=same)[key][1:4] == (
        "2", False, Reason.UNREACHABLE_FROM,
    )  # fmt: skip
    bare = gates(manifest={"min_from": MinFrom(3, None), "security_version": 3}, security_floor=1)
    assert bare[key][1:4] == ("1", False, Reason.UNREACHABLE_FROM)
    enough = InstalledRelease(b"\1" * 32, 4, 3, "1.4")
    assert gates(manifest={"min_from": stone, "security_version": 3}, installed=enough)[key][2]
    assert key not in gates()


def test_a_second_offer_is_walked_from_where_the_first_one_led():
    world = Repository()
    for seed in (2, 3):
        world.rotate_validators(seed)
    first, second, third = world.signed_roots
    held = TrustedRoots(trust_root=first, walked=())
    held.update([second])
    assert held.scope == floor_scope(second) != floor_scope(first)
    held.update([third])
    assert held.root == world.root
    assert held.accepted == (second, third)
    for seen in world.signed_roots:
        held.refuse_unseen(int.from_bytes(SignedTrustRoot.decode(seen).digest, "big"))
