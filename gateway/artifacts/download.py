"""A file on its way to a client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from gateway.artifacts.listing import shown
from gateway.artifacts.model import Artifact, Piece


class Download:
    """The wanted bytes, and then the file that they are of.

    Iterate over `pieces` to the end; only then is `artifact` known to be verified. Close it where the end is not
    reached.
    """

    def __init__(self, pieces: AsyncGenerator[Piece, None], artifact: Callable[[], Artifact]) -> None:
        self.pieces = pieces
        self._artifact = artifact

    @property
    def artifact(self) -> Artifact:
        """What is known of the whole file by now."""
        return shown(self._artifact())

    async def close(self) -> None:
        """Stop reading; the download into the gateway's store goes on."""
        await self.pieces.aclose()
