# pragma version 0.4.3
# pragma evm-version paris

event Stored:
    key: indexed(uint256)
    word: uint256

interface Nest:
    def store(key: uint256, word: uint256): nonpayable
    def fail(): nonpayable
    def look() -> uint256: view

values: public(HashMap[uint256, uint256])
total: public(uint256)

@external
@payable
def store(key: uint256, word: uint256):
    assert word != 13, "nest: unlucky"
    self.total += word - self.values[key]
    self.values[key] = word
    log Stored(key=key, word=word)

@external
def fail():
    log Stored(key=0, word=0)
    assert False, "nest: failed"

@external
@view
def look() -> uint256:
    return self.total

@external
def calls(key: uint256, word: uint256):
    extcall Nest(self).store(key, word)
    seen: uint256 = staticcall Nest(self).look()
    caught: bool = raw_call(self, method_id("fail()"), revert_on_failure=False)
    raw_call(0x00000000000000000000000000000000000000cc, b"")
    twin: address = create_copy_of(self)
    proxy: address = create_minimal_proxy_to(self)
    raw_call(proxy, abi_encode(key, word, method_id=method_id("store(uint256,uint256)")))
    extcall Nest(twin).store(key, word)
    extcall Nest(self).store(key, 0)

@external
@payable
def give(to: address):
    send(to, msg.value)
