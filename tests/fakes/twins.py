"""A whole configuration without sockets, and beside each reply cache what would be answered without it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
from msgspec import Struct

from kdns.answers.responder import Responder
from kdns.config import corefile
from kdns.metrics import Metrics
from kdns.plugins.chain import Plan
from kdns.records.objects import Change, Kind, Object, Replaced
from kdns.server.clusters import Cluster, merge
from kdns.server.generation import Generation, plan, wanted_clusters
from kdns.status import ResourceStatus
from kdns.wire.constants import EdnsOption
from kdns.wire.message import Key, Transport
from tests.fakes.replies import Address

CLIENT = "192.0.2.1"
_WITH_UPSTREAMS = {"cache", "forward", "proxy"}
TTL_SLACK = 1
"""Seconds: a TTL may count down between two replies."""


class Asked(Struct, frozen=True):
    """A request, and how it comes."""

    data: bytes
    transport: Transport = "udp"
    client: str = CLIENT


def plans(text: str) -> tuple[Plan, ...]:
    """The server blocks of a Corefile."""
    return plan(corefile.parse(text, "Corefile"))


class Twins:
    """A generation whose first address is queried with its reply cache and without.

    Both share the chains, and so whatever the directives themselves remember.
    """

    def __init__(self, text: str, objects: Iterable[Object] = ()) -> None:
        planned = plans(text)
        accesses = merge(wanted_clusters(planned)).items()
        self.clusters = {shared: Cluster(access) for shared, access in accesses}
        for cluster in self.clusters.values():
            cluster.changed = self.changed
            for kind in Kind:
                cluster.status.resources[kind.value] = ResourceStatus(synced=True)
                mine = tuple(item for item in objects if _kind(item) is kind)
                cluster.index.apply(Replaced(kind, mine), 7.0)
        self.metrics = Metrics()
        self.generation = Generation(planned, self.clusters, self.metrics, self.changed)
        self.generation.load_zones()
        self.addresses = {site: Address(each) for site, each in self.generation.responders.items()}
        self.address = next(iter(self.addresses.values()))
        self.cache = self.address.cache
        self.uncached: Responder = copy.copy(self.address.responder)
        self.uncached.cache, self.uncached._secret = None, self.cache.secret

    async def __aenter__(self) -> Self:
        """Run what upstreams and the directive ``cache`` need; files are looked at by ``notice``."""
        feeds = [each for each in self.generation.feeds if each.name.split()[0] in _WITH_UPSTREAMS]
        self._running = [asyncio.ensure_future(each.run()) for each in feeds]
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    # ---- changes

    def changed(self, keys: Iterable[Key]) -> None:
        """Have everybody forget what depends on these, as the server does."""
        keys = frozenset(keys)
        self.generation.forget(keys)
        for address in self.addresses.values():
            address.responder.refresh(address.cache.drop(keys))

    def apply(self, change: Change) -> None:
        """A change in each cluster."""
        for cluster in self.clusters.values():
            cluster.apply(change)

    async def notice(self, path: Path) -> None:
        """Have it noticed that a file has changed."""
        for file in self.generation.services.text_files:
            if file._take(file._look()):
                file._on_change(frozenset((("file", file.path),)))
        for store in self.generation.services.zone_stores:
            await store._refresh((path.name,))

    # ---- queries

    async def cached(self, asked: Asked) -> bytes | None:
        """The reply as a listener sends it."""
        found = self.address.hit(asked.data, asked.transport, asked.client)
        if found is not None:
            return found
        return await _respond(self.address.responder, asked)

    async def fresh(self, asked: Asked) -> bytes | None:
        """The reply that is made now."""
        return await _respond(self.uncached, asked)

    async def check(self, asked: Asked) -> bool:
        """Compare the two; whether the first was in the cache."""
        found = self.address.hit(asked.data, asked.transport, asked.client)
        cached = found if found is not None else await _respond(self.address.responder, asked)
        fresh = await self.fresh(asked)
        assert not (differs := difference(cached, fresh)), f"{differs}\n{asked}"
        return found is not None


async def _respond(responder: Responder, asked: Asked) -> bytes | None:
    reply = responder.respond(asked.data, asked.client, 5353, asked.transport, "127.0.0.1")
    return reply if reply is None or isinstance(reply, bytes) else await reply  # type: ignore[misc]


def _kind(item: Object) -> Kind:
    return Kind[type(item).__name__.upper()]


# ---- what may differ


def difference(one: bytes | None, other: bytes | None) -> str:
    """What of two replies differs that may not; "" where nothing does."""
    if one == other:
        return ""
    if one is None or other is None:
        return f"silence: {one!r}, {other!r}"
    if len(one) < 12 or len(other) < 12 or one[6:8] == other[6:8] == b"\0\0" == one[4:6]:
        return f"octets: {one!r}, {other!r}"
    found, wanted = dns.message.from_wire(one), dns.message.from_wire(other)
    for part in (_header, _question, _sections, _options):
        if part(found, one) != part(wanted, other):
            return f"{part.__name__[1:]}: {part(found, one)}, {part(wanted, other)}"
    ttls = zip(_ttls(found), _ttls(wanted), strict=True)
    if any(abs(left - right) > TTL_SLACK for left, right in ttls):
        return f"TTLs: {_ttls(found)}, {_ttls(wanted)}"
    return _reasons_differ(_reasons(found), _reasons(wanted))


def _header(message: dns.message.Message, data: bytes) -> object:
    opt = (message.edns, message.ednsflags, message.payload) if message.edns >= 0 else ()
    return data[2:6], opt


def _question(message: dns.message.Message, data: bytes) -> object:
    return [(each.name.labels, each.rdtype, each.rdclass) for each in message.question]


def _lines(message: dns.message.Message) -> list[list[tuple[str, int]]]:
    """Each section's records in order of their texts; the serial of a denial's SOA left out."""
    sections: list[list[tuple[str, int]]] = []
    for section in (message.answer, message.authority, message.additional):
        lines: list[tuple[str, int]] = []
        for rrset in section:
            for rdata in rrset:
                text = rdata.to_text()
                if rrset.rdtype == dns.rdatatype.SOA and section is message.authority:
                    words = text.split()
                    text = " ".join((*words[:2], *words[3:]))
                lines.append((f"{rrset.name} {rrset.rdclass} {rrset.rdtype} {text}", rrset.ttl))
        sections.append(sorted(lines))
    return sections


def _sections(message: dns.message.Message, data: bytes) -> object:
    """Of rotating addresses that do not fit all, others are there each time: these only by number."""
    if message.flags & dns.flags.TC or PARTIAL:
        return [[len(rrset) for rrset in section] for section in message.sections[1:]]
    return [[line for line, _ in section] for section in _lines(message)]


PARTIAL: list[bool] = []
"""Not empty while ``max_answers`` sends other records each time."""


def _ttls(message: dns.message.Message) -> list[int]:
    return [ttl for section in _lines(message) for _, ttl in section]


def _options(message: dns.message.Message, data: bytes) -> object:
    """All but reasons; of a cookie the client's part and the length."""
    found = []
    for option in message.options:
        if option.otype == EdnsOption.COOKIE:
            value = option.to_wire()
            found.append((int(option.otype), value[:8], len(value)))
        elif option.otype != EdnsOption.EXTENDED_ERROR:
            found.append((int(option.otype), option.to_wire(), 0))
    return sorted(found)


def _reasons(message: dns.message.Message) -> list[tuple[int, str]]:
    errors = [option for option in message.options if isinstance(option, dns.edns.EDEOption)]
    return [(int(error.code), error.text or "") for error in errors]


def _reasons_differ(one: list[tuple[int, str]], other: list[tuple[int, str]]) -> str:
    """ "" where the texts are the same as far as the shorter one goes."""
    if [code for code, _ in one] != [code for code, _ in other]:
        return f"reasons: {one}, {other}"
    for (_, left), (_, right) in zip(one, other, strict=True):
        shorter, longer = sorted((left.removesuffix("…"), right.removesuffix("…")), key=len)
        if not longer.startswith(shorter) or (shorter == "") != (longer == ""):
            return f"texts: {left!r}, {right!r}"
    return ""
