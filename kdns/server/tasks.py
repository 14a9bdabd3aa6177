"""Tasks that run by themselves: what ends one that is meant to go on is told, not forgotten."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Final, TypeVar

T = TypeVar("T")

logger: Final = logging.getLogger("kdns.server")


def start(work: Coroutine[object, None, T], name: str = "") -> asyncio.Task[T]:
    """Have it run. Whoever is given the task holds it, and ends it with ``cancel``.

    ``name`` is for the log; else it is called as the function is.
    """
    task = asyncio.create_task(work, name=name or getattr(work, "__qualname__", "a task"))
    task.add_done_callback(_tell_of_error)
    return task


def _tell_of_error(task: asyncio.Task[T]) -> None:
    """Nobody is served by going down with it; but it is a mistake of ours, and somebody has to know."""
    if not task.cancelled() and (error := task.exception()):
        logger.critical("%s ended: %r", task.get_name(), error, exc_info=error)


async def cancel(tasks: Iterable[asyncio.Task[object]]) -> None:
    """Cancel tasks and wait for their end."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
