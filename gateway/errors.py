"""The gateway's error tree: every failure that a client may see has one reason, and one class.

The reasons are those of `peftstudio.job.v1.ErrorReason`; `gateway.api.status` maps each to its gRPC code.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Why a call failed; `docs/errors.md` says what to do about each."""

    INVALID_CONFIG = "INVALID_CONFIG"
    CREDENTIALS_REJECTED = "CREDENTIALS_REJECTED"
    FORBIDDEN = "FORBIDDEN"
    INSUFFICIENT_CREDITS = "INSUFFICIENT_CREDITS"
    RATE_LIMITED = "RATE_LIMITED"
    QUOTA = "QUOTA"
    NO_CAPACITY = "NO_CAPACITY"
    OVERLOADED = "OVERLOADED"
    NOT_FOUND = "NOT_FOUND"
    NOT_READY = "NOT_READY"
    WRONG_STATE = "WRONG_STATE"
    ARTIFACT_CHANGED = "ARTIFACT_CHANGED"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    CURSOR_EXPIRED = "CURSOR_EXPIRED"
    BAD_OFFSET = "BAD_OFFSET"
    UNSUPPORTED = "UNSUPPORTED"
    PLATFORM_UNAVAILABLE = "PLATFORM_UNAVAILABLE"
    CONNECTOR_DOWN = "CONNECTOR_DOWN"
    PLATFORM_TIMEOUT = "PLATFORM_TIMEOUT"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    BAD_UPSTREAM = "BAD_UPSTREAM"
    CONNECTOR_BUG = "CONNECTOR_BUG"
    GATEWAY_BUG = "GATEWAY_BUG"
    STORAGE_FULL = "STORAGE_FULL"
    NOT_CONNECTED = "NOT_CONNECTED"


TRANSIENT = frozenset(
    {
        Reason.RATE_LIMITED,
        Reason.OVERLOADED,
        Reason.PLATFORM_UNAVAILABLE,
        Reason.CONNECTOR_DOWN,
        Reason.PLATFORM_TIMEOUT,
        Reason.BAD_UPSTREAM,
        Reason.CONNECTOR_BUG,
    }
)
"""Reasons after which a read may be tried again."""

AMBIGUOUS = frozenset(
    {
        Reason.PLATFORM_UNAVAILABLE,
        Reason.CONNECTOR_DOWN,
        Reason.PLATFORM_TIMEOUT,
        Reason.BAD_UPSTREAM,
        Reason.CONNECTOR_BUG,
    }
)
"""Reasons after which nobody knows whether a submission arrived."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that cannot be used."""

    field: str
    """Path of the field within the request, e.g. `config.rank`."""
    description: str
    """What is wrong with it and what to do."""


class GatewayError(Exception):
    """Root of all failures that a client may see. The message says what happened and what to do next."""

    reason: Reason

    def __init__(
        self,
        message: str,
        *,
        reason: Reason | None = None,
        retry_after: timedelta | None = None,
        violations: Sequence[Violation] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})
        self.is_unsent = False
        """Whether it is certain that the platform was not called."""

    @property
    def is_transient(self) -> bool:
        """Whether the same read may succeed later."""
        return self.reason in TRANSIENT


class RemoteError(GatewayError):
    """Raised when a connector answered a call with an error; the reason is the connector's."""


class InvalidRequest(GatewayError):
    """Raised when fields of a request cannot be used; carries all of them at once."""

    reason = Reason.INVALID_CONFIG

    def __init__(self, violations: Sequence[Violation]) -> None:
        text = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        super().__init__(text, violations=violations)

    @classmethod
    def of(cls, field: str, description: str) -> InvalidRequest:
        """Make the error for a single field."""
        return cls([Violation(field, description)])


class CredentialsRejected(GatewayError):
    """Raised when a call's token or an account's credentials are not accepted."""

    reason = Reason.CREDENTIALS_REJECTED


class NotFound(GatewayError):
    """Raised when there is no such thing."""

    reason = Reason.NOT_FOUND
    hints: ClassVar[Mapping[str, str]] = {
        "job": "`peftstudio jobs list` shows the jobs",
        "connection": "`peftstudio connections list` shows the connections",
        "connector": "`peftstudio connectors list` shows the connectors",
        "artifact": "`peftstudio artifacts list JOB` shows the files of a job",
        "deployment": "`peftstudio deployments list` shows the deployments",
        "dataset": "upload it first",
        "ledger": "name the gateway's folder by --data-dir, or say --without-ledger where it is on a server",
        "orphan": "`peftstudio jobs orphans` shows those that there are",
    }

    def __init__(self, kind: str, name: str) -> None:
        hint = self.hints.get(kind)
        super().__init__(
            f"there is no {kind} {name!r}" + (f"; {hint}" if hint else ""),
            metadata={"resource_type": kind, "resource_name": name},
        )


class WrongState(GatewayError):
    """Raised when the thing is in a state that does not allow the call."""

    reason = Reason.WRONG_STATE


class NotReady(GatewayError):
    """Raised when what was asked for is not there yet."""

    reason = Reason.NOT_READY


class RequestIdReused(GatewayError):
    """Raised when a request id comes back with other content."""

    reason = Reason.REQUEST_ID_REUSED


class Unsupported(GatewayError):
    """Raised when the connector does not offer the call."""

    reason = Reason.UNSUPPORTED

    def __init__(self, connector_id: str, capability: str) -> None:
        super().__init__(f"connector {connector_id!r} does not offer {capability}", metadata={"capability": capability})


class ConnectorDown(GatewayError):
    """Raised when a connector's process does not answer."""

    reason = Reason.CONNECTOR_DOWN


class PlatformTimeout(GatewayError):
    """Raised when a deadline passed before the platform answered."""

    reason = Reason.PLATFORM_TIMEOUT


class BadOffset(GatewayError):
    """Raised when an offset lies outside the file."""

    reason = Reason.BAD_OFFSET


class ArtifactChanged(GatewayError):
    """Raised when a file's bytes changed since they were first looked at."""

    reason = Reason.ARTIFACT_CHANGED


class ChecksumMismatch(GatewayError):
    """Raised when the bytes that arrived are not the bytes that were sent."""

    reason = Reason.CHECKSUM_MISMATCH


class StorageFull(GatewayError):
    """Raised when the gateway's disk is full or not writable."""

    reason = Reason.STORAGE_FULL
    errnos: ClassVar[frozenset[int]] = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO})
    """System errors that mean this."""


class LedgerUnavailable(GatewayError):
    """Raised when the ledger's database cannot be used at present: its server is gone, or another program holds it."""

    reason = Reason.OVERLOADED
    is_in_doubt = False
    """Whether the connection was lost in the very commit, so that the change may have been made."""


class LedgerTaken(WrongState):
    """Raised when another gateway has the ledger, or had it while this one could not reach it."""
