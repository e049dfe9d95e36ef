"""What authors test connectors with: the wire (`ConnectorHarness`), and a platform that fails (`fake_platform`)."""

from connector_sdk.testing.harness import ConnectorHarness
from connector_sdk.testing.platform import FakePlatform, Rental, fake_platform

__all__ = ["ConnectorHarness", "FakePlatform", "Rental", "fake_platform"]
