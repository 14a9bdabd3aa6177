"""Time-outs of one length, for any number of waiting questions.

What was asked in one burst times out in one burst, and each time-out costs a retry or a reply. The event loop
would run all that are due before it looks at its sockets again; here a few are, and then it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import islice
from typing import Final, TypeVar

_T = TypeVar("_T")

AT_ONCE: Final = 8
"""Time-outs in one turn of the event loop: about a millisecond of work."""


class Deadlines:
    """Gives work so many ``seconds``, with one timer for all."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._open: dict[asyncio.Timeout, float] = {}
        """When each is due (the loop's time), the first to be so first."""
        self._timer: asyncio.Handle | None = None

    async def within(self, work: Awaitable[_T]) -> _T:
        """What ``work`` gives. Raises ``TimeoutError`` when that takes longer, maybe a little later."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as limit:
            until = loop.time() + self.seconds
            self._open[limit] = until
            if self._timer is None:
                self._timer = loop.call_at(until, self._expire)
            try:
                return await work
            finally:
                self._open.pop(limit, None)

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        now, self._timer = loop.time(), None
        for limit, until in tuple(islice(self._open.items(), AT_ONCE)):
            if until > now:
                break
            del self._open[limit]
            limit.reschedule(now)
        first = next(iter(self._open.values()), None)
        if first is not None:
            self._timer = (
                loop.call_at(first, self._expire) if first > now else loop.call_soon(self._expire)
            )
