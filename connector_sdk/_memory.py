"""Limit the memory that the process may have."""

from __future__ import annotations

import logging
import resource
import sys

logger = logging.getLogger(__name__)


def limit_memory(limit_bytes: int) -> None:
    """Let allocations beyond the limit fail; 0 = no limit.

    The limit is on address space. It is a soft one, so that a child which needs more can lift it.
    """
    if not limit_bytes:
        return
    if not sys.platform.startswith("linux"):
        logger.info("memory is not limited on this system limit_bytes=%d", limit_bytes)
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
