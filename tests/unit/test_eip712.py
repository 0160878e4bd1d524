import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data

from ledger_protocol import eip712
from ledger_protocol.errors import MalformedError
from ledger_protocol.keccak import keccak256

JOURNAL = bytes(range(20))


def reference_digest(chain_id: int, contract: bytes, types: dict, primary: str, message: dict) -> bytes:
    """What wallets sign, by eth_account."""
    domain = {
        "name": "fwledger",
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": "0x" + contract.hex(),
    }
    domain_types = [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ]
    full = {"types": {"EIP712Domain": domain_types, **types}, "primaryType": primary}
    return _hash_eip191_message(
        encode_typed_data(full_message={**full, "domain": domain, "message": message})
    )


@pytest.mark.parametrize("chain_id", [1, 1337, 2**63])
def test_a_struct_hashes_as_wallets_hash_it(chain_id):
    types = {
        "Act": [
            {"name": "release", "type": "bytes32"},
            {"name": "who", "type": "address"},
            {"name": "on", "type": "bool"},
        ]
    }
    message = {"release": b"r" * 32, "who": "0x" + (b"w" * 20).hex(), "on": True}
    words = (b"r" * 32, eip712.address_word(b"w" * 20), eip712.uint_word(1))
    ours = eip712.digest(
        eip712.domain_separator(chain_id, JOURNAL),
        eip712.struct_hash("Act(bytes32 release,address who,bool on)", words),
    )
    assert ours == reference_digest(chain_id, JOURNAL, types, "Act", message)


def test_another_chain_or_contract_is_another_domain():
    domains = {eip712.domain_separator(chain, who) for chain in (1, 2) for who in (JOURNAL, bytes(20))}
    assert len(domains) == 4


def test_the_digest_has_the_prefix_of_the_standard():
    assert eip712.digest(b"d" * 32, b"s" * 32) == keccak256(b"\x19\x01" + b"d" * 32 + b"s" * 32)


@pytest.mark.parametrize(
    "call",
    [
        lambda: eip712.uint_word(-1),
        lambda: eip712.uint_word(2**256),
        lambda: eip712.address_word(bytes(32)),
        lambda: eip712.bytes32_word(bytes(31)),
        lambda: eip712.struct_hash("A(bytes32 b)", (b"short",)),
        lambda: eip712.domain_separator(1, b"short"),
    ],
)
def test_a_member_that_does_not_fit_is_refused(call):
    with pytest.raises(MalformedError):
        call()
