"""The laboratory, as a platform that does not know a token again but can be searched for it."""

from __future__ import annotations

from tests.support.plugins.lab_connector import LabConnector


class FindableLabConnector(LabConnector):
    """Finds jobs by their tokens."""

    name = "findable-lab"
    submit_safety = "findable"

    async def find_job(self, submission_token: str) -> str | None:
        return submission_token if (self.jobs / submission_token / "spec.json").exists() else None
