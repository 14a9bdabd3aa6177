"""The configuration as a source: read when asked, and what it was read from is watched meanwhile.

Knows nothing of the syntax: whoever makes it gives the function that reads and parses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from kdns.config.tree import ServerBlock
from kdns.sources.files import Reading
from kdns.sources.noticing import follow

SETTLE: Final = 0.1
"""Seconds without a further change: a file that is being written may be empty at first."""


class Configuration:
    """``parse`` reads files through the ``Reading`` that it is given, and may raise ``ConfigError``."""

    def __init__(self, parse: Callable[[Reading], tuple[ServerBlock, ...]]) -> None:
        self._parse = parse
        self._reading = Reading()

    def load(self) -> tuple[ServerBlock, ...]:
        """Read everything again. Raises ``ConfigError``."""
        self._reading = Reading()
        return self._parse(self._reading)

    async def changes(self) -> AsyncGenerator[None, None]:
        """Yields when ``load`` may come to something else; ends where there is nothing to watch."""
        if not self._reading.folders:
            return
        async with aclosing(follow(lambda: self._reading.folders)) as notices:
            async for _ in notices:
                if await self._changed():
                    yield

    async def _changed(self) -> bool:
        """Whether there was a change, once nothing changes any more."""
        changed = False
        while self._reading.changed():
            changed = True
            await asyncio.sleep(SETTLE)
        return changed
