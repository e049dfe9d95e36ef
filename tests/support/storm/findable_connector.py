"""Makes a machine with every call, and can be asked for the one of a token."""

from __future__ import annotations

from tests.support.storm.storm_platform import StormPlatform


class FindableConnector(StormPlatform):
    name = "findable"

    async def find_job(self, submission_token: str) -> str | None:
        found = (machine for machine in self.machines.iterdir() if self.spec(machine)["token"] == submission_token)
        return next((machine.name for machine in found), None)
