# pragma version 0.4.3
"""
@title devices
@license Apache-2.0
@notice One word a device. Fields, lowest bits first: sequence u32 of its last event, flags u8 (1 enrolled, 2 retired,
        4 open vote), group u24, counted u32 (publication last voted on), head of its event chain in the top 160 bits.
"""

from contracts.modules import refuse

ENROLLED: constant(uint256) = 2**32
RETIRED: constant(uint256) = 2**33
OPEN: constant(uint256) = 2**34
GROUP_AT: constant(uint256) = 40
COUNTED_AT: constant(uint256) = 64
U24: constant(uint256) = 2**24 - 1
U32: constant(uint256) = 2**32 - 1
# The part of a digest that a device's word keeps, and that its next event must carry as `previous`.
HEAD: constant(uint256) = max_value(uint256) - (2**96 - 1)
_ENROLLER: constant(uint256) = 8

struct Enrolment:
    device: address
    group: uint24
    commitment: bytes32

interface Ledger:
    def journal() -> address: view
    def role(account: address) -> uint256: view

event Enrolled:
    device: indexed(address)
    group: uint256
    commitment: bytes32

event Placed:
    device: indexed(address)
    group: uint256
    retired: bool

# A device's packed word; 0 = not enrolled.
device: public(HashMap[address, uint256])
# The FirmwareLedger of this pair.
ledger: public(immutable(address))


@deploy
def __init__(ledger_: address):
    """
    @notice Names the ledger of the pair.
    @param ledger_ The deployed ledger.
    """
    if ledger_ == empty(address):
        refuse._no("fwledger: zero address")
    if staticcall Ledger(ledger_).journal() != self:
        refuse._no("fwledger: ledger names another journal")
    ledger = ledger_


@external
def enrol(device: address, group: uint24, commitment: bytes32):
    """
    @notice Adds a device never seen before. The caller must be an enroller of the ledger.
    @param device The device's address, from its own key.
    @param group Its group.
    @param commitment SHA-256 of salt and serial number, which its owner can open to an auditor.
    """
    self._enroller()
    self._enrol(device, convert(group, uint256), commitment)


@external
def enrol_many(enrolments: DynArray[Enrolment, 128]):
    """
    @notice Adds up to 128 devices never seen before, all or none. The caller must be an enroller of the ledger.
    @param enrolments Device, group and commitment of each.
    """
    if len(enrolments) == 0:
        refuse._no("fwledger: empty list")
    self._enroller()
    for enrolment: Enrolment in enrolments:
        self._enrol(enrolment.device, convert(enrolment.group, uint256), enrolment.commitment)


@external
def place(devices: DynArray[address, 64], group: uint256, retired: bool):
    """
    @notice Moves enrolled devices to a group, retired or not. Only the ledger may, after publishers' approvals.
    @param devices The devices.
    @param group Their group.
    @param retired Whether their events are refused from now on.
    """
    if msg.sender != ledger:
        refuse._no("fwledger: caller is not the ledger")
    placed: uint256 = group << GROUP_AT
    if retired:
        placed |= RETIRED
    for member: address in devices:
        word: uint256 = self.device[member]
        if word == 0:
            refuse._no("fwledger: device is not enrolled")
        self.device[member] = word & ~(RETIRED | U24 << GROUP_AT) | placed
        log Placed(device=member, group=group, retired=retired)


@internal
@view
def _enroller():
    if staticcall Ledger(ledger).role(msg.sender) & _ENROLLER == 0:
        refuse._no("fwledger: caller is no enroller")


@internal
def _enrol(member: address, group: uint256, commitment: bytes32):
    if member == empty(address):
        refuse._no("fwledger: zero address")
    if self.device[member] != 0:
        refuse._no("fwledger: device is enrolled already")
    self.device[member] = ENROLLED | group << GROUP_AT
    log Enrolled(device=member, group=group, commitment=commitment)


@internal
@view
def _followed(signer: address, sequence: uint256, previous: uint256) -> uint256:
    """
    @notice The word of the device that signed an event: an enrolled one, not retired, whose next event this is (a
            sequence above the last and, right after it, the chain's head as `previous`).
    """
    word: uint256 = self.device[signer]
    if word & ENROLLED == 0:
        refuse._no("fwledger: device is not enrolled")
    if word & RETIRED != 0:
        refuse._no("fwledger: device is retired")
    last: uint256 = word & U32
    if sequence <= last:
        refuse._no("fwledger: event is recorded already")
    if sequence == unsafe_add(last, 1):
        if previous != word & HEAD:
            refuse._no("fwledger: previous event differs")
    elif previous & ~HEAD != 0:
        # After a gap nobody knows the event before, but a link's low bits are always zero.
        refuse._no("fwledger: previous event differs")
    return word
