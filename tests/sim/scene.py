"""One device before one repository: what most tests of the device's checks begin with."""

from typing import TYPE_CHECKING

import pytest

from device_verifier.errors import DeviceError, NotTrusted, SourceUnreachable
from device_verifier.inquiry import Consultation, consult
from ledger_protocol.report.reasons import Reason
from tests.sim.repository import Release, Repository
from tests.sim.sources import MemoryBlocks, MemoryLedger, Notebook

if TYPE_CHECKING:
    from device_verifier.sources import BlockSource, LedgerSource


class Scene:
    """A repository whose channel `stable` has one good release, and a device that trusts its factory root."""

    def __init__(self, **repository: object) -> None:
        self.repository = Repository(**repository)  # type: ignore[arg-type]
        self.release: Release = self.repository.build(10)
        self.repository.publish(self.release)
        self.repository.seal()
        self.memory = Notebook(self.repository.factory_root)
        self.ledger = MemoryLedger(self.repository)
        self.mirror = MemoryBlocks(self.repository.blocks)
        self.ledgers: list[LedgerSource] = [self.ledger]
        self.mirrors: list[BlockSource] = [self.mirror]

    def consult(self, **facts: object) -> Consultation:
        """Run V0 to V9 as the device does, with these facts changed."""
        device = self.repository.device(**facts)
        return consult(device, ledgers=self.ledgers, blocks=self.mirrors, memory=self.memory)

    def refusal(self, **facts: object) -> DeviceError:
        """Run V0 to V9, expect that it is refused as not trusted or unreachable, and return why."""
        with pytest.raises(DeviceError) as caught:
            self.consult(**facts)
        assert caught.value.hint
        assert caught.value.exit_code in {1, 3}
        return caught.value

    def reason(self, **facts: object) -> Reason:
        """Return the reason of the decision, or of the refusal."""
        try:
            return self.consult(**facts).decision.reason
        except (NotTrusted, SourceUnreachable) as error:
            return error.reason

    def installs(self, release: Release, **facts: object) -> bool:
        """Say whether the device goes on to install exactly this release."""
        answer = self.consult(**facts)
        return (
            answer.release is not None and answer.decision.target == answer.release.release_id == release.id
        )
