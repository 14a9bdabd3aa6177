"""What answers questions in one process: sockets, clusters, and the generation in use.

The main process and each worker have one; they differ in where their clusters' changes come from.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from time import time
from typing import Final

from msgspec import Struct

from kdns.config.access import Access
from kdns.config.tree import ServerBlock
from kdns.derivation.messages import Batch
from kdns.derivation.observed import Tap
from kdns.metrics import Metrics
from kdns.plugins.kubernetes.freshness import STALE_AFTER
from kdns.server import exports, tasks
from kdns.server.clusters import Cluster, Clusters
from kdns.server.generation import Generation, plan, wanted_clusters
from kdns.server.sockets import Endpoint, Sockets
from kdns.status import SourceStatus
from kdns.supervisor import Service, call_all, supervise
from kdns.wire.message import Key

COLLECTIONS: Final = (7000, 10, 60)
"""Thresholds of the garbage collector: new objects before a collection of what is young, and collections
of the young and the middle generation before one of the next. Queries that wait are new objects that stay
a while: with the usual 700 a tenth of the time of forwarding went into looking at them. A full collection
looks at everything that is cached, which takes 0.3 s for 16,000 replies: caches free by counting references,
and leave it next to nothing to find."""


class Prepared(Struct):
    """A configuration that is ready to be put in the place of the running one."""

    generation: Generation
    wanted: list[Access]
    clusters: Mapping[Access, Cluster]
    opened: list[Endpoint]


class Core:
    """``make_cluster`` decides where changes come from; ``shared_port`` lets others bind as well."""

    def __init__(
        self, make_cluster: Callable[[Access], Cluster], *, shared_port: bool = False
    ) -> None:
        self.metrics = Metrics()
        self.sockets = Sockets(shared_port=shared_port)
        self.clusters = Clusters(self._changed, make_cluster)
        self.generation: Generation | None = None
        self._running: list[asyncio.Task[None]] = []
        """What runs while the generation is in use."""
        self._services: dict[str, SourceStatus] = {}
        """Of the server's own feeds, by name."""
        self._stale: set[str] = set()
        self._frozen = False
        self._tap: Tap | None = None
        exports.register(self.metrics, self.sockets, self.clusters, lambda: self.generation)
        self.metrics.read_feeds(lambda: [c.status for c in self.clusters], lambda: self.feeds, time)

    async def prepare(self, blocks: Iterable[ServerBlock]) -> Prepared:
        """Build all of a configuration, bind its addresses; what runs is not touched.

        Raises ``ConfigError``, ``AccessError``, ``ManifestError`` or ``ZoneFileError``.
        """
        plans = plan(blocks)
        wanted = list(wanted_clusters(plans))
        clusters = await self.clusters.prepare(wanted)
        try:
            generation = Generation(plans, clusters, self.metrics, self._changed)
            await asyncio.to_thread(generation.load_zones)
            opened = await self.sockets.open(generation)
        except BaseException:
            await self.clusters.discard(clusters)
            raise
        return Prepared(generation, wanted, clusters, opened)

    async def discard(self, prepared: Prepared) -> None:
        """Give back what ``prepare`` took."""
        await asyncio.gather(*(endpoint.drain(0) for endpoint in prepared.opened))
        await self.clusters.discard(prepared.clusters)

    async def commit(self, prepared: Prepared) -> None:
        """Answer by it from now on."""
        reloaded = self.generation is not None
        self.generation = prepared.generation
        closed = await self.sockets.commit(prepared.opened, prepared.generation)
        for endpoint in closed:
            exports.retire(self.metrics, endpoint)
        await self.clusters.commit(prepared.wanted, prepared.clusters)
        before = self._running
        self._running = [tasks.start(supervise(f), f.name) for f in prepared.generation.feeds]
        await tasks.cancel(before)
        if reloaded:
            self._thaw()

    @property
    def feeds(self) -> Iterator[SourceStatus]:
        """The state of all that is supervised beside the clusters' own sources."""
        yield from self._services.values()
        yield from (feed.status for feed in (self.generation.feeds if self.generation else ()))
        for cluster in self.clusters:
            yield from cluster.feeds

    async def supervise(self, service: Service) -> None:
        """Run a feed of the server itself, whose state shows as that of others does."""
        self._services[service.name] = service.status
        await supervise(service)

    def watch(self, deliver: Callable[[Batch], None] | None) -> None:
        """Have every question told to ``deliver``, many at a time, or to nobody any more."""
        if self._tap is not None:
            self._tap.close()
        self._tap = Tap(deliver, self._describe) if deliver else None
        self.sockets.watch(self._tap)

    def _describe(self, batch: Batch) -> None:
        """Add what the octets do not tell."""
        if self.generation is not None:
            self.generation.describe(batch)

    def look_at_sources(self) -> None:
        """Notice what became stale or current again: answers say so, so kept ones must go."""
        now = time()
        stale = {c.status.name for c in self.clusters if c.status.age(now) >= STALE_AFTER}
        if stale != self._stale:
            self._stale = stale
            self.sockets.clear()
        if not self._frozen and all(cluster.status.synced for cluster in self.clusters):
            self._freeze()

    async def stop(self, seconds: float) -> int:
        """Answer what was asked, at most so long, and end; return how many were cut off."""
        cut = await self.sockets.drain(seconds)
        await tasks.cancel(self._running)
        await self.clusters.stop()
        return cut

    def _freeze(self) -> None:
        """Let the garbage collector pass over what is there once all is loaded: it stays.

        Else it would look at all of it now and then, tens of milliseconds in which nothing is answered.
        So long would it take too for thousands of questions that wait: full collections become rarer.
        """
        gc.freeze()
        gc.set_threshold(*COLLECTIONS)
        self._frozen = True

    def _thaw(self) -> None:
        """Free what only the generation before needed, which is full of circles."""
        gc.unfreeze()
        gc.collect()
        self._frozen = False

    def _changed(self, keys: Iterable[Key]) -> None:
        """Forget every answer that was made from what changed."""
        forget = (self.generation.forget,) if self.generation else ()
        call_all(partial(each, keys) for each in (*forget, self.sockets.drop))
