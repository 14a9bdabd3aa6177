"""``no_aaaa [ZONES…]``: names have no AAAA records, as told to who lives where IPv6 leads nowhere.

Such a question is asked as one for A, which the asker sends as well, so no upstream ever sees it; what
comes back decides whether the name exists. A plain NODATA for every name would end the search along
a resolv.conf's search list at the first suffix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins.aliases import depending
from kdns.plugins.interface import Context, Handler
from kdns.plugins.zones import longest_match, zones_of
from kdns.wire import rdata
from kdns.wire.constants import Class, ErrorCode, Rcode, Type
from kdns.wire.message import Answer, Query, Record
from kdns.wire.names import to_wire
from kdns.wire.reasons import because

MAX_TTL: Final = 300
"""Seconds that the absence holds at most, else as long as the A records (RFC 2308 section 5)."""

TEXT: Final = "AAAA is not answered here (no_aaaa)"
_TIMERS: Final = (7200, 1800, 86400)


class Settings(Struct, frozen=True):
    """What the directive says; without zones it is for all names."""

    zones: tuple[str, ...] = ()
    directive: Option = Option("no_aaaa")


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    for option in directive.options:
        option.fail("no_aaaa has no options; expected no_aaaa [ZONES…]")
    return Settings(directive.args, directive)


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Ask for A where AAAA is asked for."""
    zones = zones_of(settings.directive, settings.zones, context.block)

    async def answer(query: Query) -> Answer:
        if query.qtype != Type.AAAA or query.qclass != Class.IN:
            return await next_handler(query)
        zone = longest_match(zones, query.name)
        if zone is None:
            return await next_handler(query)
        found = await next_handler(replace(query, qtype=Type.A))
        if found.rcode != Rcode.NOERROR or not found.answer:
            return found
        if not found.authoritative:
            return _without_addresses(query, found, (_soa(to_wire(zone), found),))
        # a zone of our own, which knows its SOA
        zone_says = await next_handler(replace(query, qtype=Type.SOA))
        return depending(_without_addresses(query, found, _negative(zone_says)), zone_says)

    return answer


def _without_addresses(query: Query, found: Answer, authority: Sequence[Record]) -> Answer:
    """NODATA (RFC 2308 section 2.2), behind the aliases if there are any."""
    return replace(
        found,
        answer=tuple(record for record in found.answer if record.rtype != Type.A),
        authority=authority,
        additional=(),
        errors=(*found.errors, *because(query, ErrorCode.FILTERED, TEXT)),
        at_most=0,
        authenticated=False,
    )


def _negative(found: Answer) -> tuple[Record, ...]:
    """The authority section of a negative answer, from the answer for SOA at the same name."""
    at_apex = [record for record in found.answer if record.rtype == Type.SOA]
    if not at_apex:
        return tuple(found.authority)
    soa = at_apex[0]  # RFC 2308 section 5: its TTL is the lesser of its own and its last field
    return (replace(soa, ttl=min(soa.ttl, int.from_bytes(soa.rdata[-4:]))),)


def _soa(zone: bytes, found: Answer) -> Record:
    """One that lets the absence be kept as long as the addresses that were found."""
    ttl = min(MAX_TTL, *(record.ttl for record in found.answer))
    data = rdata.soa(
        to_wire(("ns", "dns"), zone), to_wire(("hostmaster",), zone), 1, (*_TIMERS, ttl)
    )
    return Record(zone, Type.SOA, ttl, data)
