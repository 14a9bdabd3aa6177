"""What ``file``, ``auto`` and ``secondary`` share: a zone's answer, aliases followed out of the zone."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from kdns.plugins.aliases import AliasChaser, depending
from kdns.plugins.interface import Handler, ZoneStore, zone_key
from kdns.plugins.zones import Fallthrough
from kdns.records.zone import Zone, ZoneAnswer
from kdns.wire import names
from kdns.wire.constants import TRANSFERS, Class, ErrorCode, Rcode, Type
from kdns.wire.message import Answer, Query, Record
from kdns.wire.names import Name
from kdns.wire.reasons import because


class Authority(Struct, frozen=True):
    """Answers from the zones of a store."""

    store: ZoneStore
    plugin: str
    """The directive."""
    aliases: AliasChaser

    def zones(self) -> Iterator[Name]:
        return (origin for origin, zone in self.store.zones.items() if zone is not None)

    def records(self, zone: Name) -> Iterator[Record] | None:
        """All records of a zone (``Offer``): a ``Zone`` does not change."""
        found = self.store.zones.get(zone)
        return None if found is None else found.records()

    def match(self, query: Query) -> tuple[Name, Zone | None] | None:
        """The zone to answer from: the longest, but its parent's for the DS at its apex.

        RFC 4035 section 3.1.4.1: the parent is authoritative for that.
        """
        found = self.store.find(query.name)
        if found and found[0] == query.name and found[0] and query.qtype == Type.DS:
            return self.store.find(query.name[1:]) or found
        return found

    async def answer(
        self, query: Query, origin: Name, zone: Zone | None, fallthrough: Fallthrough
    ) -> tuple[Answer, bool]:
        """The answer, and whether the zone has nothing at that name (``fallthrough``)."""
        blank = Answer(keys=frozenset({zone_key(origin)}), plugin=self.plugin)
        if query.qclass != Class.IN:
            return replace(blank, rcode=Rcode.REFUSED, authoritative=False), False
        if query.qtype in TRANSFERS:
            text = "zone transfers are not offered"
            return _failed(blank, query, Rcode.REFUSED, ErrorCode.NOT_SUPPORTED, text), False
        if zone is None:
            text = f"zone {names.to_text(origin)} could not be loaded; the log says why"
            return _failed(blank, query, Rcode.SERVFAIL, ErrorCode.NOT_READY, text), False
        dnssec_ok = query.edns is not None and query.edns.dnssec_ok
        found = zone.lookup(query.qname, query.name, query.qtype, dnssec_ok, query.followed)
        answer = _told(blank, query, found)
        if found.chase is not None:
            answer = await self.aliases.follow(query, answer, _path(answer))
        elif found.lost is not None and fallthrough.covers(names.from_wire(found.lost)):
            # What another directive has, it has behind an alias of this zone, too.
            alias = replace(answer, rcode=Rcode.NOERROR, authority=(), errors=())
            answer = await self.aliases.follow(query, alias, _path(answer))
        return answer, found.missing

    async def answer_or_pass(
        self,
        query: Query,
        found: tuple[Name, Zone | None],
        fallthrough: Fallthrough,
        next_handler: Handler,
    ) -> Answer:
        """The answer, or the next directive's for names that the zone has not and ``fallthrough`` covers.

        Where nobody answers then, the zone does: the name is below it, and does not exist.
        """
        answer, missing = await self.answer(query, *found, fallthrough)
        if not missing or answer.answer or not fallthrough.covers(query.name):
            return answer
        passed = await next_handler(query)
        return depending(passed, answer) if passed.handled else depending(answer, passed)


def _told(blank: Answer, query: Query, found: ZoneAnswer) -> Answer:
    return replace(
        blank,
        rcode=found.rcode,
        answer=found.answer,
        authority=found.authority,
        additional=found.additional,
        authoritative=found.authoritative,
        errors=because(query, ErrorCode.OTHER, found.reason) if found.reason else (),
    )


def _failed(blank: Answer, query: Query, rcode: int, code: int, text: str) -> Answer:
    return replace(blank, rcode=rcode, authoritative=False, errors=because(query, code, text))


def _path(answer: Answer) -> tuple[Record, ...]:
    return tuple([record for record in answer.answer if record.rtype == Type.CNAME])
