"""Makes a machine with every call, and cannot be asked for it."""

from __future__ import annotations

from tests.support.storm.storm_platform import StormPlatform


class CarelessConnector(StormPlatform):
    name = "careless"
