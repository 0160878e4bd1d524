import hashlib
from dataclasses import replace

import dag_cbor as reference
import pytest

from ledger_protocol.content import dag_cbor
from ledger_protocol.content.cid import DAG_CBOR, DAG_PB, RAW, Cid
from ledger_protocol.errors import LimitError, MalformedError, ProtocolError
from ledger_protocol.release.manifest import Delta, Manifest, MinFrom, channel_id, release_id
from tests.protocol_makers import component, digest, manifest

LINK = Cid.of(RAW, b"x")


def plain(made: Manifest | None = None) -> dict:
    return dag_cbor.decode((made or manifest()).encode(), max_bytes=65536)


def decode_with(*path, value):
    """Decode a valid manifest with one value replaced."""
    document = plain()
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return Manifest.decode(dag_cbor.encode(document))


COMPONENT = ("components", 0)
DELTA = (*COMPONENT, "deltas", 0)


@pytest.mark.parametrize(
    "path",
    [
        *[(key,) for key in plain()],
        *[("components", 0, key) for key in plain()["components"][0]],
        *[("components", 0, "deltas", 0, key) for key in plain()["components"][0]["deltas"][0]],
        ("min_from", "security_version"),
        ("min_from", "via"),
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_each_field_is_required(path):
    document = plain()
    at = document
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    with pytest.raises(MalformedError):
        Manifest.decode(dag_cbor.encode(document))


@pytest.mark.parametrize("path", [(), ("components", 0), ("components", 0, "deltas", 0), ("min_from",)])
def test_an_unknown_field_is_refused_at_every_level(path):
    document = plain()
    at = document
    for step in path:
        at = at[step]
    at["force"] = True
    with pytest.raises(MalformedError, match="force"):
        Manifest.decode(dag_cbor.encode(document))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "fwledger/manifest/2"),
        (("schema",), "fwledger/envelope/1"),
        (("compatible",), ""),
        (("compatible",), "ACME"),
        (("compatible",), "a" * 257),
        (("compatible",), ["acme"]),
        (("hw_revisions",), ["B1", "B1"]),
        (("hw_revisions",), ["B 1"]),
        (("hw_revisions",), [f"B{n}" for n in range(257)]),
        (("hw_revisions",), None),
        (("version",), ""),
        (("version",), "1 0"),
        (("version",), "v" * 65),
        (("channels",), []),
        (("channels",), ["Stable"]),
        (("channels",), ["stable", "stable"]),
        (("channels",), [f"c{n}" for n in range(65)]),
        (("sequence",), 0),
        (("sequence",), 2**32),
        (("sequence",), True),
        (("security_version",), -1),
        (("security_version",), 2**24),
        (("previous",), bytes(31)),
        (("previous",), LINK),
        (("min_from",), {}),
        (("min_from", "security_version"), 2**24),
        (("min_from", "via"), bytes(33)),
        (("kind",), "urgent"),
        (("kind",), None),
        (("advisories",), ["CVE 1"]),
        (("advisories",), [f"CVE-{n}" for n in range(513)]),
        (("support_until",), 2**40),
        (("created",), -1),
        (("created",), None),
        (("notes",), "\x1b[2J"),
        (("notes",), "n" * (32 * 1024 + 1)),
        (("notes",), None),
        (("identifiers",), None),
        (("identifiers",), []),
        (("identifiers",), {"rxswin": 1}),
        (("identifiers",), {"rx swin": "a"}),
        (("identifiers",), {"": "a"}),
        (("identifiers",), {"rxswin": "a" * 257}),
        (("identifiers",), {f"k{n}": "a" for n in range(65)}),
        (("sbom",), LINK.to_bytes()),
        (("provenance",), b""),
        (("components",), []),
        (("components",), None),
        ((*COMPONENT, "name"), "../../etc"),
        ((*COMPONENT, "name"), "kernel"),  # the name of the other one
        ((*COMPONENT, "slot_class"), ""),
        ((*COMPONENT, "handler"), "Raw"),
        ((*COMPONENT, "arch"), "arm 64"),
        ((*COMPONENT, "size"), 0),
        ((*COMPONENT, "size"), -5),
        ((*COMPONENT, "size"), 2**40 + 1),
        ((*COMPONENT, "sha256"), bytes(31)),
        ((*COMPONENT, "image"), LINK.to_bytes()),
        ((*COMPONENT, "image"), Cid.of(DAG_CBOR, b"x")),
        ((*COMPONENT, "image"), None),
        ((*COMPONENT, "encryption"), []),
        ((*COMPONENT, "encryption"), {"scheme": "age"}),  # then the image may not be a link
        ((*COMPONENT, "verity_root"), bytes(16)),
        ((*COMPONENT, "read_only"), 1),
        ((*COMPONENT, "hooks"), ["rm -rf"]),
        ((*COMPONENT, "hooks"), [f"h{n}" for n in range(17)]),
        ((*COMPONENT, "deltas"), None),
        ((*DELTA, "from_sha256"), bytes(31)),
        ((*DELTA, "algorithm"), "ZSTD"),
        ((*DELTA, "patch"), bytes(36)),
        ((*DELTA, "size"), 0),
    ],
    ids=repr,
)
def test_a_value_out_of_range_is_refused(path, value):
    with pytest.raises(ProtocolError):
        decode_with(*path, value=value)


