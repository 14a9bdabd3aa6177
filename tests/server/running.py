"""A server inside the test's own process."""

from __future__ import annotations

import asyncio

from kdns.server.lifecycle import Server


async def start_server(server: Server) -> asyncio.Task[int]:
    """Run it and wait until it listens; the task has its exit status. Raises what the start raises."""
    task = asyncio.create_task(server.run())
    started = asyncio.create_task(server.started.wait())
    await asyncio.wait((task, started), return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    if task.done():
        task.result()
    return task
