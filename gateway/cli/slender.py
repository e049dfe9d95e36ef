"""Importing less."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(package: str) -> Iterator[None]:
    """Let what is imported meanwhile find that a package, which it can do without, is not installed."""
    if package in sys.modules:
        yield
        return
    # None is how Python notes that something cannot be imported.
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