def test_two_deltas_from_one_base_by_one_algorithm_are_refused():
    delta = Delta(digest("base"), "zstd-runs", Cid.of(RAW, b"patch"), 5)
    with pytest.raises(MalformedError, match="deltas"):
        manifest(components=(component(deltas=(delta, replace(delta, size=6))),)).encode()
    manifest(components=(component(deltas=(delta, replace(delta, algorithm="bsdiff"))),)).encode()


def test_too_many_components_are_refused():
    many = tuple(component(f"c{n}") for n in range(65))
    with pytest.raises(LimitError):
        manifest(components=many).encode()
    assert len(Manifest.decode(manifest(components=many[:64]).encode()).components) == 64


def test_an_oversize_manifest_is_refused():
    many = tuple(component(f"c{n}", hooks=tuple("h" * 50 + str(h) for h in range(16))) for n in range(64))
    with pytest.raises(LimitError, match="length"):
        manifest(components=many, notes="n" * 30_000).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 0},
        {"channels": ()},
        {"version": "\ud800"},
        {"previous": bytes(31)},
        {"components": ()},
        {"components": (component(size=0),)},
        {"components": (component(), component())},
        {"sequence": 1.5},
        {"min_from": MinFrom(-1, None)},
    ],
    ids=repr,
)
def test_a_manifest_that_nobody_could_decode_is_not_encoded(changes):
    with pytest.raises(ProtocolError):
        manifest(**changes).encode()


def test_a_list_in_place_of_a_tuple_is_not_encoded():
    with pytest.raises(MalformedError, match="survive"):
        manifest(channels=["stable"]).encode()


def test_decoding_undoes_encoding():
    made = manifest()
    assert Manifest.decode(made.encode()) == made
    assert Manifest.decode(made.encode()).encode() == made.encode()


def test_what_may_be_null_or_empty_may():
    made = manifest(
        hw_revisions=(),
        previous=None,
        min_from=None,
        advisories=(),
        support_until=None,
        notes="",
        identifiers={},
        sbom=None,
        provenance=None,
        security_version=0,
        components=(component(),),
    )
    assert Manifest.decode(made.encode()) == made
    low = manifest(min_from=MinFrom(3, None))
    assert Manifest.decode(low.encode()).min_from == MinFrom(3, None)


def test_an_encrypted_image_is_bytes_so_that_nothing_links_it():
    image = Cid.of(DAG_PB, b"plain")
    made = manifest(components=(component(image=image, encryption={"scheme": "age", "packs": [LINK]}),))
    assert plain(made)["components"][0]["image"] == image.to_bytes()
    found = Manifest.decode(made.encode())
    assert found == made
    assert found.components[0].image == image


@pytest.mark.parametrize(
    "image", [bytes(36), Cid.of(DAG_CBOR, b"x").to_bytes(), Cid.of(RAW, b"x").to_bytes()[:-1]]
)
def test_an_encrypted_image_that_is_no_file_is_refused(image):
    document = plain(manifest(components=(component(encryption={"scheme": "age"}),)))
    document["components"][0]["image"] = image
    with pytest.raises(MalformedError):
        Manifest.decode(dag_cbor.encode(document))


@pytest.mark.parametrize("encryption", [[], [1], "age", b"age", True, 1])
def test_an_encryption_that_is_no_map_is_refused(encryption):
    document = plain(manifest(components=(component(encryption={"scheme": "age"}),)))
    document["components"][0]["encryption"] = encryption
    with pytest.raises(MalformedError, match="encryption"):
        Manifest.decode(dag_cbor.encode(document))


def test_as_many_identifiers_as_the_limit_are_read():
    most = {f"k{n}": "a" * 256 for n in range(64)}
    assert Manifest.decode(manifest(identifiers=most).encode()).identifiers == most


def test_a_pack_without_a_base_has_a_null_base():
    pack = Delta(None, "zstd-runs", Cid.of(DAG_CBOR, b"pack"), 5)
    made = manifest(components=(component(deltas=(pack,)),))
    assert Manifest.decode(made.encode()).components[0].deltas == (pack,)


def test_decoded_maps_cannot_be_changed():
    found = Manifest.decode(manifest(components=(component(encryption={"scheme": "age"}),)).encode())
    with pytest.raises(TypeError):
        found.identifiers["rxswin"] = "other"
    with pytest.raises(TypeError):
        found.components[0].encryption["scheme"] = "none"


def test_components_are_found_by_name():
    made = manifest()
    assert made.component("kernel") is made.components[1]
    assert made.component("modem") is None


def test_the_release_id_is_the_digest_of_the_cid():
    block = manifest().encode()
    assert release_id(block) == Cid.of(DAG_CBOR, block).digest == hashlib.sha256(block).digest()


def test_a_channel_id_is_the_hash_of_its_name():
    assert channel_id("stable") == hashlib.sha256(b"stable").digest()


def test_the_reference_implementation_reads_the_manifest():
    read = reference.decode(manifest().encode())
    assert read["components"][0]["image"].digest[2:] == component().image.digest
    assert read["sequence"] == 7


@pytest.mark.parametrize("version", ["2.0.0~rc1+build:7", "V1", "2024-06-01", "v" * 64])
def test_a_version_may_look_as_those_of_debian_and_semver_do(version):
    assert decode_with("version", value=version).version == version


@pytest.mark.parametrize("path", [("sequence",), (*COMPONENT, "size"), (*DELTA, "size")])
def test_one_is_a_sequence_and_a_size(path):
    assert decode_with(*path, value=1)


def test_a_compatible_may_be_as_long_as_a_label():
    longest = "a,b" + "c" * 253
    assert decode_with("compatible", value=longest).compatible == longest
