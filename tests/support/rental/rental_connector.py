"""The fake platform, asked by tag whether a submission arrived; logs by cursor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from connector_sdk.models import LogRecord
from tests.support.rental.rental import LOG_SECONDS, Rental


class RentalConnector(Rental):
    name = "rental"

    async def find_job(self, submission_token: str) -> str | None:
        async with self.session.get("/v1/jobs", params={"tag": submission_token}) as answer:
            jobs = (await answer.json())["jobs"]
        return str(jobs[0]["id"]) if jobs else None

    async def stream_logs_from(self, job_id: str, cursor: str) -> AsyncIterator[LogRecord]:
        behind = int(cursor or 0)
        while True:
            async with self.session.get(f"/v1/jobs/{job_id}/log", params={"after": behind}) as answer:
                page = await answer.json()
            for line in page["lines"]:
                if line["number"] <= behind:
                    continue
                if line["number"] > behind + 1:
                    # The platform left lines out; they are there the next time.
                    break
                behind = line["number"]
                yield LogRecord(text=line["text"], cursor=str(behind))
            else:
                if page["ended"]:
                    return
            await asyncio.sleep(LOG_SECONDS)
