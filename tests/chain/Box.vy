# pragma version 0.4.3
# pragma evm-version paris

event Stored:
    key: indexed(uint256)
    by: indexed(address)
    word: uint256

values: public(HashMap[uint256, uint256])
total: public(uint256)
scratch: HashMap[uint256, uint256]

@external
@payable
def store(key: uint256, word: uint256):
    assert word != 13, "box: unlucky"
    self.total += word - self.values[key]
    self.values[key] = word
    log Stored(key=key, by=msg.sender, word=word)

@external
def spend(rounds: uint256):
    for i: uint256 in range(rounds, bound=100000):
        self.scratch[i] = i + 1

@external
def forget(rounds: uint256):
    for i: uint256 in range(rounds, bound=100000):
        self.scratch[i] = 0

@external
def fail_silently():
    raise

@view
@external
def facts() -> (uint256, uint256, bytes32, address, uint256):
    return (block.number, block.timestamp, blockhash(block.number - 1), block.coinbase, chain.id)
