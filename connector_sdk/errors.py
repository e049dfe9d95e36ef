"""The errors an author raises, one class per reason, and the one table that gives each reason its gRPC code.

An author may as well raise the builtins named in `connector_sdk._classify`; this tree is for saying more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from connector_sdk.models import FieldViolation

DOMAIN = "peftstudio"

CODE_OF_REASON: Mapping[str, str] = MappingProxyType(
    {
        "INVALID_CONFIG": "INVALID_ARGUMENT",
        "CREDENTIALS_REJECTED": "UNAUTHENTICATED",
        "FORBIDDEN": "PERMISSION_DENIED",
        "INSUFFICIENT_CREDITS": "FAILED_PRECONDITION",
        "RATE_LIMITED": "RESOURCE_EXHAUSTED",
        "QUOTA": "RESOURCE_EXHAUSTED",
        "NO_CAPACITY": "RESOURCE_EXHAUSTED",
        "NOT_FOUND": "NOT_FOUND",
        "NOT_READY": "FAILED_PRECONDITION",
        "WRONG_STATE": "FAILED_PRECONDITION",
        "ARTIFACT_CHANGED": "FAILED_PRECONDITION",
        "CURSOR_EXPIRED": "OUT_OF_RANGE",
        "BAD_OFFSET": "OUT_OF_RANGE",
        "UNSUPPORTED": "UNIMPLEMENTED",
        "PLATFORM_UNAVAILABLE": "UNAVAILABLE",
        "PLATFORM_TIMEOUT": "DEADLINE_EXCEEDED",
        "CHECKSUM_MISMATCH": "DATA_LOSS",
        "BAD_UPSTREAM": "INTERNAL",
        "CONNECTOR_BUG": "INTERNAL",
        "STORAGE_FULL": "RESOURCE_EXHAUSTED",
        "NOT_CONNECTED": "FAILED_PRECONDITION",
    }
)
"""The name of the gRPC code that each reason a connector can give travels under."""


class ConnectorError(Exception):
    """Report why a call failed, in words for people and a reason for programs."""

    reason: ClassVar[str] = "CONNECTOR_BUG"
    """A `peftstudio.job.v1.ErrorReason` without its prefix."""
    default_message: ClassVar[str] = "The connector failed."
    default_retry_seconds: ClassVar[float | None] = None

    def __init__(
        self,
        message: str = "",
        retry_after: float | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the message; `retry_after` is in seconds, `metadata` goes into `google.rpc.ErrorInfo`."""
        super().__init__(message or self.default_message)
        self.retry_after = self.default_retry_seconds if retry_after is None else retry_after
        self.metadata = dict(metadata or {})

    @property
    def message(self) -> str:
        """What happened, in words."""
        return str(self.args[0])

    @property
    def code_name(self) -> str:
        """The name of the gRPC code that the error travels under."""
        return CODE_OF_REASON[self.reason]


class InvalidConfigError(ConnectorError):
    """Name every field that cannot be used, all at once."""

    reason = "INVALID_CONFIG"
    default_message = "The configuration cannot be used."

    def __init__(self, violations: Sequence[FieldViolation] | str = (), message: str = "") -> None:
        """Take the violations, or one sentence about the configuration as a whole."""
        listed = (FieldViolation(field="", description=violations),) if isinstance(violations, str) else violations
        self.violations = tuple(listed)
        super().__init__(message or "; ".join(_sentence(violation) for violation in self.violations))


class CredentialsRejectedError(ConnectorError):
    """Report that the platform does not accept the credentials."""

    reason = "CREDENTIALS_REJECTED"
    default_message = "The platform did not accept the credentials."


class ForbiddenError(ConnectorError):
    """Report that the account may not do this."""

    reason = "FORBIDDEN"
    default_message = "The account is not allowed to do this."


class InsufficientCreditsError(ConnectorError):
    """Report that the account has too little money."""

    reason = "INSUFFICIENT_CREDITS"
    default_message = "The account has too little credit."


