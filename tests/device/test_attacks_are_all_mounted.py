"""Every attack of protocol.md §8 that is visible at the client has a test that mounts it and is named after it."""

import re
from pathlib import Path

import pytest

# The list of protocol.md §8, in its order: the attacks marked c, and the words that name one in a test.
ATTACKS = {
    "arbitrary software": "arbitrary_software",
    "rollback": "rollback",
    "indefinite freeze": "indefinite_freeze",
    "fast-forward": "fast_forward",
    "mix-and-match": "mix_and_match",
    "endless data": "endless_data",
    "slow retrieval": "slow_retrieval",
    "wrong hardware": "wrong_hardware",
    "wrong channel": "wrong_channel",
    "one key stolen": "one_stolen_firmware_key",
    "threshold - 1 keys stolen": "threshold_minus_one_stolen_keys",
    "re-signed revoked release": "revoked_release_signed_anew",
    "re-published old manifest": "republished_old_manifest",
    "partial bundle": "partial_bundle",
    "dropped requests": "dropped_requests",
    "malicious mirror": "malicious_mirror",
    "split view": "split_view",
    "withheld revocation": "withheld_revocation",
    "replayed bundle": "replayed_bundle",
    "old validators' keys": "old_validators_keys",
    "staging chain": "staging_chain",
    "swap between check and use": "swap_between_check_and_use",
    "wrong delta base": "wrong_delta_base",
    "duplicate signatures or keys": "signing_twice|duplicate_keyids|seal_repeated",
    "oversize or truncated signing": "oversize_signing|truncated_signing",
    "forged header": "forged_header",
}


def names() -> list[str]:
    sources = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    return re.findall(r"^def (test_\w+)", "\n".join(sources), re.MULTILINE)


@pytest.mark.parametrize("words", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_mounted(words):
    assert any(re.search(words, name) for name in names())
