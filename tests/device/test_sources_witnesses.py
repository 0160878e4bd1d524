"""A plain RPC node and a few witnesses' HTTP endpoints are enough for a device on a chain without seals."""

import threading
import time
from contextlib import ExitStack, contextmanager

import pytest

from device_verifier.errors import NotTrusted, SourceUnreachable
from device_verifier.records import Phase
from device_verifier.sources import StateQuery, witnesses
from device_verifier.sources.http import HttpLimits
from device_verifier.sources.relay import RelayLedger
from device_verifier.sources.rpc import RpcLedger
from device_verifier.sources.witnesses import MAX_OLDER, WitnessNotes, collect_note
from ledger_protocol.ledger.proof import LedgerProof
from ledger_protocol.ledger.witness_note import WitnessNote
from ledger_protocol.report.reasons import Reason
from tests.sim.device import SimDevice
from tests.sim.scene import Scene
from tests.sim.servers import Node, Relay, Witness, http_server, raw_server
from tests.sim.witnesses import Witnesses

STABLE = StateQuery(channel="stable")


def noted():
    return Scene(witnesses=Witnesses(5), sealed=False)


def both(require):
    return Scene(witnesses=Witnesses(5), require=require)


def notes_of(scene, place, *numbers, time_s=None, **changes):
    """What witness `place` serves: its own notes of the blocks of these numbers."""
    repository = scene.repository
    blocks = [block for block in repository.chain if block.number in numbers]
    at = repository.time if time_s is None else time_s
    return Witness(
        {
            block.number: repository.witnesses.note(
                repository.checkpoint(block, **changes), [place], time_s=at
            )
            for block in blocks
        }
    )


def grow(scene, blocks):
    for _ in range(blocks):
        scene.repository.seal()


@contextmanager
def served(scene, *witnesses, node=None, limits=None):
    """Let the device ask one plain node and these witnesses. Yields the node."""
    node = node or Node(scene.repository)
    with ExitStack() as stack:
        urls = [stack.enter_context(http_server(witness)) for witness in witnesses]
        url = stack.enter_context(http_server(node))
        scene.ledgers = [RpcLedger(url, witnesses=[WitnessNotes(at, limits=limits) for at in urls])]
        yield node


def asked(scene):
    """The proof that the device's source makes."""
    query = StateQuery(channel="stable", headers=scene.repository.root.headers)
    return LedgerProof.decode(scene.ledgers[0].proof(query, ledger=scene.repository.root.ledger))


# -- refusals first


def test_a_node_of_an_unsealed_chain_without_witnesses_proves_nothing():
    scene = noted()
    with served(scene):
        assert scene.refusal().reason is Reason.NOTE_QUORUM


def test_too_few_witnesses_that_answer_are_not_enough():
    scene = noted()
    with served(scene, notes_of(scene, 0, 100), notes_of(scene, 1, 100)):
        error = scene.refusal()
    assert (error.reason, error.exit_code) == (Reason.NOTE_QUORUM, 1)
    assert (error.expected, error.got) == ("at least 3 of 5", "2")


def test_one_witness_served_three_times_is_one_witness():
    scene = noted()
    with served(scene, *[notes_of(scene, 0, 100, time_s=at) for at in (1, 2, 3)]):
        assert scene.refusal().got == "1"


def test_witnesses_that_are_down_are_unreachable_and_named():
    scene = noted()
    with served(scene, notes_of(scene, 0, 100), Witness({}), Witness({})):
        error = scene.refusal()
    assert (error.reason, error.exit_code) == (Reason.SOURCE_UNREACHABLE, 3)
    assert len([note for note in error.__notes__ if "serves no witness note" in note]) == 2


def test_witnesses_that_disagree_on_a_block_are_not_joined():
    scene = noted()
    liar = {"hash": b"\x01" * 32}
    with served(scene, notes_of(scene, 0, 100), notes_of(scene, 1, 100), notes_of(scene, 2, 100, **liar)):
        assert scene.refusal().reason is Reason.NOTE_QUORUM


