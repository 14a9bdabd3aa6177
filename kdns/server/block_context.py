"""What the stages of a server block may ask of the server that they are part of.

What they ask for (to run something, to be told of changes, a file to be read) is only noted while a
generation is built, and begins when that is taken into use.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from time import time
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from kdns.answers.responder import Responder
from kdns.config.access import Access, base
from kdns.config.tree import ServerBlock
from kdns.metrics import Metrics
from kdns.plugins.interface import Handler, Offer
from kdns.records.index import Index
from kdns.server.clusters import Cluster
from kdns.server.interfaces import local_addresses
from kdns.server.sites import ANY_HOSTS, server_label
from kdns.sources.textfiles import TextFile
from kdns.sources.zone_folder import Folder, Listing, NamedFiles
from kdns.sources.zonefiles import OnChange, ZoneFiles
from kdns.status import SourceStatus
from kdns.supervisor import Service
from kdns.upstream.pool import Pool
from kdns.wire.message import Answer, Query
from kdns.wire.message import Key as DependencyKey
from kdns.wire.names import Name

if TYPE_CHECKING:
    from kdns.plugins.metadata import Reader

T = TypeVar("T")


class Services:
    """What the stages of a generation are given, and what they have done for them, all blocks together."""

    def __init__(
        self, clusters: Mapping[Access, Cluster], metrics: Metrics, changed: OnChange
    ) -> None:
        self.clusters, self.metrics, self.changed = clusters, metrics, changed
        self.zone_stores: list[ZoneFiles] = []
        self.text_files: list[TextFile[object]] = []
        self.preparations: list[Callable[[], None]] = []
        self.feeds: list[Service] = []
        self.reporting: list[Callable[[], None]] = []
        self.forgetful: list[Callable[[Iterable[DependencyKey]], None]] = []


class BlockContext:
    """What the stages of one server block may ask for (``plugins.interface.Context``)."""

    def __init__(self, block: ServerBlock, hosts: tuple[str, ...], services: Services) -> None:
        self.block, self.hosts, self.services = block, hosts, services
        self.server = server_label(hosts[0], block.keys[0].port, block.keys[0].scheme)
        self.metrics, self.changed = services.metrics, services.changed
        self.directive = ""
        self.offers: list[Offer] = []
        self.pools: list[Pool] = []
        self.notified: Callable[[Query], Answer] | None = None
        self.responder: Responder | None = None
        self.handler: Handler | None = None
        """The block's chain, once that is built."""
        self._metadata: Reader | None = None
        self._local: tuple[str, ...] | None = None

    def prepare(self, work: Callable[[], None]) -> None:
        self.services.preparations.append(work)

    def run(self, service: Callable[[], Coroutine[None, None, None]]) -> None:
        self._follow(str(self.block.location), service)

    def on_change(self, forget: Callable[[Iterable[DependencyKey]], None]) -> None:
        self.services.forgetful.append(forget)

    def on_notify(self, take: Callable[[Query], Answer]) -> None:
        self.notified = take

    def on_scrape(self, report: Callable[[], None]) -> None:
        self.services.reporting.append(report)

    def cluster(self, access: Access) -> tuple[Index, SourceStatus]:
        cluster = self.services.clusters[base(access)]
        return cluster.index, cluster.status

    def zone_files(self, files: Iterable[tuple[Name, str]], reload: float) -> ZoneFiles:
        return self._zones(NamedFiles(files), reload)

    def zone_folder(
        self, folder: str, pattern: str, template: str, origins: tuple[Name, ...], reload: float
    ) -> ZoneFiles:
        return self._zones(Folder(folder, pattern, template, origins), reload)

    def _zones(self, listing: Listing, reload: float) -> ZoneFiles:
        store = ZoneFiles(listing, reload, self.changed)
        self.services.zone_stores.append(store)
        self._follow(str(self.block.location), store.run, "zones")
        return store

    def text_file(self, path: str, reload: float, read: Callable[[str], T]) -> TextFile[T]:
        file = TextFile(path, reload, read, self.changed)
        self.services.text_files.append(file)
        self._follow(path, file.run, "text")
        return file

    def _follow(
        self, what: str, run: Callable[[], Coroutine[None, None, None]], kind: str = "service"
    ) -> None:
        self.services.feeds.append(Service(f"{self.directive} {what}", run, kind))

    def publish(self, reader: Reader | None) -> None:
        """Have ``metadata`` come from there."""
        self._metadata = reader

    def metadata(self, query: Query, label: str, answer: Answer | None = None) -> str:
        return self._metadata(query, label, answer) if self._metadata else ""

    def receives(self, query: Query, name: Name) -> tuple[bool, bool]:
        assert self.responder is not None, "set once the chains are built"
        served, by_client = self.responder.find(replace(query, name=name))
        return served is not None and served.handler == self.handler, by_client

    async def resolve(self, query: Query) -> Answer:
        assert self.responder is not None, "set once the chains are built"
        return await self.responder.resolve(query)

    def now(self) -> float:
        return time()

    def local_addresses(self) -> tuple[str, ...]:
        if self._local is None:
            self._local = local_addresses() if self.hosts == ANY_HOSTS else self.hosts
        return self._local
