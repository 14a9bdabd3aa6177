"""Whether an API server lives, asked for once on behalf of all watches that are quiet."""

from __future__ import annotations

import asyncio
import time

from kdns.sources import watch
from kdns.sources.transport import Transport, TransportError
from kdns.sources.watch import Limits


class Liveness:
    """A sign of life from one API server, not older than a few seconds."""

    def __init__(self, transport: Transport, limits: Limits) -> None:
        self._transport = transport
        self._limits = limits
        self._one_at_a_time = asyncio.Lock()
        self._asked = 0.0
        self._problem = ""

    async def check(self) -> None:
        """Return when the server showed life within the last seconds; else ``TransportError``."""
        async with self._one_at_a_time:
            if time.monotonic() - self._asked > self._limits.quiet / 2:
                self._problem = await self._ask()
                self._asked = time.monotonic()
        if self._problem:
            raise TransportError(self._problem)

    async def _ask(self) -> str:
        """Return what is wrong; "" when there is life."""
        try:
            await watch.alive(self._transport, self._limits)
        except TransportError as error:
            return str(error)
        return ""