def test_rubbish_and_strangers_beside_enough_witnesses_do_no_harm():
    scene = noted()
    stranger = Witnesses(5, seed=9).note(scene.repository.checkpoint(scene.repository.chain[-1]), [0])
    enough = [notes_of(scene, place, 100) for place in (0, 2, 4)]
    with served(scene, Witness({100: b"rubbish"}), Witness({100: stranger}), *enough):
        assert scene.installs(scene.release)


def test_a_state_that_the_node_no_longer_has_is_told_as_that():
    scene = noted()
    node = Node(scene.repository)
    node.pruned = {hex(100)}
    with served(scene, *[notes_of(scene, place, 100) for place in range(3)], node=node):
        error = scene.refusal()
    assert (error.reason, error.exit_code) == (Reason.SOURCE_UNREACHABLE, 3)
    assert "missing trie node" in str(error)
    assert "keeps the state" in error.hint


def test_a_node_that_proves_another_block_than_the_noted_one_is_refused():
    scene = noted()
    later = scene.repository.build(11)
    scene.repository.publish(later)
    grow(scene, 1)
    node = Node(scene.repository)
    honest = node._block
    node._block = lambda at: honest("latest" if at == hex(100) else at)
    with served(scene, *[notes_of(scene, place, 100) for place in range(3)], node=node):
        assert scene.refusal().reason is Reason.BAD_PROOF


# -- enough witnesses


def test_three_of_five_witnesses_and_one_plain_node_prove_the_state():
    scene = noted()
    with served(scene, *[notes_of(scene, place, 100) for place in range(3)]) as node:
        assert scene.installs(scene.release)
        assert asked(scene).header is None
    assert "debug_getRawHeader" not in node.calls


def test_the_proof_is_of_the_block_that_witnesses_hold_final_not_of_the_nodes_newest():
    scene = noted()
    grow(scene, 12)
    revoked_later = scene.repository
    revoked_later.halt()
    grow(scene, 1)
    with served(scene, *[notes_of(scene, place, 101) for place in range(3)]):
        answer = scene.consult()
        assert answer.learned.view.header.number == 101
        assert answer.decision.reason is Reason.UPDATE_AVAILABLE


def test_witnesses_at_different_heights_are_joined_at_the_newest_common_one():
    scene = noted()
    grow(scene, 5)
    ahead = notes_of(scene, 0, 102, 103, 104, 105)
    middle = notes_of(scene, 1, 102, 103, 104)
    behind = notes_of(scene, 2, 102, 103)
    with served(scene, ahead, middle, behind):
        assert scene.consult().learned.view.header.number == 103
    assert "/fwledger/v1/witness/notes/103" in ahead.paths


def test_a_note_that_was_joined_before_is_taken_from_one_place():
    scene = noted()
    block = scene.repository.chain[-1]
    joined = scene.repository.witnesses.note(
        scene.repository.checkpoint(block), range(3), time_s=scene.repository.time
    )
    with served(scene, Witness({100: joined})):
        assert scene.installs(scene.release)


def test_the_age_is_that_of_the_k_th_newest_witness():
    scene = noted()
    now = scene.repository.time + 1_000
    times = (now, now - 100, now - 300, now - 900)
    witnesses = [notes_of(scene, place, 100, time_s=at) for place, at in enumerate(times)]
    with served(scene, *witnesses):
        assert scene.consult(now_s=now).learned.view.header.age_s == 300


@pytest.mark.parametrize(("signer", "asked_for"), [("a stranger", 0), ("a pinned witness", MAX_OLDER)])
def test_old_notes_of_many_heights_do_not_make_the_device_ask_for_ever(signer, asked_for):
    scene = noted()
    repository = scene.repository
    checkpoint = repository.checkpoint(repository.chain[-1])
    signers = Witnesses(5, seed=9) if signer == "a stranger" else repository.witnesses
    fakes = [
        Witness({n: signers.note(repository.checkpoint(repository.chain[-1], number=n), [1])})
        for n in range(20)
    ]
    honest = Witness({100: repository.witnesses.note(checkpoint, [0], time_s=1)})
    with served(scene, honest, *fakes):
        assert scene.refusal().reason is Reason.NOTE_QUORUM
    assert len(honest.paths) == 1 + asked_for


