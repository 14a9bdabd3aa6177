"""A worker process: answers on the same addresses as the main one, from what the main one tells it.

It has no sources, no HTTP and no signals of its own. When the channel ends (the main process died, or
gave it up) it answers what it was asked and ends too.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from typing import Final

from kdns.derivation.messages import Batch, Watch
from kdns.server import tasks
from kdns.server.channel import (
    Apply,
    Channel,
    Configure,
    Drain,
    Figures,
    Serving,
    Status,
    unpack,
)
from kdns.server.clusters import Cluster
from kdns.server.core import Core
from kdns.server.errors import UNUSABLE
from kdns.supervisor import Service

logger: Final = logging.getLogger("kdns.server")

REPORT: Final = 1.0
"""Seconds between two reports of figures."""

ORPHANED: Final = 2.0
"""Seconds for the questions under way when the main process is gone."""


class Worker:
    """The worker's side of the channel."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.core = Core(Cluster, shared_port=True)
        self._clusters: list[Cluster] = []

    async def run(self) -> None:
        """Until told to end, or there is nobody to tell it."""
        reporting = tasks.start(self.core.supervise(Service("worker", self._report_forever)))
        seconds = ORPHANED
        async for message in self.channel.messages():
            match message:
                case Configure():
                    await self._configure(message)
                case Apply():
                    self._clusters[message.cluster].apply(unpack(message))
                case Status():
                    self._set_status(message)
                case Watch(on):
                    self.core.watch(self._told if on else None)
                case Drain(seconds):
                    break
                case _:
                    pass
        await tasks.cancel([reporting])
        cut = await self.core.stop(seconds)
        if cut:
            logger.warning("worker: %d questions were cut off", cut)
        self._report()
        await self.channel.drain()
        self.channel.close()

    async def _configure(self, message: Configure) -> None:
        try:
            prepared = await self.core.prepare(message.blocks)
        except UNUSABLE as error:
            self.channel.send(Serving(str(error)))
            return
        await self.core.commit(prepared)
        self._clusters = list(self.core.clusters)
        self.channel.send(Serving())

    def _told(self, batch: Batch) -> None:
        self.channel.send(batch)

    def _set_status(self, message: Status) -> None:
        status = self._clusters[message.cluster].status
        status.name, status.resources = message.name, message.resources

    async def _report_forever(self) -> None:
        while True:
            await asyncio.sleep(REPORT)
            self.core.look_at_sources()
            self._report()

    def _report(self) -> None:
        self.channel.send(Figures(self.core.metrics.export()))


async def serve(descriptor: int) -> None:
    """Be a worker on the given end of a socket pair."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        # A terminal or a container sends them to all; the main process says what they come to.
        loop.add_signal_handler(number, lambda: None)
    await Worker(await Channel.open(socket.socket(fileno=descriptor))).run()
