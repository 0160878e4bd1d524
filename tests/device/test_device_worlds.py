"""Random worlds, their tries built by an independent library: what a device proves is what the model holds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from device_verifier.sources import StateQuery
from device_verifier.trusted_ledger import TrustedLedger
from ledger_protocol.ledger import contract_state as state
from ledger_protocol.ledger.contract_state import ChannelWord, DeviceWord, Revocation
from ledger_protocol.release.manifest import channel_id
from tests.sim.repository import OPERATOR, Repository

# Few of each, so that questions often hit what is there; ids with leading zeros, whose words RLP shortens.
CHANNELS = ["stable", "beta", "nightly", "a"]
RELEASES = [bytes(n) + b"\x01" * (32 - n) for n in (0, 1, 5, 20, 31)] + [
    n.to_bytes(32, "big") for n in (2, 300)
]
DEVICES = [bytes(19) + b"\x01", b"\x02" * 20, b"\xff" * 20]
GROUPS = [0, 1, 7, 2**24 - 1]

channel_words = st.builds(
    ChannelWord,
    sequence=st.integers(1, 2**32 - 1),
    security_version=st.integers(0, 2**24 - 1),
    epoch=st.integers(0, 2**24 - 1),
    halted=st.booleans(),
    immediate=st.booleans(),
    published_at=st.integers(0, 2**32 - 1),
    rollout_from=st.integers(0, 2**32 - 1),
    initial_bps=st.integers(0, 10_000),
    hold_hours=st.integers(0, 2**16 - 1),
    ramp_hours=st.integers(0, 2**16 - 1),
    halt_bps=st.integers(0, 10_000),
    min_reports=st.integers(0, 2**24 - 1),
)
device_words = st.builds(
    DeviceWord,
    sequence=st.integers(0, 2**32 - 1),
    enrolled=st.just(True),
    retired=st.booleans(),
    open_vote=st.booleans(),
    group=st.sampled_from(GROUPS),
    counted=st.integers(0, 2**32 - 1),
    head=st.binary(min_size=20, max_size=20),
)
revocations = st.builds(
    Revocation, time=st.integers(1, 2**40 - 1), reason=st.integers(0, 2**16 - 1), mandatory=st.booleans()
)
worlds = st.fixed_dictionaries(
    {
        "channels": st.dictionaries(
            st.sampled_from(CHANNELS), st.tuples(st.sampled_from(RELEASES), channel_words)
        ),
        "revoked": st.dictionaries(st.sampled_from(RELEASES), revocations),
        "groups": st.dictionaries(st.sampled_from(GROUPS), st.sampled_from(CHANNELS)),
        "approved": st.dictionaries(st.sampled_from(RELEASES), st.integers(1, 2**40 - 1)),
        "devices": st.dictionaries(st.sampled_from(DEVICES), device_words),
        "noise": st.integers(0, 40),
    }
)
questions = st.one_of(
    st.builds(StateQuery, channel=st.sampled_from(CHANNELS)),
    st.builds(StateQuery, group=st.sampled_from(GROUPS)),
    st.builds(StateQuery, device=st.sampled_from(DEVICES)),
    st.builds(
        StateQuery,
        channel=st.sampled_from(CHANNELS),
        installed=st.sampled_from(RELEASES),
        also_revoked=st.lists(st.sampled_from(RELEASES), max_size=3, unique=True).map(tuple),
        device=st.sampled_from(DEVICES),
        operator=st.just(OPERATOR),
    ),
)


def build(world) -> Repository:
    repository = Repository(operator=OPERATOR)
    for name, (head, word) in world["channels"].items():
        repository.ledger_words[state.head_key(channel_id(name))] = int.from_bytes(head, "big")
        repository.ledger_words[state.word_key(channel_id(name))] = word.encode()
    for release, revocation in world["revoked"].items():
        repository.ledger_words[state.revoked_key(release)] = revocation.encode()
    for group, name in world["groups"].items():
        repository.assign(group, name)
    for release, time in world["approved"].items():
        repository.ledger_words[state.approval_key(OPERATOR, release)] = time
    for device, word in world["devices"].items():
        repository.journal_words[state.device_key(device)] = word.encode()
    for number in range(world["noise"]):
        repository.assign(1_000 + number, "noise")
        repository.enrol((1_000 + number).to_bytes(20, "big"))
    repository.seal()
    return repository


@given(world=worlds, query=questions)
@settings(max_examples=120, deadline=None)
def test_what_is_proved_is_what_the_world_holds(world, query):
    repository = build(world)
    ledger = TrustedLedger(trust_root=repository.factory_root, floor=None, now_s=None)
    asked = StateQuery(
        channel=query.channel,
        group=query.group,
        installed=query.installed,
        operator=OPERATOR,
        also_revoked=query.also_revoked,
        device=query.device,
    )
    ledger.update_header(repository.proof(asked))
    view = ledger.read(query)

    device = world["devices"].get(query.device)
    group = (
        query.group
        if query.channel is not None or device is None or query.group is not None
        else device.group
    )
    name = query.channel or world["groups"].get(group)
    head, word = world["channels"].get(name, (None, None))
    assert view.device == device
    assert view.channel == (None if name is None else channel_id(name))
    assert (view.head, view.word) == (head, word)
    assert view.head_revoked == world["revoked"].get(head)
    assert view.installed_revoked == world["revoked"].get(query.installed)
    assert dict(view.also_revoked) == {
        release: world["revoked"].get(release) for release in query.also_revoked
    }
    assert view.approved_at == world["approved"].get(head)
