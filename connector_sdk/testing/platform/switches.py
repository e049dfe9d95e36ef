"""The switches of a test: what the platform is to do wrong, and for how long."""

from __future__ import annotations

import aiohttp

from connector_sdk.testing.platform.faults import Call, ReplyFault


class Faults:
    """Turn faults on. Each stays for as many calls as it is given, or until `clear`."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Set them through `session`."""
        self._session = session

    async def refuse(self, call: Call, status: int, text: str = "no", *, times: int | None = 1, size: int = 0) -> None:
        """Answer with an error and do nothing; the text is repeated up to `size` bytes."""
        await self._add(ReplyFault(call=call, kind="refuse", status=status, text=text, text_bytes=size, times=times))

    async def lose(self, call: Call, status: int = 500, *, times: int | None = 1) -> None:
        """Do what is asked, and answer with an error."""
        await self._add(ReplyFault(call=call, kind="refuse", status=status, is_done=True, times=times))

    async def limit(self, call: Call, retry_after: str = "", *, times: int | None = 1) -> None:
        """Answer 429; `retry_after` is the header as it is sent, in seconds or as a date."""
        fault = ReplyFault(
            call=call, kind="refuse", status=429, text="too many calls", retry_after=retry_after, times=times
        )
        await self._add(fault)

    async def page(self, call: Call, status: int = 502, *, is_done: bool = False, times: int | None = 1) -> None:
        """Answer with a page of HTML, some kilobytes of it; with `is_done` what is asked is done all the same."""
        text = "The upstream is away."
        await self._add(ReplyFault(call=call, kind="page", status=status, text=text, is_done=is_done, times=times))

    async def hang(self, call: Call, *, is_done: bool = False, times: int | None = 1) -> None:
        """Do not answer until the faults are cleared; with `is_done` what is asked is done all the same."""
        await self._add(ReplyFault(call=call, kind="hang", is_done=is_done, times=times))

    async def half(self, call: Call, *, times: int | None = 1) -> None:
        """Do what is asked, and close the connection in the middle of the answer."""
        await self._add(ReplyFault(call=call, kind="half", times=times))

    async def drip(self, call: Call, seconds: float, *, times: int | None = 1) -> None:
        """Do what is asked, and let the answer take so long."""
        await self._add(ReplyFault(call=call, kind="drip", seconds=seconds, times=times))

    async def set(self, **conditions: float | bool | list[int]) -> None:
        """Change what is wrong for good; `Conditions` has the names."""
        await self._session.patch("/admin/conditions", json=conditions)

    async def clear(self) -> None:
        """Let everything go well from now on."""
        await self._session.delete("/admin/faults")

    async def _add(self, fault: ReplyFault) -> None:
        await self._session.post("/admin/faults", json=fault.model_dump())
