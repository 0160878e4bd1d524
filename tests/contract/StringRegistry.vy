# pragma version 0.4.3
# pragma evm-version paris
# pragma optimize gas
"""
@title StringRegistry
@license Apache-2.0
@notice What open firmware contracts do, as a baseline for our gas: releases as structs of strings in an array, the newest
        kept by device model, one owner. Not part of the project's contracts.
"""

struct Firmware:
    version: String[32]
    cid: String[64]
    hash: String[66]
    publisher: address
    published_at: uint256
    active: bool

event FirmwarePublished:
    model: indexed(bytes32)
    version: String[32]
    cid: String[64]
    hash: String[66]

owner: address
releases: HashMap[bytes32, DynArray[Firmware, 1024]]
newest: public(HashMap[bytes32, uint256])


@deploy
def __init__():
    self.owner = msg.sender


@external
def publish(model: bytes32, version: String[32], cid: String[64], hash: String[66]):
    assert msg.sender == self.owner, "not the owner"
    self.newest[model] = len(self.releases[model])
    self.releases[model].append(
        Firmware(
            version=version,
            cid=cid,
            hash=hash,
            publisher=msg.sender,
            published_at=block.timestamp,
            active=True,
        )
    )
    log FirmwarePublished(model=model, version=version, cid=cid, hash=hash)