def test_strangers_heights_do_not_crowd_out_the_one_that_enough_have():
    scene = noted()
    grow(scene, 20)
    newest = scene.repository.chain[-1]
    behind, *ahead = [notes_of(scene, 0, 100), *(notes_of(scene, place, 100, 119) for place in (1, 2))]
    fakes = [
        Witness({n: Witnesses(5, seed=9).note(scene.repository.checkpoint(newest, number=n), [0])})
        for n in range(101, 111)
    ]
    with served(scene, behind, *ahead, *fakes):
        assert WitnessNote.decode(asked(scene).note).checkpoint.number == 100


def test_older_notes_over_a_slow_line_are_waited_for_until_enough_agree(monkeypatch):
    monkeypatch.setattr(witnesses, "GRACE_S", 0.01)
    scene = noted()
    grow(scene, 5)
    with served(scene, notes_of(scene, 0, 100), notes_of(scene, 1, 100, 104), notes_of(scene, 2, 100, 103)):
        source = scene.ledgers[0]
        _, _, last = source._witnesses
        quick_at = last.at
        last.at = lambda heights: threading.Event().wait(0.3) or quick_at(heights)
        assert WitnessNote.decode(asked(scene).note).checkpoint.number == 100


def test_a_witness_that_fails_on_the_way_gives_the_notes_that_came_before():
    scene = noted()
    witness = notes_of(scene, 0, 100)

    def fails_below_100(method, path, body):
        return witness(method, path, body) if path.endswith("/100") else (200, b"x" * 10_000)

    with http_server(fails_below_100) as url:
        assert WitnessNotes(url).at([100, 99]) == [witness.notes[100]]


def test_a_witness_that_hangs_delays_nobody_for_long():
    scene = noted()
    honest = [notes_of(scene, place, 100) for place in range(3)]
    with raw_server(lambda _, over: over.wait(30)) as silent, served(scene, *honest):
        scene.ledgers[0]._witnesses += (WitnessNotes(silent, limits=HttpLimits(stall_s=20)),)
        began = time.monotonic()
        assert scene.installs(scene.release)
        assert time.monotonic() - began < 15


class Slow(WitnessNotes):
    """A witness at the end of a slow line."""

    def newest(self):
        threading.Event().wait(0.3)
        return super().newest()


@pytest.mark.parametrize("first", ["a stranger's note", "one of the witnesses"])
def test_who_answers_at_once_breaks_off_no_witness_that_is_needed(monkeypatch, first):
    monkeypatch.setattr(witnesses, "GRACE_S", 0.01)
    scene = noted()
    stranger = Witness(
        {100: Witnesses(5, seed=9).note(scene.repository.checkpoint(scene.repository.chain[-1]), [0])}
    )
    quick = stranger if first == "a stranger's note" else notes_of(scene, 3, 100)
    with served(scene, quick, *[notes_of(scene, place, 100) for place in range(3)]):
        source = scene.ledgers[0]
        urls = [f"http://127.0.0.1:{one._http._url.port}" for one in source._witnesses]
        source._witnesses = (WitnessNotes(urls[0]), *map(Slow, urls[1:]))
        assert asked(scene).note is not None


def test_a_question_to_witnesses_ends_when_it_is_broken_off():
    scene = noted()
    started = threading.Event()

    def hang(_, over):
        started.set()
        over.wait(30)

    with raw_server(hang) as silent, served(scene):
        source = scene.ledgers[0]
        source._witnesses = (WitnessNotes(silent),)
        breaker = threading.Thread(target=lambda: started.wait(10) and source.abandon())
        breaker.start()
        began = time.monotonic()
        with pytest.raises(SourceUnreachable):
            asked(scene)
        assert time.monotonic() - began < 5
        breaker.join()


