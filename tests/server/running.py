"""A server inside the test's own process."""

from __future__ import annotations

import asyncio

from kdns.config import corefile
from kdns.config.tree import ServerBlock
from kdns.server.lifecycle import Server
from kdns.server.sockets import Endpoint


class InProcess:
    """A server with the Corefile ``text``, which may be another one at its next reload."""

    def __init__(self, text: str, workers: int = 1) -> None:
        self.text = text
        self.server = Server(self.load, quiet=True, workers=workers)
        self.task: asyncio.Task[int] | None = None

    def load(self) -> tuple[ServerBlock, ...]:
        return corefile.parse(self.text, "Corefile")

    async def start(self) -> None:
        """Until it listens. Raises what the start raises."""
        task = asyncio.create_task(self.server.run())
        started = asyncio.create_task(self.server.started.wait())
        await asyncio.wait((task, started), return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if task.done():
            task.result()
        self.task = task

    async def stop(self) -> int:
        """Its exit status; 0 where it did not start."""
        self.server.stop()
        return await asyncio.wait_for(self.task, 40) if self.task else 0

    @property
    def endpoint(self) -> Endpoint:
        """The one address that it listens at."""
        (endpoint,) = self.server.core.sockets
        return endpoint
