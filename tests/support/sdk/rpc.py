"""Short words for calling a connector and reading its errors."""

from collections.abc import AsyncIterable, Awaitable
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import training_config_pb2

T = TypeVar("T", bound=Message)

SECONDS = 10.0  # no call of a test takes longer


def config(**fields: object) -> training_config_pb2.TrainingConfig:
    """Make a configuration that has what is required."""
    given: dict[str, object] = {"base_model": "m", "dataset_path": "d", **fields}
    return training_config_pb2.TrainingConfig(**given)  # type: ignore[arg-type]


def submission(connection_id: str = "c1", **fields: object) -> pb.SubmitJobRequest:
    """Make a submission of that configuration."""
    return pb.SubmitJobRequest(
        connection_id=connection_id, job_id="j", submission_token="token-1", config=config(**fields)
    )


class Failure:
    """What the client sees of a failed call."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        self.message = error.details() or ""
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
        assert status is not None, error
        self.details_bytes = status.ByteSize()
        self._details = list(status.details)
        self.info = self.get(error_details_pb2.ErrorInfo)
        self.reason = self.info.reason

    def get(self, kind: type[T]) -> T:
        """Give the detail of a kind."""
        message = kind()
        found = next(detail for detail in self._details if detail.Is(kind.DESCRIPTOR))
        assert found.Unpack(message)
        return message


async def failure(call: Awaitable[object] | AsyncIterable[object]) -> Failure:
    """Await a call, or read a stream, that must fail."""
    try:
        if isinstance(call, AsyncIterable):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return Failure(error)
    raise AssertionError("the call did not fail")
