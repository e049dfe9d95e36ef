"""Which points of a job's metrics have been seen: every stream of metrics begins with all that there are."""

from __future__ import annotations

from peftstudio.gateway.v1.jobs_service_pb2 import StreamMetricsResponse
from peftstudio.job.v1.metric_pb2 import Metric


class MetricCursor:
    """Takes from a reopened stream what an earlier stream has already given."""

    def __init__(self) -> None:
        self._last_step: dict[tuple[str, int], int] = {}
        self._known: dict[tuple[str, int], int] = {}

    def reopened(self) -> None:
        """Note that the next message is the first of a stream, which begins again with all points that there are."""
        self._known = dict(self._last_step)

    def accept(self, response: StreamMetricsResponse) -> StreamMetricsResponse:
        """Return the message without the points that are known."""
        if self._known:
            fresh = [point for point in response.metrics if point.step > self._step_known(point)]
            response = StreamMetricsResponse(
                metrics=fresh,
                progress=response.progress if response.HasField("progress") else None,
                final_state=response.final_state,
            )

        for point in response.metrics:
            key = (point.name, point.attempt)
            self._last_step[key] = max(point.step, self._last_step.get(key, -1))

        return response

    def _step_known(self, point: Metric) -> int:
        return self._known.get((point.name, point.attempt), -1)
