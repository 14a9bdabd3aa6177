"""Replies that take waiting, without a task for each: what a coroutine waits for resumes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import cast

from kdns.wire.message import Answer, PendingReply

Finish = Callable[[Answer | BaseException], bytes | None]
"""Makes the reply of the answer, or of the exception that came instead."""


class Later:
    """A reply that is not there yet.

    A coroutine that is suspended yields the future that it waits for, and an ``asyncio.Task`` does little
    more than resume it when that is done. This does the same in a fraction of the time, but offers no
    ``asyncio.current_task()``, so stages that need one (``asyncio.timeout``, ``TaskGroup``) set ``in_task``.
    """

    def __init__(
        self,
        running: Coroutine[object, None, Answer],
        waits_for: object,
        finish: Finish,
        *,
        in_task: bool = False,
    ) -> None:
        self._running, self._finish = running, finish
        self._callback: Callable[[PendingReply, bytes | None], None] | None = None
        self._task: asyncio.Task[Answer] | None = None
        self.is_done = False
        self.reply: bytes | None = None
        if in_task:
            self._task = asyncio.ensure_future(_in_task(running, waits_for))
            self._task.add_done_callback(self._task_done)
        else:
            self._wait(waits_for)

    def on_done(self, callback: Callable[[PendingReply, bytes | None], None]) -> None:
        """Have ``callback`` called with the reply, None for silence. Only one can be set."""
        self._callback = callback
        if self.is_done:
            callback(self, self.reply)

    def close(self) -> None:
        """Give the reply up: no callback is called any more."""
        self._callback = None
        if not self.is_done:
            self.is_done = True
            if self._task is not None:
                self._task.cancel()
            else:
                self._running.close()

    def __await__(self) -> Generator[object, None, bytes | None]:
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.on_done(lambda _, reply: None if future.done() else future.set_result(reply))
        try:
            return (yield from future.__await__())
        finally:
            self.close()

    def _wait(self, waits_for: object) -> None:
        if waits_for is None:  # a bare yield, as in asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(self._step)
            return
        future = cast("asyncio.Future[object]", waits_for)
        future._asyncio_future_blocking = False
        future.add_done_callback(self._step)

    def _step(self, _: object = None) -> None:
        if self.is_done:
            return
        try:
            waits_for = self._running.send(None)
        except StopIteration as done:
            self._end(done.value)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a cancellation too: what it waited for was given up
            self._end(error)
        else:
            self._wait(waits_for)

    def _task_done(self, task: asyncio.Task[Answer]) -> None:
        if not self.is_done:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            self._end(error or task.result())

    def _end(self, answer: Answer | BaseException) -> None:
        self.is_done = True
        self.reply = self._finish(answer)
        if self._callback is not None:
            self._callback(self, self.reply)


async def _in_task(running: Coroutine[object, None, Answer], waits_for: object) -> Answer:
    return await _resume(running, waits_for)


@coroutine
def _resume(
    running: Coroutine[object, None, Answer], waits_for: object
) -> Generator[object, None, Answer]:
    """Go on, inside a task, with a coroutine that has taken its first step outside of one."""
    while True:
        try:
            yield waits_for
        except BaseException as error:  # a cancellation, mostly: it is the coroutine's to handle
            step = partial(running.throw, error)
        else:
            step = partial(running.send, None)
        try:
            waits_for = step()
        except StopIteration as done:
            return cast("Answer", done.value)
