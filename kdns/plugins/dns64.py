"""``dns64 [PREFIX]``: AAAA records made from A records, for hosts without IPv4 (RFC 6147)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import IPv6Network, ip_network
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.metrics import families
from kdns.plugins.counting import counted
from kdns.plugins.interface import Context, Handler
from kdns.wire.constants import Class, Rcode, Type
from kdns.wire.message import Answer, Query, Record
from kdns.wire.names import plain_address

NAME: Final = "dns64"
WELL_KNOWN: Final = IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1
LENGTHS: Final = (32, 40, 48, 56, 64, 96)  # RFC 6052 section 2.2
_NO_SOA_TTL: Final = 600  # seconds; RFC 6147 section 5.1.7
MAPPED: Final = bytes(10) + b"\xff\xff"
"""How addresses in ``::ffff:0:0/96`` begin (RFC 4291 section 2.5.5.2)."""
_RESERVED: Final = 8
"""Octet 8 stays zero (RFC 6052 section 2.2)."""


class Settings(Struct, frozen=True):
    """What the directive says."""

    prefix: IPv6Network = WELL_KNOWN
    translate_all: bool = False
    """Also for names that have AAAA records."""
    allow_ipv4: bool = False
    """Also for questions that come over IPv4."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    prefix, translate_all, allow_ipv4 = WELL_KNOWN, False, False
    if directive.args:
        prefix = _prefix(directive)
    for option in directive.options:
        match option.name:
            case "prefix":
                prefix = _prefix(option)
            case "translate_all":
                translate_all = True
            case "allow_ipv4":
                allow_ipv4 = True
            case _:
                option.fail("not an option of dns64; these are prefix, translate_all, allow_ipv4")
    return Settings(prefix, translate_all, allow_ipv4)


def _prefix(option: Option) -> IPv6Network:
    text = option.one()
    try:
        network = ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        network = None
    if not isinstance(network, IPv6Network) or network.prefixlen not in LENGTHS:
        lengths = ", ".join(map(str, LENGTHS))
        option.fail(f"takes an IPv6 prefix with a length of {lengths}, got {text!r}")
    return network


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    return Translator(settings, next_handler, context).answer


class Translator:
    """The stage: asks for A where there is no AAAA, and translates."""

    def __init__(self, settings: Settings, next_handler: Handler, context: Context) -> None:
        self.settings, self.next = settings, next_handler
        self.resolve: Callable[[Query], Awaitable[Answer]] = context.resolve
        self.context = context

    async def answer(self, query: Query) -> Answer:
        reply = await self.next(query)
        if not self._concerns(query):
            return reply
        reply = _without_mapped(reply)
        if not self._needs(reply):
            return reply
        asked = replace(query, qtype=Type.A, transport="internal")
        found = await self.resolve(asked)
        if _has(Type.AAAA, reply) and not _has(
            Type.A, found
        ):  # translate_all, and nothing to translate
            return replace(
                reply,
                keys=reply.keys | found.keys,
                keep_until=min(reply.keep_until, found.keep_until),
            )
        limit = next((r.ttl for r in reply.authority if r.rtype == Type.SOA), _NO_SOA_TTL)
        answer = replace(
            found,
            answer=tuple(self._translated(record, limit) for record in found.answer),
            # The peer's is not authoritative either: it is no data of any zone.
            authoritative=False,
            keys=reply.keys | found.keys,
            keep_until=min(reply.keep_until, found.keep_until),
            replayed=(*reply.replayed, *found.replayed),
            plugin=NAME,
        )
        server = self.context.server
        return counted(answer, self.context.metrics, families.DNS64_TRANSLATED, server)

    def _concerns(self, query: Query) -> bool:
        """Only what came over IPv6, as far as that is asked for: IPv4 hosts need no translation."""
        if query.qtype != Type.AAAA or query.qclass != Class.IN:
            return False
        return self.settings.allow_ipv4 or not _is_ipv4(query.client)

    def _needs(self, reply: Answer) -> bool:
        """RFC 6147 sections 5.1.1 to 5.1.4: errors count as empty answers, but for NXDOMAIN."""
        if reply.rcode == Rcode.NXDOMAIN or not reply.handled:
            return False
        return self.settings.translate_all or not _has(Type.AAAA, reply)

    def _translated(self, record: Record, limit: int) -> Record:
        if record.rtype != Type.A:
            return record
        data = embed(self.settings.prefix, record.rdata)
        return replace(record, rtype=Type.AAAA, ttl=min(record.ttl, limit), rdata=data)


def _has(rtype: int, answer: Answer) -> bool:
    return any(record.rtype == rtype for record in answer.answer)


def _without_mapped(reply: Answer) -> Answer:
    """``reply`` without IPv4-mapped addresses, which lead an IPv6 host nowhere (RFC 6147 section 5.1.4)."""
    if not any(map(_is_mapped, reply.answer)):
        return reply
    return replace(reply, answer=tuple(r for r in reply.answer if not _is_mapped(r)))


def _is_mapped(record: Record) -> bool:
    return record.rtype == Type.AAAA and record.rdata.startswith(MAPPED)


def _is_ipv4(client: str) -> bool:
    return bool(client) and plain_address(client).version == 4


def embed(prefix: IPv6Network, address: bytes) -> bytes:
    """The IPv6 address that stands for an IPv4 one (RFC 6052 section 2.2)."""
    head = prefix.network_address.packed[: prefix.prefixlen // 8]
    before = _RESERVED - len(head)
    if before < 0:
        return head + address
    packed = head + address[:before] + b"\0" + address[before:]
    return packed.ljust(16, b"\0")
