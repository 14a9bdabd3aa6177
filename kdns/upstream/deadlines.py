"""Deadlines of any number of waiting queries, with one timer for all.

Queries that were sent in one burst time out in one burst, and each costs a retry or a reply. The event loop
would run all that are due before it polls its sockets again; here it runs a few, then polls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from time import monotonic
from typing import Final, Generic, TypeVar

T = TypeVar("T")

AT_ONCE: Final = 8
"""Entries that expire, or are notified, in one turn of the event loop: less than a millisecond of work."""

_SHORTEST: Final = 0.001
"""Seconds; libuv's timers count milliseconds."""


class Deadlines(Generic[T]):
    """Calls ``expire`` with each entry whose time is over, at that time or a little later.

    Entries expire in the order in which they were added: one that is due before an earlier one waits for it.
    """

    def __init__(self, expire: Callable[[T], None]) -> None:
        self._expire = expire
        self._open: dict[T, float] = {}
        self._timer: asyncio.Handle | None = None

    def add(self, entry: T, until: float) -> None:
        """Let it expire at ``until``, in seconds of ``time.monotonic``."""
        self._open[entry] = until
        if self._timer is None:
            self._start(until)

    def discard(self, entry: T) -> None:
        """It needs no deadline any more, if it still has one."""
        self._open.pop(entry, None)

    def _start(self, until: float) -> None:
        """Run at ``until``; where that is past, in the loop's next turn."""
        loop, seconds = asyncio.get_running_loop(), until - monotonic()
        if seconds <= 0:
            self._timer = loop.call_soon(self._run)
        else:
            self._timer = loop.call_later(max(seconds, _SHORTEST), self._run)

    def _run(self) -> None:
        now, due = monotonic(), []
        for entry, until in islice(self._open.items(), AT_ONCE):
            if until > now:
                break
            due.append(entry)
        try:
            for entry in due:
                if self._open.pop(entry, None) is not None:  # another's end may have been its own
                    self._expire(entry)
        finally:
            first = next(iter(self._open.values()), None)
            self._timer = None
            if first is not None:
                self._start(first)


def in_portions(entries: list[T], action: Callable[[T], None]) -> None:
    """Call ``action`` with each, a few of them now and a few in each further turn of the event loop."""
    if len(entries) > AT_ONCE:
        asyncio.get_running_loop().call_soon(in_portions, entries[AT_ONCE:], action)
    for entry in entries[:AT_ONCE]:
        action(entry)
