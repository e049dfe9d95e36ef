"""Wait for what another process writes."""

import asyncio
from pathlib import Path


async def path_exists(path: Path, wait_seconds: float) -> None:
    """Wait until there is such a file; raises `TimeoutError`."""
    async with asyncio.timeout(wait_seconds):
        while not await asyncio.to_thread(path.exists):  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)


async def words_in(path: Path, words: str, wait_seconds: float) -> str:
    """Wait until a file has the words, and give what it has; raises `TimeoutError`."""
    await path_exists(path, wait_seconds)
    async with asyncio.timeout(wait_seconds):
        while words not in (text := await asyncio.to_thread(path.read_text)):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    return text


async def link_leads_to(link: Path, target: Path, wait_seconds: float) -> None:
    """Wait until a symbolic link leads somewhere; raises `TimeoutError`."""
    async with asyncio.timeout(wait_seconds):
        while await asyncio.to_thread(link.readlink) != target:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
