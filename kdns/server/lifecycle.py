"""Starting, serving and stopping, in that fixed order each time.

Start: read everything, open the sockets, then follow changes. Stop: not ready, lameduck, no more questions,
answer what was asked, end the sources. ``reloader`` puts another configuration into use in between.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from importlib import import_module
from time import time
from typing import Final

from kdns import __version__
from kdns.config.access import Access
from kdns.config.addresses import Address
from kdns.derivation.zone import ZONE as EXPLANATIONS
from kdns.listeners.http import HttpListener
from kdns.plugins import errors
from kdns.records.objects import Change
from kdns.server import tasks
from kdns.server.clusters import Cluster, WatchedCluster
from kdns.server.core import Core
from kdns.server.errors import UNUSABLE, as_config_error
from kdns.server.generation import Generation
from kdns.server.latency import record_programming, request_observer
from kdns.server.pages import Pages
from kdns.server.process import loop_factory, raise_file_limit
from kdns.server.reloader import Changes, Load, Reloader, health_settings
from kdns.server.workers import Workers
from kdns.supervisor import Service, call_all
from kdns.wire.names import to_text

logger: Final = logging.getLogger("kdns.server")

DRAIN: Final = 5.0
"""Seconds that questions under way are given at the end: as long as an upstream may take."""

TICK: Final = 1.0
"""Seconds between looks at whether the sources are current."""


class Server:
    """The whole server. ``load`` reads the configuration, at the start and again at each reload.

    ``changes`` tells when that may come to something else; with the directive ``reload`` it is read then.

    ``workers`` counts the processes that answer, this one among them; ``held`` is for ``HttpListener``.
    """

    def __init__(
        self,
        load: Load,
        changes: Changes | None = None,
        *,
        quiet: bool = False,
        workers: int = 1,
        held: Mapping[Address, socket.socket] | None = None,
    ) -> None:
        self.changes, self.quiet = changes, quiet
        self.core = Core(self._make_cluster, shared_port=workers > 1)
        self.workers = Workers(workers - 1, self.core)
        http = HttpListener(held)
        self.pages = Pages(self.core.metrics, lambda: self.core.feeds)
        self.reloader = Reloader(load, self.core, self.workers, http, self.pages)
        self.started = asyncio.Event()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[object]] = set()
        self._began = time()
        self._late: set[str] = set()

    def _make_cluster(self, access: Access) -> Cluster:
        return WatchedCluster(access, self._forward, request_observer(self.core.metrics))

    def _forward(self, cluster: Cluster, change: Change) -> None:
        call_all(
            (
                partial(self.workers.forward, cluster, change),
                partial(record_programming, self.core.metrics, cluster.index, change, time()),
            )
        )

    @property
    def generation(self) -> Generation | None:
        """The configuration in use."""
        return self.core.generation

    def run_forever(self) -> int:
        """Run until a signal says stop and return the exit status. Raises ``ConfigError``."""
        raise_file_limit()
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(self.run())

    async def run(self) -> int:
        """Start, serve until ``stop``, drain. Raises ``ConfigError`` when it cannot start."""
        self._handle_signals()
        starting = asyncio.create_task(self.reloader.start())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            try:
                starting.result()
            except UNUSABLE as error:
                stopping.cancel()
                raise as_config_error(error) from error
            self._supervise("server", self._watch_sources)
            if self.changes is not None:
                self._supervise("reload", partial(self.reloader.follow, self.changes))
            self._start(self._prepare_scrapes())
            self._announce()
            self.started.set()
        await stopping
        starting.cancel()
        await self._shut_down()
        return 0

    def stop(self) -> None:
        """Begin to stop, also during the start; ``run`` returns once that is done."""
        self._stop.set()

    async def reload(self) -> bool:
        """Take a new configuration over; on failure everything stays as it was."""
        return await self.reloader.reload()

    # ---- while running

    async def _watch_sources(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self.core.look_at_sources()
            self.workers.send_status()
            self._warn_of_late_clusters()

    async def _prepare_scrapes(self) -> None:
        """Import what the first scrape takes, after the start and in a thread: questions must not wait."""
        await asyncio.sleep(TICK)
        if self.generation and any("prometheus" in p.settings for p in self.generation.plans):
            await asyncio.to_thread(import_module, "kdns.metrics.exposition")

    def _warn_of_late_clusters(self) -> None:
        """``startup_timeout``: the peer waits so long before it listens; we say so and go on."""
        waited = time() - self._began
        for cluster in self.generation.late_clusters(waited) if self.generation else ():
            status = cluster.status
            if status.name not in self._late:
                self._late.add(status.name)
                logger.warning(
                    "%s: not synced after %.0f s: %s", status.name, waited, status.problem
                )

    def _announce(self) -> None:
        if self.quiet:
            return
        logger.info("kdns %s, python %s", __version__, sys.version.split()[0])
        for endpoint in self.core.sockets:
            zones = sorted(endpoint.responder.zones.keys() - {EXPLANATIONS}, key=lambda z: z[::-1])
            logger.info("listening on %s for %s", endpoint.address, ", ".join(map(to_text, zones)))

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        for number in (signal.SIGHUP, signal.SIGUSR1):  # CoreDNS reloads at SIGUSR1
            loop.add_signal_handler(number, lambda: self._start(self.reload()))

    def _supervise(self, name: str, run: Callable[[], Coroutine[None, None, None]]) -> None:
        self._start(self.core.supervise(Service(name, run)))

    def _start(self, work: Coroutine[None, None, object]) -> None:
        task = tasks.start(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- the end

    async def _shut_down(self) -> None:
        self.pages.stop()
        lameduck = max((s.lameduck for s in health_settings(self.generation)), default=0.0)
        if lameduck:
            logger.info("stopping: going on for %gs (lameduck)", lameduck)
            await asyncio.sleep(lameduck)
        cut, _ = await asyncio.gather(self.core.stop(DRAIN), self.workers.stop(DRAIN))
        if cut:
            logger.warning("%d questions were cut off", cut)
        await tasks.cancel(self._tasks)
        await self.reloader.close()
        errors.flush()
        if not self.quiet:
            logger.info("stopped")
