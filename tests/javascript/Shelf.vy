# pragma version 0.4.3
# pragma evm-version paris

event Stored:
    key: indexed(uint256)
    by: indexed(address)
    word: uint256

values: public(HashMap[uint256, uint256])
total: public(uint256)

@external
@payable
def store(key: uint256, word: uint256) -> uint256:
    if word == 13:
        raw_revert(abi_encode(word, msg.sender, method_id=method_id("Unlucky(uint256,address)")))
    self.total += word
    self.values[key] = word
    log Stored(key=key, by=msg.sender, word=word)
    return self.total

@external
def refuse():
    assert False, "shelf: refused"

@external
def divide(by: uint256) -> uint256:
    assert by != 0
    return 100 // by
