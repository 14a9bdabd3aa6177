"""The worker processes, seen from the main one: started, told of everything, replaced when they die.

The kernel spreads questions over the processes that share an address (SO_REUSEPORT, by the asker's
address and port), so the death of one costs the questions it had not answered yet and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from time import monotonic
from typing import Final

from kdns.config.tree import ConfigError, ServerBlock
from kdns.derivation.messages import Batch, Watch
from kdns.records.objects import Change, Kind, Replaced
from kdns.server import tasks
from kdns.server.channel import (
    Channel,
    Configure,
    Drain,
    Figures,
    Message,
    Serving,
    Status,
    pack,
)
from kdns.server.clusters import Cluster
from kdns.server.core import Core

logger: Final = logging.getLogger("kdns.server")

START: Final = 30.0
"""Seconds for a worker to be serving."""

SETTLED: Final = 10.0
"""A worker that lived for so long was no failure at start: its successor is started at once."""

MAX_PAUSE: Final = 5.0
"""Seconds at most before a successor of one that failed at start."""

COMMAND: Final = (sys.executable, "-m", "kdns.cli.worker")


class WorkerProcess:
    """One worker and the channel to it."""

    def __init__(self, number: int, channel: Channel, process: asyncio.subprocess.Process) -> None:
        self.number, self.channel, self.process = number, channel, process


class Workers:
    """``count`` workers beside the main process, which keeps them as it is itself."""

    def __init__(self, size: int, core: Core) -> None:
        self.size, self.core = size, core
        self.blocks: tuple[ServerBlock, ...] = ()
        self._numbers = count(1)
        self.running: dict[int, WorkerProcess] = {}
        """By number."""
        self._keepers: list[asyncio.Task[None]] = []
        self._watcher: Callable[[Batch], None] | None = None
        self._answers: asyncio.Queue[str] | None = None
        """During the start, from each worker: why it cannot serve, or ""."""
        self._stopping = False

    async def start(self, blocks: tuple[ServerBlock, ...]) -> None:
        """Start all and wait until they serve. Raises ``ConfigError`` when one cannot."""
        self.blocks, self._answers = blocks, asyncio.Queue()
        self._keepers = [tasks.start(self._keep()) for _ in range(self.size)]
        try:
            async with asyncio.timeout(START):
                for _ in range(self.size):
                    if problem := await self._answers.get():
                        raise ConfigError(f"a worker cannot serve: {problem}")
        except TimeoutError as error:
            raise ConfigError(f"the workers did not come up within {START:g} s") from error
        self._answers = None

    def configure(self, blocks: tuple[ServerBlock, ...]) -> None:
        """Have all serve another configuration, which the main process serves already."""
        self.blocks = blocks
        for worker in self.running.values():
            self._tell_all(worker)

    def forward(self, cluster: Cluster, change: Change) -> None:
        """Pass a change on."""
        if not self.running:
            return
        for number, known in enumerate(self.core.clusters):
            if known is cluster:
                self._send_all(pack(number, change))

    def send_status(self) -> None:
        """Tell how current the clusters are."""
        for message in self._statuses():
            self._send_all(message)

    def watch(self, deliver: Callable[[Batch], None] | None) -> None:
        """Have every question told to ``deliver``, many at a time, or to nobody any more."""
        self._watcher = deliver
        self._send_all(Watch(deliver is not None))

    async def stop(self, seconds: float) -> None:
        """Have them answer what they were asked, at most so long, and end."""
        self._stopping = True
        self._send_all(Drain(seconds))
        if self._keepers:
            _, late = await asyncio.wait(self._keepers, timeout=seconds + 1)
            for worker in self.running.values():
                worker.process.kill()
            if late:
                await asyncio.wait(late, timeout=1)

    # ---- one worker

    async def _keep(self) -> None:
        """Keep one worker there."""
        pause = 0.0
        while not self._stopping:
            started = monotonic()
            try:
                worker = await self._spawn()
            except OSError as error:  # no more processes, or files, are to be had
                self._note_serving(f"cannot be started: {error}")
                logger.error("a worker cannot be started: %s", error)
            else:
                await self._attend(worker)
            if not self._stopping:
                settled = monotonic() - started > SETTLED
                pause = 0.0 if settled else min(max(2 * pause, 0.1), MAX_PAUSE)
                await asyncio.sleep(pause)

    async def _attend(self, worker: WorkerProcess) -> None:
        """To its end."""
        await self._listen(worker)
        code = await worker.process.wait()
        del self.running[worker.number]
        self.core.metrics.forget(worker.number)
        if not self._stopping:
            logger.warning("worker %d ended with status %d; replacing it", worker.number, code)

    def _note_serving(self, problem: str) -> None:
        if self._answers is not None:
            self._answers.put_nowait(problem)

    async def _spawn(self) -> WorkerProcess:
        """Raises ``OSError``."""
        with ExitStack() as undo:
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            with theirs:
                theirs.set_inheritable(True)
                process = await asyncio.create_subprocess_exec(
                    *COMMAND, str(theirs.fileno()), pass_fds=[theirs.fileno()]
                )
            undo.pop_all()
        ours.setblocking(False)
        worker = WorkerProcess(next(self._numbers), await Channel.open(ours), process)
        self._tell_all(worker)
        self.running[worker.number] = worker
        return worker

    def _tell_all(self, worker: WorkerProcess) -> None:
        """The configuration and all that the clusters hold; changes follow from here on."""
        worker.channel.send(Configure(self.blocks))
        for number, cluster in enumerate(self.core.clusters):
            for kind in Kind:
                if kind in cluster.index.synced:
                    objects = tuple(cluster.index.objects(kind))
                    worker.channel.send(pack(number, Replaced(kind, objects)))
        for message in self._statuses():
            worker.channel.send(message)
        worker.channel.send(Watch(self._watcher is not None))

    def _statuses(self) -> Iterator[Message]:
        for number, cluster in enumerate(self.core.clusters):
            yield Status(number, cluster.status.name, cluster.status.resources)

    async def _listen(self, worker: WorkerProcess) -> None:
        async for message in worker.channel.messages():
            match message:
                case Serving(problem):
                    self._note_serving(problem)
                    if problem:
                        logger.error("worker %d goes on as before: %s", worker.number, problem)
                case Batch() if self._watcher is not None:
                    self._watcher(message)
                case Figures(exported):
                    self.core.metrics.absorb(worker.number, exported)
                case _:
                    pass
        worker.channel.close()

    def _send_all(self, message: Message) -> None:
        for worker in self.running.values():
            if not worker.channel.send(message):
                logger.error("worker %d does not keep up; replacing it", worker.number)
                worker.process.kill()
