"""The stage that answers from a hosts file and from inline lines."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from msgspec.structs import replace

from kdns.metrics import families
from kdns.plugins.hosts.settings import Settings
from kdns.plugins.hosts.table import Table, read
from kdns.plugins.interface import Context, Followed, Handler, file_key
from kdns.plugins.root import rooted
from kdns.plugins.zones import longest_match, served_zones
from kdns.wire.constants import Class, ErrorCode, Rcode, Type
from kdns.wire.message import Answer, Query, Record
from kdns.wire.names import Name, address_of, to_text
from kdns.wire.reasons import because


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    return Hosts(settings, next_handler, context).answer


class Hosts:
    """Known names have their addresses, and no data of other types; the rest may be passed on."""

    def __init__(self, settings: Settings, next_handler: Handler, context: Context) -> None:
        self.settings, self.next = settings, next_handler
        self.zones = served_zones(settings.zones, context)
        self.path = rooted(settings.path, context.block)
        make = partial(read, origins=self.zones, reverse=settings.reverse)
        self.file: Followed[Table] = context.text_file(self.path, settings.reload, make)
        self.inline = make(settings.inline)
        self.keys = frozenset((file_key(self.path),))
        self.metrics = context.metrics
        context.on_scrape(self.report)

    async def answer(self, query: Query) -> Answer:
        if query.qclass != Class.IN:
            return await self.next(query)
        if query.qtype == Type.PTR:
            records = self._names(query)
            return self._found(records) if records else await self._pass_on(query)
        if longest_match(self.zones, query.name) is None:
            return await self.next(query)
        covered = self.settings.fallthrough.covers(query.name)
        if query.qtype in {Type.A, Type.AAAA}:
            records = self._addresses(query)
            if records or self._exists(query.name):
                return self._found(records)
        elif self._exists(query.name) and not (covered and self.settings.other_types_pass):
            return self._found(())
        return await self._pass_on(query) if covered else self._missing(query)

    def report(self) -> None:
        """Show how many entries there are, and from when."""
        entries = len(self.file.value) + len(self.inline)
        self.metrics.show(families.HOSTS_ENTRIES, entries, self.path)
        if self.file.changed_at:
            self.metrics.show(families.HOSTS_RELOADED, self.file.changed_at)

    def _tables(self) -> tuple[Table, Table]:
        return self.file.value, self.inline

    def _exists(self, name: Name) -> bool:
        return any(any(table.find(name, v)) for table in self._tables() for v in (4, 6))

    def _addresses(self, query: Query) -> tuple[Record, ...]:
        version = 4 if query.qtype == Type.A else 6
        found = [a for table in self._tables() for a in table.find(query.name, version)]
        return self._records(query, (address.packed for address in found))

    def _names(self, query: Query) -> tuple[Record, ...]:
        address = address_of(query.name) or ""
        found = [name for table in self._tables() for name in table.names.get(address, ())]
        return self._records(query, found)

    def _records(self, query: Query, data: Iterable[bytes]) -> tuple[Record, ...]:
        ttl = self.settings.ttl
        return tuple([Record(query.qname, query.qtype, ttl, one) for one in dict.fromkeys(data)])

    def _found(self, records: tuple[Record, ...]) -> Answer:
        return Answer(answer=records, keys=self.keys, plugin="hosts")

    async def _pass_on(self, query: Query) -> Answer:
        passed = await self.next(query)
        return replace(passed, keys=passed.keys | self.keys)

    def _missing(self, query: Query) -> Answer:
        """There is no SOA to deny the name with, so it is a failure, as with the peer."""
        text = f"{to_text(query.name)[:120]} is not in the hosts file, and nothing else is asked"
        errors = because(query, ErrorCode.OTHER, text)
        rcode = Rcode.SERVFAIL
        return Answer(rcode, authoritative=False, errors=errors, keys=self.keys, plugin="hosts")
