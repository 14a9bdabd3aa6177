"""The clusters that are served: each a source, the index it feeds, and its status.

Clusters outlive a reload: equal access, same index, nothing is listed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from time import time
from typing import Final

from msgspec.structs import replace

from kdns.config.access import Access, ApiAccess, base
from kdns.records.index import Index
from kdns.records.objects import Change
from kdns.server import tasks
from kdns.sources.apiserver import ApiServer
from kdns.sources.connection import ObserveRequest
from kdns.sources.manifests import Manifests
from kdns.sources.snapshots import Snapshots
from kdns.sources.transport import AccessError
from kdns.status import SourceStatus
from kdns.supervisor import Service, call_all, supervise
from kdns.wire.message import Key

LAST_SAVE: Final = 10.0
"""Seconds that a snapshot may take when the server stops."""

Changed = Callable[[set[Key]], None]


class Cluster:
    """An index and how current it is. Somebody hands it changes."""

    def __init__(self, access: Access) -> None:
        self.index = Index()
        self.status = SourceStatus(describe(access))
        self.feeds: tuple[SourceStatus, ...] = ()
        """The state of what runs beside the source itself."""
        self.changed: Changed | None = None
        """Told the keys of each change, once answers are made from the index."""

    def apply(self, change: Change) -> None:
        """Take a change in and notify all observers, whatever one of them raises; then raise that."""
        keys = self.index.apply(change, time())
        if keys:
            call_all(self._observers(change, keys))

    def _observers(self, _: Change, keys: set[Key]) -> Iterator[Callable[[], object]]:
        """Who is to be notified of a change that made a difference."""
        if self.changed is not None:
            yield partial(self.changed, keys)

    async def open(self) -> None:
        """Read what must be right at start. Raises ``AccessError`` or ``ManifestError``."""

    def start(self, changed: Changed) -> None:
        """Follow changes from now on."""
        self.changed = changed

    async def stop(self) -> None:
        """End; the index stays as it is."""


class WatchedCluster(Cluster):
    """A cluster with a source of its own.

    ``forward`` is given the changes that made a difference, ``observe`` the requests to an API server.
    """

    def __init__(
        self, access: Access, forward: Callable[[Cluster, Change], None], observe: ObserveRequest
    ) -> None:
        super().__init__(access)
        self._forward = forward
        self._task: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._snapshots: Snapshots | None = None
        self._source: ApiServer | Manifests
        if isinstance(access, ApiAccess):
            self._source = ApiServer(access, self.status, self.apply, observe=observe)
            if access.snapshot:
                self._snapshots = Snapshots(access, self.index, self.status, self.apply)
        else:
            self._source = Manifests(access, self.status, self.apply)

    def _observers(self, change: Change, keys: set[Key]) -> Iterator[Callable[[], object]]:
        if self._snapshots is not None:
            self._snapshots.changed = True
        yield from super()._observers(change, keys)
        if self.changed is not None:
            yield partial(self._forward, self, change)

    async def open(self) -> None:
        if isinstance(self._source, ApiServer):
            await self._source.open()
        else:
            await asyncio.to_thread(self._source.load)

    def start(self, changed: Changed) -> None:
        super().start(changed)
        if self._task is not None:
            return
        name = self.status.name
        self._task = tasks.start(supervise(self._source), f"{name}: watching")
        if self._snapshots is not None and isinstance(self._source, ApiServer):
            save = partial(self._snapshots.run, self._source)
            saving = Service(f"kubernetes {self._snapshots.path}", save, "snapshot")
            self.feeds = (saving.status,)
            self._saving = tasks.start(supervise(saving), saving.name)

    async def stop(self) -> None:
        if self._snapshots is not None and self._saving is not None:
            self._snapshots.stop()
            await asyncio.wait({self._saving}, timeout=LAST_SAVE)
            await tasks.cancel([self._saving])
        if self._task is not None:
            await tasks.cancel([self._task])
        if isinstance(self._source, ApiServer):
            await self._source.close()


def describe(access: Access) -> str:
    """What people call a source."""
    if not isinstance(access, ApiAccess):
        return f"manifests {access.path}"
    return f"API server {access.endpoint or access.kubeconfig}".strip()


def merge(wanted: Iterable[Access]) -> dict[Access, Access]:
    """One source for accesses with the same base, with all that any of them asks for besides.

    Raises ``AccessError`` for a cluster that is to have two snapshots.
    """
    merged: dict[Access, Access] = {}
    for access in wanted:
        shared = base(access)
        merged[shared] = _combine(merged.get(shared, shared), access)
    return merged


def _combine(one: Access, other: Access) -> Access:
    wanted = {
        name: getattr(one, name) or getattr(other, name) for name in ("pods", "nodes", "imports")
    }
    if not isinstance(one, ApiAccess) or not isinstance(other, ApiAccess):
        return replace(one, **wanted)
    if one.snapshot and other.snapshot and one.snapshot != other.snapshot:
        raise AccessError(f"two snapshots of one cluster: {one.snapshot} and {other.snapshot}")
    snapshot = one.snapshot or other.snapshot
    return replace(one, **wanted, snapshot=snapshot)


class Clusters:
    """All clusters in use, by access, in the order of ``merge``."""

    def __init__(self, changed: Changed, make: Callable[[Access], Cluster]) -> None:
        self._changed, self._make = changed, make
        self._running: dict[Access, Cluster] = {}

    def __iter__(self) -> Iterator[Cluster]:
        return iter(self._running.values())

    async def prepare(self, wanted: Iterable[Access]) -> Mapping[Access, Cluster]:
        """A cluster for each access (found there by its ``base``), running ones unchanged.

        Raises ``AccessError`` or ``ManifestError`` for a new one that cannot be read; then no cluster
        has been touched.
        """
        clusters: dict[Access, Cluster] = {}
        for shared, access in merge(wanted).items():
            clusters[shared] = self._running.get(access) or self._make(access)
        try:
            for cluster in clusters.values():
                if cluster not in self:
                    await cluster.open()
        except BaseException:
            await self.discard(clusters)
            raise
        return clusters

    async def discard(self, clusters: Mapping[Access, Cluster]) -> None:
        """End what ``prepare`` made and nobody is going to use."""
        for cluster in clusters.values():
            if cluster not in self:
                await cluster.stop()

    async def commit(self, wanted: Iterable[Access], clusters: Mapping[Access, Cluster]) -> None:
        """Run exactly these from now on."""
        merged = merge(wanted)
        before, self._running = self._running, {merged[shared]: c for shared, c in clusters.items()}
        for cluster in self._running.values():
            cluster.start(self._changed)
        for access, cluster in before.items():
            if self._running.get(access) is not cluster:
                await cluster.stop()

    async def stop(self) -> None:
        """End all sources."""
        for cluster in self._running.values():
            await cluster.stop()
