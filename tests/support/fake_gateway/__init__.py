"""A gateway with real services over real gRPC, all state in memory, and switches for everything that can go wrong."""

from tests.support.fake_gateway.server import FakeGateway
from tests.support.fake_gateway.state import FakeState, Faults, StoredFile
from tests.support.fake_gateway.thread import running_fake_gateway

__all__ = ["FakeGateway", "FakeState", "Faults", "StoredFile", "running_fake_gateway"]
