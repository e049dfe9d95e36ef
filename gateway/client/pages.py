"""Walking through the pages of a list."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

PAGE_SIZE = 200
"""Few round trips for long lists, and far below the size of a message even where a job carries large options."""

Item = TypeVar("Item")


class Page(Protocol):
    """What every list call answers."""

    @property
    def next_page_token(self) -> str:
        """Where the next page is; empty = this is the last."""
        ...


PageT = TypeVar("PageT", bound=Page)


async def walk(
    fetch: Callable[[str], Awaitable[PageT]], items: Callable[[PageT], Iterable[Item]]
) -> AsyncGenerator[Item, None]:
    """Yield the items of all pages; the next page is fetched when it is needed."""
    token = ""
    while True:
        page = await fetch(token)
        for item in items(page):
            yield item

        token = page.next_page_token
        if not token:
            return