class RateLimitError(ConnectorError):
    """Report that the platform wants fewer calls; `retry_after` says when to come back."""

    reason = "RATE_LIMITED"
    default_message = "The platform wants fewer calls."
    default_retry_seconds = 5.0


class QuotaError(ConnectorError):
    """Report that a quota of the account is used up."""

    reason = "QUOTA"
    default_message = "A quota of the account is used up."


class NoCapacityError(ConnectorError):
    """Report that the platform has no such machine free."""

    reason = "NO_CAPACITY"
    default_message = "The platform has no such machine free."


class NotFoundError(ConnectorError):
    """Report that the platform does not know a thing, and which."""

    reason = "NOT_FOUND"
    default_message = "There is no such thing."

    def __init__(self, message: str = "", *, kind: str = "", name: str = "") -> None:
        """Keep what was looked for: its `kind` (job, artifact, resource, model) and its `name`."""
        super().__init__(message or (f"There is no {kind} {name}." if kind else ""))
        self.kind = kind
        self.name = name


class NotReadyError(ConnectorError):
    """Report that a thing is not there yet."""

    reason = "NOT_READY"
    default_message = "It is not there yet."


class WrongStateError(ConnectorError):
    """Report that a thing is in a state that does not allow this."""

    reason = "WRONG_STATE"
    default_message = "Its state does not allow this."


class ArtifactChangedError(ConnectorError):
    """Report that the bytes changed since they were first looked at."""

    reason = "ARTIFACT_CHANGED"
    default_message = "The artifact has changed; list the artifacts again."


class CursorExpiredError(ConnectorError):
    """Report that the log no longer reaches back that far."""

    reason = "CURSOR_EXPIRED"
    default_message = "The log no longer reaches back that far."


class BadOffsetError(ConnectorError):
    """Report that an offset lies outside the file."""

    reason = "BAD_OFFSET"
    default_message = "The offset lies outside the file."


class UnsupportedError(ConnectorError):
    """Report that the connector does not offer a capability."""

    reason = "UNSUPPORTED"

    def __init__(self, capability: str = "", message: str = "") -> None:
        """Keep the name of the capability, as `Describe` would list it."""
        super().__init__(
            message or f"This connector does not offer {capability or 'this'}.",
            metadata={"capability": capability} if capability else None,
        )


class PlatformUnavailableError(ConnectorError):
    """Report that the platform does not answer, or answers that it is broken."""

    reason = "PLATFORM_UNAVAILABLE"
    default_message = "The platform does not answer."
    default_retry_seconds = 1.0


class PlatformTimeoutError(ConnectorError):
    """Report that the platform took too long."""

    reason = "PLATFORM_TIMEOUT"
    default_message = "The platform took too long."


class ChecksumMismatchError(ConnectorError):
    """Report that the bytes that arrived are not those that were sent."""

    reason = "CHECKSUM_MISMATCH"
    default_message = "The bytes that arrived are not the bytes that were sent."


class BadUpstreamError(ConnectorError):
    """Report that the platform's answer cannot be understood."""

    reason = "BAD_UPSTREAM"
    default_message = "The platform's answer cannot be understood."


class StorageFullError(ConnectorError):
    """Report that the disk of the machine the connector runs on is full."""

    reason = "STORAGE_FULL"
    default_message = "The disk is full."


class NotConnectedError(ConnectorError):
    """Report that the connection is not open in this process."""

    reason = "NOT_CONNECTED"
    default_message = "The connection is not open in this process; call Connect first."


class ConnectorBugError(ConnectorError):
    """Report a failure that nobody foresaw; the log has the details under `error_id`."""

    reason = "CONNECTOR_BUG"

    def __init__(self, message: str, error_id: str) -> None:
        """Keep the id under which the log has the traceback."""
        super().__init__(f"{message} (error id {error_id})", metadata={"error_id": error_id})
        self.error_id = error_id


def _sentence(violation: FieldViolation) -> str:
    return f"{violation.field}: {violation.description}" if violation.field else violation.description
