"""Blame the platform, not the user, for values that do not fit the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connector_sdk.errors import BadUpstreamError


@contextmanager
def outbound(noun: str) -> Iterator[None]:
    """Turn what goes wrong while an answer is written into `BadUpstreamError`."""
    try:
        yield
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise BadUpstreamError(f"The connector gave a {noun} that cannot be sent: {error}") from error
