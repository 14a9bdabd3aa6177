"""Waiting for what tells nobody when it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], seconds: float = 30) -> float:
    """Poll until it holds, and return the seconds that took; it may be a coroutine function.

    Raises ``TimeoutError`` after ``seconds``.
    """
    clock = asyncio.get_running_loop().time
    start = clock()
    async with asyncio.timeout(seconds):
        while True:
            held = condition()
            if await held if asyncio.iscoroutine(held) else held:
                return clock() - start
            await asyncio.sleep(0.01)
