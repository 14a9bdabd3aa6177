"""``local``: ``localhost`` and the reverse zones of this-host addresses, answered here (RFC 6303, 6761)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kdns.config.tree import Option
from kdns.metrics import families
from kdns.plugins.counting import counted
from kdns.plugins.interface import Context, Handler
from kdns.plugins.zones import longest_match
from kdns.wire import rdata
from kdns.wire.constants import Class, Rcode, Type
from kdns.wire.message import Answer, Query, Record
from kdns.wire.names import Name, skip, to_wire

NAME: Final = "local"
TTL: Final = 604800  # seconds, a week, as with the peer
LOCALHOST: Final[Name] = ("localhost",)
ZONES: Final[tuple[Name, ...]] = (
    LOCALHOST,
    ("0", "in-addr", "arpa"),
    ("127", "in-addr", "arpa"),
    ("255", "in-addr", "arpa"),
)
_LOOPBACK: Final[Name] = ("1", "0", "0", "127", "in-addr", "arpa")
_TARGET: Final = to_wire(LOCALHOST)
_SOA: Final = rdata.soa(_TARGET, to_wire(("root", "localhost")), 1, (0, 0, 0, TTL))


class Settings(Struct, frozen=True):
    """What the directive says."""

    prefix: bool = True
    """Whether ``localhost.`` before a domain is this host too: what search lists make of it."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.none()
    prefix = True
    for option in directive.options:
        if option.name != "localhost_prefix":
            option.fail("not an option of local; expected localhost_prefix on|off")
        if option.one() not in {"on", "off"}:
            option.fail(f"takes on or off, got {option.one()!r}")
        prefix = option.one() == "on"
    return Settings(prefix)


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Answer for the local names; leave the rest to the next stage."""

    async def answer(query: Query) -> Answer:
        if query.qclass != Class.IN:
            return await next_handler(query)
        if _is_localhost(query.name, settings.prefix):
            found = _say(_records(query, _ADDRESSES), query.qname)
            return counted(found, context.metrics, families.LOCALHOST_REQUESTS)
        zone = longest_match(ZONES, query.name)
        return await next_handler(query) if zone is None else _from_zone(query, zone)

    return answer


def _is_localhost(name: Name, prefix: bool) -> bool:
    return len(name) > 1 and (name[-1:] == LOCALHOST or (prefix and name[:1] == LOCALHOST))


_ADDRESSES: Final[dict[int, bytes]] = {Type.A: rdata.a("127.0.0.1"), Type.AAAA: rdata.aaaa("::1")}
_APEX: Final[dict[int, bytes]] = {Type.SOA: _SOA, Type.NS: _TARGET}


def _from_zone(query: Query, zone: Name) -> Answer:
    apex = skip(query.qname, len(query.name) - len(zone))
    if query.name == _LOOPBACK:
        return _say(_records(query, {Type.PTR: _TARGET}), apex)
    if query.name != zone:
        return _say((), apex, Rcode.NXDOMAIN)
    data = _APEX | _ADDRESSES if zone == LOCALHOST else _APEX
    return _say(_records(query, data), apex)


def _records(query: Query, data: dict[int, bytes]) -> tuple[Record, ...]:
    if query.qtype not in data:
        return ()
    return (Record(query.qname, query.qtype, TTL, data[query.qtype]),)


def _say(records: tuple[Record, ...], zone: bytes, rcode: int = Rcode.NOERROR) -> Answer:
    authority = () if records else (Record(zone, Type.SOA, TTL, _SOA),)
    return Answer(rcode, records, authority, authoritative=False, plugin=NAME)
