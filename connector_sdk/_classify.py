"""Say which `ConnectorError` an exception of an author's code stands for."""

from __future__ import annotations

import errno
import logging
import secrets
import socket
import ssl
from collections.abc import Callable
from json import JSONDecodeError

from pydantic import ValidationError

from connector_sdk._rate_limits import rate_limit_pause
from connector_sdk._violations import violations_of
from connector_sdk.errors import (
    BadUpstreamError,
    ConnectorBugError,
    ConnectorError,
    CredentialsRejectedError,
    ForbiddenError,
    InsufficientCreditsError,
    InvalidConfigError,
    NotFoundError,
    PlatformTimeoutError,
    PlatformUnavailableError,
    RateLimitError,
    StorageFullError,
    UnsupportedError,
    WrongStateError,
)

logger = logging.getLogger(__name__)

ANSWER_MODELS = ("Resource", "PricingInfo", "JobObservation", "LogRecord", "MetricPoint", "ArtifactInfo", "ModelInfo")
"""Models that are made from the platform's answers: what does not fit into them is not the user's mistake."""

WRAPPERS = ("RuntimeError", "Exception", "RetryError")
"""Names of exceptions that say nothing themselves; what they were raised from may (RetryError is tenacity's)."""

UNREACHED = (ConnectionRefusedError, socket.gaierror)
"""Errors that come before anything could be sent; of aiohttp's, those are its ClientConnectorErrors."""

LONGEST_CHAIN = 8
ERROR_ID_BYTES = 4
OUT_OF_MEMORY = "The connector ran out of memory; if it needs so much, raise its limit."


def error_for_status(status: int, message: str, retry_after: float | None = None) -> ConnectorError:
    """Give the error that an HTTP status of a platform stands for."""
    if status in (400, 422):
        return InvalidConfigError(message)
    by_status: dict[int, type[ConnectorError]] = {
        401: CredentialsRejectedError,
        402: InsufficientCreditsError,
        403: ForbiddenError,
        408: PlatformTimeoutError,
        429: RateLimitError,
    }
    if status in (404, 410):
        return NotFoundError(message)
    if status in (409, 412, 423):
        return WrongStateError(message)
    if status >= 500:
        return PlatformUnavailableError(message, retry_after)
    if status in by_status or not 400 <= status < 500:
        return by_status.get(status, BadUpstreamError)(message, retry_after)
    # As RFC 9110 has it, one that is not known means what 400 means: the platform refused, and did nothing.
    return InvalidConfigError(message)


def classify(error: BaseException) -> ConnectorError:
    """Give the error that `error`, or what it was raised from, stands for."""
    for link in _chain(error):
        for translate in (_own, _from_http, _from_value, _from_system):
            found = translate(link)
            if found is not None:
                found = _unreached(found.message) if _hides_unreached(link) else found
                return _traced(found, error) if isinstance(found, BadUpstreamError) else found
    return _bug(error)


def _chain(error: BaseException) -> list[BaseException]:
    links = [error]
    while len(links) < LONGEST_CHAIN:
        last = links[-1]
        if isinstance(last, BaseExceptionGroup):
            links.append(last.exceptions[0])
            continue
        below = last.__cause__ or last.__context__
        if type(last).__name__ not in WRAPPERS or below is None:
            break
        links.append(below)
    return links


def _own(error: BaseException) -> ConnectorError | None:
    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, NotImplementedError):
        words = str(error)
        return UnsupportedError(words) if words.isidentifier() or not words else UnsupportedError(message=words)
    return None


def _from_http(error: BaseException) -> ConnectorError | None:
    """Recognise aiohttp's errors by name, so that who does not use it need not import it."""
    if not any(
        base.__name__ == "ClientError" and base.__module__.startswith("aiohttp") for base in type(error).__mro__
    ):
        return None
    status = getattr(error, "status", None)
    if isinstance(error, TimeoutError):
        return PlatformTimeoutError(str(error))
    # Of an error page that cannot be read, the status says more than that it cannot be read.
    if isinstance(status, int) and status >= 400:
        pause = rate_limit_pause(getattr(error, "headers", None) or {}, status=status)
        return error_for_status(status, str(error), pause)
    if type(error).__name__ in ("ContentTypeError", "ClientPayloadError"):
        return BadUpstreamError(str(error))
    return _unreached(str(error)) if _is_unreached(error) else PlatformUnavailableError(str(error))


def _from_value(error: BaseException) -> ConnectorError | None:
    if isinstance(error, JSONDecodeError | UnicodeDecodeError):
        return BadUpstreamError(f"The platform's answer cannot be read: {error}")
    if isinstance(error, ValidationError) and error.title in ANSWER_MODELS:
        return BadUpstreamError(f"The platform's answer does not make a {error.title}: {error.errors()[0]['msg']}")
    return InvalidConfigError(violations_of(error), str(error)) if isinstance(error, ValueError) else None


def _from_system(error: BaseException) -> ConnectorError | None:
    unavailable = (ConnectionError, ssl.SSLError)
    table: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Callable[[str], ConnectorError]], ...] = (
        (TimeoutError, PlatformTimeoutError),
        (UNREACHED, _unreached),
        (unavailable, PlatformUnavailableError),
        (FileNotFoundError, NotFoundError),
    )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError("The disk of the machine that the connector runs on is full.")
    return next((make(str(error)) for kind, make in table if isinstance(error, kind)), None)


def _unreached(words: str) -> ConnectorError:
    """Say that no connection was made, so that the platform did nothing: a submission is then safely sent again."""
    return PlatformUnavailableError(words, metadata={"unsent": "true"})


def _is_unreached(error: BaseException) -> bool:
    return isinstance(error, UNREACHED) or any(base.__name__ == "ClientConnectorError" for base in type(error).__mro__)


def _hides_unreached(error: BaseException) -> bool:
    """Whether it is a plain ConnectionError, as the guide has authors raise, in place of one that says more."""
    below = error.__cause__ or error.__context__
    return type(error) is ConnectionError and below is not None and _is_unreached(below)


def _traced(found: BadUpstreamError, error: BaseException) -> ConnectorError:
    """Log an answer that nobody understands under an id, and give a caller the id."""
    error_id = found.metadata.setdefault("error_id", secrets.token_hex(ERROR_ID_BYTES))
    logger.warning("answer not understood error_id=%s", error_id, exc_info=error)
    return found


def _bug(error: BaseException) -> ConnectorError:
    """Log what nobody foresaw under an id, and give a caller the id."""
    error_id = secrets.token_hex(ERROR_ID_BYTES)
    logger.error("call failed error_id=%s", error_id, exc_info=error)
    # A RuntimeError is how the guide's connectors speak to people; any other text was not written for them.
    words = (
        str(error) if type(error) is RuntimeError and str(error) else f"The connector failed ({type(error).__name__})."
    )
    return ConnectorBugError(OUT_OF_MEMORY if any(map(_is_want_of_memory, _chain(error))) else words, error_id)


def _is_want_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
