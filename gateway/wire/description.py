"""What a connector says of itself."""

from __future__ import annotations

from gateway.plugins.model import Description, LogSource, SubmitSafety
from gateway.wire.enums import EnumPair
from gateway.wire.struct import json_from_struct
from gateway.wire.time import duration_from_proto
from peftstudio.connector.v1 import connector_service_pb2 as pb

_LOG_SOURCES = EnumPair(LogSource, pb.LogSource, "LOG_SOURCE_")
_SUBMIT_SAFETIES = EnumPair(SubmitSafety, pb.SubmitSafety, "SUBMIT_SAFETY_")


def description_from_proto(message: pb.DescribeResponse) -> Description:
    """Convert a connector's description.

    Raises:
        ValueError: A schema is not JSON.

    """
    return Description(
        name=message.name,
        display_name=message.display_name,
        description=message.description,
        version=message.version,
        sdk=message.sdk,
        features=tuple(message.features),
        capabilities=frozenset(message.capabilities),
        credentials_schema=json_from_struct(message.credentials_schema),
        options_schema=json_from_struct(message.options_schema),
        algorithms=tuple(message.algorithms),
        log_source=_LOG_SOURCES.from_proto(message.log_source) or LogSource.REPLAY,
        submit_safety=_SUBMIT_SAFETIES.from_proto(message.submit_safety) or SubmitSafety.NONE,
        requests_per_minute=max(0, message.rate_limits.requests_per_minute),
        concurrent_jobs=max(0, message.rate_limits.concurrent_jobs),
        documentation_url=message.documentation_url,
        min_poll_interval=duration_from_proto(message.min_poll_interval),
    )
