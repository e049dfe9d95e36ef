"""Makes at most one machine per token."""

from __future__ import annotations

from tests.support.storm.storm_platform import StormPlatform


class KeyedConnector(StormPlatform):
    name = "keyed"
    submit_safety = "keyed"

    def machine_of(self, token: str) -> str:
        return f"m-{token}"
