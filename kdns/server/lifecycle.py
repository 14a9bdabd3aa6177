"""Starting, reloading and stopping, in that fixed order each time.

Start: read everything, open the sockets, then follow changes. Reload: build the new generation whole,
then put it in the old one's place; what cannot be used changes nothing. Stop: not ready, lameduck, no
more questions, answer what was asked, end the sources.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from time import time
from typing import Final

from msgspec.structs import replace

from kdns import __version__
from kdns.config import printer
from kdns.config.access import Access
from kdns.config.addresses import Address
from kdns.config.tree import ConfigError, Location, Option, ServerBlock
from kdns.derivation.messages import Batch
from kdns.derivation.zone import ZONE as EXPLANATIONS
from kdns.listeners.health_probe import probe_forever
from kdns.listeners.http import HttpListener
from kdns.metrics import families
from kdns.plugins import debug, errors, health
from kdns.records.objects import Change
from kdns.server.clusters import Cluster, WatchedCluster
from kdns.server.core import Core, cancel
from kdns.server.debug_socket import DebugSocket, Host
from kdns.server.errors import UNUSABLE, as_config_error
from kdns.server.generation import Generation
from kdns.server.latency import record_programming, request_observer
from kdns.server.pages import Pages
from kdns.server.workers import Workers
from kdns.wire.names import to_text

logger: Final = logging.getLogger("kdns.server")

DRAIN: Final = 5.0
"""Seconds that questions under way are given at the end: as long as an upstream may take."""

TICK: Final = 1.0
"""Seconds between looks at whether the sources are current."""

Load = Callable[[], tuple[ServerBlock, ...]]
Changes = Callable[[], AsyncIterator[None]]


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
        self.load, self.changes, self.quiet = load, changes, quiet
        self._digest = ""
        """Of the configuration in use."""
        self.core = Core(self._make_cluster, shared_port=workers > 1)
        self.workers = Workers(workers - 1, self.core)
        self.http = HttpListener(held)
        self.debug = DebugSocket(Host(self._watch, self._put_faults))
        self._faults: tuple[Option, ...] = ()
        self.pages = Pages(self.core.metrics)
        self.started = asyncio.Event()
        self._stop = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._probe: asyncio.Task[None] | None = None
        self._began = time()
        self._late: set[str] = set()
        self.core.metrics.read(families.RELOAD_VERSION, self._version)

    def _make_cluster(self, access: Access) -> Cluster:
        return WatchedCluster(access, self._forward, request_observer(self.core.metrics))

    def _forward(self, cluster: Cluster, change: Change) -> None:
        self.workers.forward(cluster, change)
        record_programming(self.core.metrics, cluster.index, change, time())

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
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            try:
                starting.result()
            except UNUSABLE as error:
                stopping.cancel()
                raise as_config_error(error) from error
            self._tasks.append(asyncio.create_task(self._watch_sources()))
            self._tasks.append(asyncio.create_task(self._watch_configuration()))
            self._tasks.append(asyncio.create_task(self._prepare_scrapes()))
            self._announce()
            self.started.set()
        await stopping
        starting.cancel()
        await self._shut_down()
        return 0

    def stop(self) -> None:
        """Begin to stop, also during the start; ``run`` returns once that is done."""
        self._stop.set()

    async def reload(self, *, if_different: bool = False) -> bool:
        """Take a new configuration over; on failure everything stays as it was."""
        async with self._reloading:
            try:
                # In a thread, for it may ask programs of the system.
                blocks = await asyncio.to_thread(self._load)
                if if_different and digest(blocks) == self._digest:
                    return True  # a comment, white space, or what failed was taken back
                await self._apply(blocks)
            except UNUSABLE as error:
                self.core.metrics.count(families.RELOAD_FAILED)
                logger.error("reload failed, going on as before: %s", error)
                return False
            self.workers.configure(blocks)
            logger.info("reloaded")
            return True

    # ---- one configuration into use

    def _load(self) -> tuple[ServerBlock, ...]:
        """What the configuration says, and the faults that were set since the start."""
        blocks = self.load()
        if not self._faults:
            return blocks
        return tuple(replace(b, directives=(*b.directives, *self._faults)) for b in blocks)

    async def _put_faults(self, faults: tuple[Option, ...]) -> bool:
        """Have exactly these faults beside the configuration's own; False where that fails."""
        before, self._faults = self._faults, faults
        if await self.reload():
            return True
        self._faults = before
        return False

    def _watch(self, deliver: Callable[[Batch], None] | None) -> None:
        self.core.watch(deliver)
        self.workers.watch(deliver)

    async def _start(self) -> None:
        blocks = self._load()
        if self.workers.size and any(key.port == 0 for block in blocks for key in block.keys):
            raise ConfigError("several workers need a port that is not 0")
        async with self._reloading:
            await self._apply(blocks)
            if self.workers.size:
                await self.workers.start(blocks)

    async def _apply(self, blocks: tuple[ServerBlock, ...]) -> None:
        prepared = await self.core.prepare(blocks)
        try:
            await self.debug.serve(*_debug(prepared.generation))
            await self.http.serve(self.pages.endpoints(prepared.generation))
        except ConfigError:
            await self.core.discard(prepared)
            with suppress(ConfigError):
                await self.debug.serve(*_debug(self.core.generation))
            raise
        # Nothing can fail from here on.
        self._digest = digest(blocks)
        await self.core.commit(prepared)
        await self._probe_health(prepared.generation)
        for planned in prepared.generation.plans:
            for text in planned.warnings:
                logger.warning("%s", text)

    async def _probe_health(self, generation: Generation) -> None:
        if self._probe is not None:
            await cancel([self._probe])
        address = next((s.address for s in _health(generation)), None)
        if address is not None:
            probing = probe_forever(address.host, address.port, self.core.metrics)
            self._probe = asyncio.create_task(probing)

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

    async def _watch_configuration(self) -> None:
        """``reload``: a changed Corefile is taken over at once."""
        if self.changes is None:
            return
        async for _ in self.changes():
            if self._reloads:
                await self.reload(if_different=True)

    @property
    def _reloads(self) -> bool:
        plans = self.generation.plans if self.generation else ()
        return any("reload" in planned.settings for planned in plans)

    def _version(self) -> list[tuple[tuple[str, ...], float]]:
        return [(("sha512", self._digest), 1)] if self._reloads else []

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
            loop.add_signal_handler(number, self._reload_soon)

    def _reload_soon(self) -> None:
        self._tasks.append(asyncio.create_task(self._reload_quietly()))

    async def _reload_quietly(self) -> None:
        await self.reload()

    # ---- the end

    async def _shut_down(self) -> None:
        self.pages.stop()
        lameduck = max((s.lameduck for s in _health(self.generation)), default=0.0)
        if lameduck:
            logger.info("stopping: going on for %gs (lameduck)", lameduck)
            await asyncio.sleep(lameduck)
        cut, _ = await asyncio.gather(self.core.stop(DRAIN), self.workers.stop(DRAIN))
        if cut:
            logger.warning("%d questions were cut off", cut)
        await cancel([*self._tasks, *([self._probe] if self._probe else [])])
        await self.http.close()
        await self.debug.close()
        errors.flush()
        if not self.quiet:
            logger.info("stopped")


def digest(blocks: Iterable[ServerBlock]) -> str:
    """SHA-512 of what a configuration says, however it is written."""
    text = printer.to_text(blocks)
    return hashlib.sha512(text.encode("utf-8", "surrogatepass")).hexdigest()


def _debug(generation: Generation | None) -> tuple[str, Location]:
    """Where the debug socket is to be, and who says so."""
    for planned in generation.plans if generation else ():
        settings = planned.first("debug")
        if isinstance(settings, debug.Settings) and settings.socket:
            return settings.socket, settings.directive.location
    return "", Location("")


def _health(generation: Generation | None) -> list[health.Settings]:
    found = [planned.first("health") for planned in generation.plans] if generation else []
    return [settings for settings in found if isinstance(settings, health.Settings)]


def raise_file_limit() -> None:
    """To what the system allows, as Go's programs do: each question that is forwarded takes a socket."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 (not on Windows)

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):  # macOS has a limit of its own below "unlimited"
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """A datagram costs uvloop a quarter of what it costs asyncio's own loop; not for Windows."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 (see above)

    return uvloop.new_event_loop
