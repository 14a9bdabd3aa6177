"""Starting, reloading and stopping, in that fixed order each time.

Start: read everything, open the sockets, then follow changes. Reload: build the new generation whole,
then put it in the old one's place; what cannot be used changes nothing. Stop: not ready, lameduck, no
more questions, answer what was asked, end the sources.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Iterable
from time import time
from typing import Final

from kdns import __version__
from kdns.config.tree import ConfigError, ServerBlock
from kdns.listeners.http import HttpListener
from kdns.metrics import Metrics, families
from kdns.plugins import errors, health
from kdns.plugins.kubernetes.stage import STALE_AFTER
from kdns.server import exports
from kdns.server.clusters import Clusters
from kdns.server.generation import Generation, plan, wanted_clusters
from kdns.server.pages import Pages
from kdns.server.sockets import Sockets
from kdns.sources.documents import ManifestError
from kdns.sources.transport import AccessError
from kdns.sources.zone_loading import ZoneFileError
from kdns.wire.message import Key
from kdns.wire.names import to_text

logger: Final = logging.getLogger("kdns.server")

DRAIN: Final = 5.0
"""Seconds that questions under way are given at the end: as long as an upstream may take."""

TICK: Final = 1.0
"""Seconds between looks at whether the sources are current."""

Load = Callable[[], tuple[ServerBlock, ...]]


class Server:
    """The whole server. ``load`` reads the configuration, at the start and again at each reload."""

    def __init__(self, load: Load, *, quiet: bool = False) -> None:
        self.load, self.quiet = load, quiet
        self.metrics = Metrics()
        self.sockets = Sockets()
        self.clusters = Clusters(self.sockets.drop)
        self.http = HttpListener()
        self.pages = Pages(self.metrics)
        self.generation: Generation | None = None
        self.started = asyncio.Event()
        self._stop = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._zone_tasks: list[asyncio.Task[None]] = []
        self._stale: set[str] = set()
        self._synced: set[str] = set()
        exports.register(self.metrics, self.sockets, self.clusters, lambda: self.generation)

    def run_forever(self) -> int:
        """Run until a signal says stop and return the exit status. Raises ``ConfigError``."""
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(self.run())

    async def run(self) -> int:
        """Start, serve until ``stop``, drain. Raises ``ConfigError`` when it cannot start."""
        try:
            await self._apply(self.load())
        except _UNUSABLE as error:
            raise _as_config_error(error) from error
        self._handle_signals()
        self._tasks.append(asyncio.create_task(self._watch_sources()))
        self._announce()
        self.started.set()
        await self._stop.wait()
        await self._shut_down()
        return 0

    def stop(self) -> None:
        """Begin to stop; ``run`` returns once that is done."""
        self._stop.set()

    async def reload(self) -> bool:
        """Take a new configuration over; on failure everything stays as it was."""
        async with self._reloading:
            try:
                await self._apply(self.load())
            except _UNUSABLE as error:
                self.metrics.count(families.RELOAD_FAILED)
                logger.error("reload failed, going on as before: %s", error)
                return False
            logger.info("reloaded")
            return True

    # ---- one configuration into use

    async def _apply(self, blocks: tuple[ServerBlock, ...]) -> None:
        plans = plan(blocks)
        wanted = list(wanted_clusters(plans))
        clusters = await self.clusters.prepare(wanted)
        generation = Generation(plans, clusters, self.metrics, self._zones_changed)
        await asyncio.to_thread(generation.load_zones)
        opened = await self.sockets.open(generation.responders)
        try:
            await self.http.serve(self.pages.endpoints(generation))
        except ConfigError:
            await asyncio.gather(*(endpoint.drain(0) for endpoint in opened))
            raise
        # Nothing can fail from here on.
        self.generation = generation
        await self.sockets.commit(opened, generation.responders)
        await self.clusters.commit(wanted, clusters)
        await self._follow_zones(generation)
        for text in (text for planned in plans for text in planned.warnings):
            logger.warning("%s", text)

    async def _follow_zones(self, generation: Generation) -> None:
        before = self._zone_tasks
        self._zone_tasks = [asyncio.create_task(s.run()) for s in generation.zone_stores]
        self._zone_tasks += [asyncio.create_task(f.run()) for f in generation.text_files.all]
        await _cancel(before)

    def _zones_changed(self, keys: frozenset[Key]) -> None:
        self.sockets.drop(keys)

    # ---- while running

    async def _watch_sources(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._look_at_sources()

    def _look_at_sources(self) -> None:
        """Notice what became stale or current again: answers say so, so kept ones must go."""
        now = time()
        stale = {c.status.name for c in self.clusters if c.status.age(now) >= STALE_AFTER}
        if stale != self._stale:
            self._stale = stale
            self.sockets.clear()

    def _announce(self) -> None:
        if self.quiet or self.generation is None:
            return
        logger.info("kdns %s, python %s", __version__, sys.version.split()[0])
        for endpoint in self.sockets:
            zones = sorted(endpoint.responder.zones, key=lambda zone: zone[::-1])
            logger.info("listening on %s for %s", endpoint.address, ", ".join(map(to_text, zones)))

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        for number in (signal.SIGHUP, signal.SIGUSR1):  # CoreDNS reloads at SIGUSR1
            loop.add_signal_handler(number, self._reload_soon)

    def _reload_soon(self) -> None:
        self._tasks.append(asyncio.create_task(self._reload_quietly()))

    async def _reload_quietly(self) -> None:
        await self.reload()

    # ---- the end

    async def _shut_down(self) -> None:
        self.pages.stop()
        lameduck = self._lameduck()
        if lameduck:
            logger.info("stopping: going on for %gs (lameduck)", lameduck)
            await asyncio.sleep(lameduck)
        cut = await self.sockets.drain(DRAIN)
        if cut:
            logger.warning("%d questions were cut off", cut)
        await _cancel([*self._tasks, *self._zone_tasks])
        await self.clusters.stop()
        await self.http.close()
        errors.flush()
        if not self.quiet:
            logger.info("stopped")

    def _lameduck(self) -> float:
        plans = self.generation.plans if self.generation else ()
        settings = [planned.first("health") for planned in plans]
        return max((s.lameduck for s in settings if isinstance(s, health.Settings)), default=0.0)


_UNUSABLE: Final = (ConfigError, AccessError, ManifestError, ZoneFileError)


def _as_config_error(error: Exception) -> ConfigError:
    return error if isinstance(error, ConfigError) else ConfigError(str(error))


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """A datagram costs uvloop a quarter of what it costs asyncio's own loop; not for Windows."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 (see above)

    return uvloop.new_event_loop
