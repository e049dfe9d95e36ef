"""The fake platform, of whose logs only the end can be had, and what comes while it is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar, Literal

from tests.support.rental.guide_rental_connector import GuideRentalConnector


class TailRentalConnector(GuideRentalConnector):
    name = "tail-rental"
    log_source: ClassVar[Literal["replay", "tail_only"] | None] = "tail_only"

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        async with self.session.get(f"/v1/jobs/{job_id}/log/tail") as answer:
            async for line in answer.content:
                yield line.decode()
