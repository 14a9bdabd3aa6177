"""A server block's chain from Corefile text, without sockets: what a question to it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TypeVar

from msgspec.structs import replace

from kdns.config import corefile
from kdns.config.access import Access
from kdns.config.tree import ConfigError, ServerBlock
from kdns.metrics import Metrics
from kdns.plugins import chain
from kdns.plugins.interface import Handler, Offer
from kdns.records.index import Index
from kdns.records.objects import Kind, Object, Replaced
from kdns.sources.textfiles import TextFile
from kdns.sources.zone_folder import Folder, NamedFiles
from kdns.sources.zonefiles import ZoneFiles
from kdns.status import ResourceStatus, SourceStatus
from kdns.upstream.pool import Pool
from kdns.wire.constants import Rcode, Type
from kdns.wire.message import Answer, Edns, Key, Query, Record
from kdns.wire.names import Name, from_text, wire_from_text, wire_to_text
from kdns.wire.record_types import target_of

T = TypeVar("T")


class Chain:
    """A server with one block. ``objects`` are what its cluster holds, ``local`` its own addresses.

    A test can change the ``status`` of its source.
    """

    directive = ""

    def __init__(
        self, text: str, objects: Iterable[Object] = (), local: tuple[str, ...] = ()
    ) -> None:
        (self.block,) = corefile.parse(text, "Corefile")
        self.index, self.local = Index(), local
        resources = {kind.value: ResourceStatus(synced=True) for kind in Kind}
        self.status = SourceStatus("API server test", resources)
        found = tuple(objects)
        for kind in Kind:
            mine = tuple(each for each in found if _KINDS[type(each).__name__] is kind)
            self.index.apply(Replaced(kind, mine), 7.0)
        self.files: list[TextFile[object]] = []
        self.stores: list[ZoneFiles] = []
        self.changes: list[frozenset[Key]] = []
        self.metrics, self.server = Metrics(), "dns://:53"
        self.pools: list[Pool] = []
        self.offers: list[Offer] = []
        self.plan = chain.plan(self.block)
        self.published = chain.published(self.plan, self)
        self.handler: Handler = chain.build(self.plan, self)
        for file in self.files:
            file.load()
        for store in self.stores:
            store.load()

    def settings(self, directive: str) -> object:
        """What a directive of the block says."""
        return self.plan.first(directive)

    def prepare(self, work: Callable[[], None]) -> None:
        work()

    def changed(self, keys: frozenset[Key]) -> None:
        self.changes.append(keys)

    def on_notify(self, take: Callable[[Query], Answer]) -> None:
        """Nobody sends any here."""

    def run(self, service: Callable[[], Coroutine[None, None, None]]) -> None:
        """Nothing runs by itself here."""

    def on_change(self, forget: Callable[[Iterable[Key]], None]) -> None:
        """Nothing changes by itself here."""

    def on_scrape(self, report: Callable[[], None]) -> None:
        self.metrics.before_scrape(report)

    def zone_files(self, files: Iterable[tuple[Name, str]], reload: float) -> ZoneFiles:
        self.stores.append(ZoneFiles(NamedFiles(files), reload, self.changes.append))
        return self.stores[-1]

    def zone_folder(
        self, folder: str, pattern: str, template: str, origins: tuple[Name, ...], reload: float
    ) -> ZoneFiles:
        listing = Folder(folder, pattern, template, origins)
        self.stores.append(ZoneFiles(listing, reload, self.changes.append))
        return self.stores[-1]

    def text_file(self, path: str, reload: float, read: Callable[[str], T]) -> TextFile[T]:
        file = TextFile(path, reload, read, self.changes.append)
        self.files.append(file)
        return file

    def metadata(self, query: Query, label: str, answer: Answer | None = None) -> str:
        return self.published(query, label, answer) if self.published else ""

    def receives(self, query: Query, name: Name) -> tuple[bool, bool]:
        return True, False

    async def resolve(self, query: Query) -> Answer:
        return await self.handler(query)

    def cluster(self, access: Access) -> tuple[Index, SourceStatus]:
        return self.index, self.status

    def now(self) -> float:
        return 1_000_000.0

    def local_addresses(self) -> tuple[str, ...]:
        return self.local

    def ask(self, text: str, **fields: object) -> Answer:
        """The answer to ``NAME TYPE``."""
        query = replace(question(text), **fields)
        return asyncio.run(_wait(self.handler, query))


_KINDS = {
    "Service": Kind.SERVICE,
    "Slice": Kind.SLICE,
    "Pod": Kind.POD,
    "Namespace": Kind.NAMESPACE,
    "Node": Kind.NODE,
    "Import": Kind.IMPORT,
}


async def _wait(handler: Handler, query: Query) -> Answer:
    return await handler(query)


def question(text: str) -> Query:
    name, qtype = text.split()
    return Query(wire_from_text(name), from_text(name), Type[qtype], edns=Edns(), client="10.0.0.9")


def block(text: str) -> ServerBlock:
    """A block for everything whose directives are ``text``."""
    (parsed,) = corefile.parse(". {\n" + text + "\n}\n", "Corefile")
    return parsed


def refusal(text: str) -> str:
    """Why a block with these directives cannot be used; its first line is line 2."""
    try:
        chain.plan(block(text))
    except ConfigError as error:
        return str(error).removeprefix("Corefile:")
    raise AssertionError(f"accepted: {text}")


def settings(text: str) -> object:
    """The settings of the one directive."""
    return next(iter(chain.plan(block(text)).settings.values()))[0]


def told(answer: Answer) -> str:
    """An answer in short: the rcode, and the records of the sections that are not empty."""
    sections = (("", answer.answer), ("ns ", answer.authority), ("+ ", answer.additional))
    lines = [f"{mark}{shown(record)}" for mark, records in sections for record in records]
    return "; ".join([Rcode(answer.rcode).name, *lines])


def shown(record: Record) -> str:
    """``OWNER TTL TYPE DATA`` of the types that these tests use."""
    owner, kind = wire_to_text(record.owner), Type(record.rtype).name
    return f"{owner} {record.ttl} {kind} {_data(record)}"


def _data(record: Record) -> str:
    target = target_of(record.rtype, record.rdata)
    if record.rtype == Type.A:
        return ".".join(map(str, record.rdata))
    if record.rtype == Type.SRV and target is not None:
        numbers = [int.from_bytes(record.rdata[at : at + 2]) for at in (0, 2, 4)]
        return " ".join([*map(str, numbers), wire_to_text(target)])
    if target is not None:
        return wire_to_text(target)
    if record.rtype == Type.AAAA:
        from ipaddress import IPv6Address

        return str(IPv6Address(record.rdata))
    return record.rdata[1:].decode("latin-1")