def test_a_collected_note_is_what_was_verified():
    scene = noted()
    with ExitStack() as stack:
        urls = [stack.enter_context(http_server(notes_of(scene, place, 100))) for place in (1, 3, 4)]
        joined = collect_note([WitnessNotes(url) for url in urls], scene.repository.root.headers.witnesses)
        assert joined.verified.checkpoint == WitnessNote.decode(joined.note).checkpoint
        with pytest.raises(NotTrusted, match="too few"):
            collect_note([WitnessNotes(url) for url in urls[:2]], scene.repository.root.headers.witnesses)


# -- seals and notes


def test_where_all_is_required_header_and_note_are_of_one_block():
    scene = both("all")
    grow(scene, 3)
    with served(scene, *[notes_of(scene, place, 101) for place in range(3)]):
        proof = asked(scene)
        assert proof.header is not None
        assert proof.note is not None
        assert scene.consult().learned.view.header.number == 101


def test_where_all_is_required_seals_alone_are_not_enough():
    scene = both("all")
    with served(scene, notes_of(scene, 0, 100)):
        assert scene.refusal().reason is Reason.NOTE_QUORUM


def test_where_any_is_required_the_newest_sealed_block_is_taken():
    scene = both("any")
    grow(scene, 3)
    with served(scene, *[notes_of(scene, place, 101) for place in range(3)]):
        assert asked(scene).note is None
        assert scene.consult().learned.view.header.number == 103


def test_where_any_is_required_a_note_of_the_newest_block_keeps_it_fresh():
    scene = both("any")
    now = scene.repository.time + 90_000
    with served(scene, *[notes_of(scene, place, 100, time_s=now - 5) for place in range(3)]):
        assert scene.consult(now_s=now).learned.view.header.age_s == 5


def test_where_any_is_required_witnesses_that_are_down_do_not_matter():
    scene = both("any")
    with served(scene, Witness({})):
        assert scene.installs(scene.release)


def test_where_any_is_required_notes_stand_in_for_seals_that_do_not_hold():
    scene = both("any")
    scene.repository.seal(signers=[0])
    with served(scene, *[notes_of(scene, place, 100) for place in range(3)]):
        assert asked(scene).header is None
        assert scene.consult().learned.view.header.number == 100


def test_a_root_without_witnesses_asks_none():
    scene = Scene()
    witness = Witness({})
    with served(scene, witness):
        assert scene.installs(scene.release)
    assert witness.paths == []


def test_a_slow_loris_of_a_witness_is_cut_off():
    scene = noted()

    def drip(connection, over):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8000\r\n\r\n")
        while not over.wait(0.05):
            connection.sendall(b"a")

    limits = HttpLimits(grace_s=0.2)
    with raw_server(drip) as url, pytest.raises(SourceUnreachable, match="too few"):
        collect_note([WitnessNotes(url, limits=limits)], scene.repository.root.headers.witnesses)


# -- the other sources carry notes as they are


@pytest.mark.parametrize("scene", [noted(), both("all"), both("any")], ids=["notes", "all", "any"])
def test_a_relays_proof_file_with_a_note_is_enough(scene):
    with http_server(Relay(scene.repository)) as url:
        scene.ledgers = [RelayLedger(url)]
        assert scene.installs(scene.release)


@pytest.mark.parametrize("scene", [noted(), both("all"), both("any")], ids=["notes", "all", "any"])
def test_a_bundle_with_a_note_is_enough_for_a_device_without_network(tmp_path, scene):
    device = SimDevice.make(tmp_path / "device", scene.repository)
    release = device.release(11)
    device.install(bundle=device.bundle(release))
    assert device.boot().phase is Phase.CONFIRMED


def test_a_bundle_whose_note_too_few_signed_is_refused(tmp_path):
    scene = noted()
    device = SimDevice.make(tmp_path / "device", scene.repository)
    device.release(11)
    scene.repository.witnesses.note = lambda checkpoint, **times: Witnesses(5).note(checkpoint, [0], **times)
    with pytest.raises(NotTrusted) as caught:
        device.install(bundle=device.bundle(scene.release))
    assert caught.value.reason is Reason.NOTE_QUORUM
