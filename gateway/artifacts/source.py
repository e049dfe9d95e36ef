"""Where the bytes of a job's file come from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Protocol

from gateway.artifacts.model import Artifact, Piece
from gateway.errors import GatewayError, PlatformTimeout, Reason

PIECE_SECONDS = 60.0
"""How long the next piece may take: object stores stall, but a minute without a byte is a cut that nobody noticed."""


class Source(Protocol):
    """One file on a platform."""

    async def refresh(self) -> Artifact:
        """Ask the platform what it says of the file now."""
        ...

    def read(self, artifact: Artifact, offset: int) -> AsyncIterator[Piece]:
        """Read the file from an offset to its end."""
        ...


async def pieces_in_time(stream: AsyncIterator[Piece]) -> AsyncGenerator[Piece, None]:
    """Yield what a stream gives, and close the stream at the end.

    Raises:
        PlatformTimeout: The next piece took longer than `PIECE_SECONDS`.
    """
    async with aclosing(closable(stream)) as pieces:
        while True:
            try:
                async with asyncio.timeout(PIECE_SECONDS):
                    piece = await anext(pieces, None)
            except TimeoutError as error:
                raise PlatformTimeout(f"the platform sent nothing for {PIECE_SECONDS:g} s") from error
            if piece is None:
                return
            yield piece


def part_beyond(piece: Piece, offset: int) -> bytes:
    """Return the bytes of a piece from an offset on, as a platform may begin earlier than it was asked to.

    Raises:
        GatewayError: The piece begins behind the offset (BAD_UPSTREAM).
    """
    if piece.offset > offset:
        raise GatewayError(
            f"the platform left out bytes {offset} to {piece.offset} of the file", reason=Reason.BAD_UPSTREAM
        )
    return piece.data[offset - piece.offset :]


def closable(stream: AsyncIterator[Piece]) -> AsyncGenerator[Piece, None]:
    """Return the stream as one that can be closed."""
    return stream if isinstance(stream, AsyncGenerator) else _generate(stream)


async def _generate(stream: AsyncIterator[Piece]) -> AsyncGenerator[Piece, None]:
    async for piece in stream:
        yield piece
