"""``secondary [ZONES…] { transfer from ADDRESS… }``: zones fetched from other servers (AXFR, RFC 5936)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.addresses import Address
from kdns.config.tree import Option
from kdns.plugins.aliases import AliasChaser
from kdns.plugins.authority import Authority
from kdns.plugins.interface import Context, Handler, zone_key
from kdns.plugins.name_servers import read_address
from kdns.plugins.zones import Fallthrough, parse_fallthrough, parse_zones, served_zones
from kdns.records.zone import Zone
from kdns.upstream.secondary import Fetched
from kdns.wire.constants import Rcode
from kdns.wire.message import Answer, Query
from kdns.wire.names import Name

NAME: Final = "secondary"


class Settings(Struct, frozen=True):
    """Which zones come from where: one line."""

    zones: tuple[Name, ...] = ()
    """Empty for those of the server block."""
    primaries: tuple[Address, ...] = ()
    fallthrough: Fallthrough = Fallthrough()


class Lines(Struct, frozen=True):
    """All ``secondary`` of a server block: the longest zone of any answers."""

    lines: tuple[Settings, ...]


def combine(lines: tuple[Settings, ...]) -> Lines:
    return Lines(lines)


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    settings = Settings(parse_zones(directive, directive.args))
    for option in directive.options:
        match option.name:
            case "transfer":
                found = _primaries(option)
                settings = replace(settings, primaries=(*settings.primaries, *found))
            case "fallthrough":
                settings = replace(settings, fallthrough=parse_fallthrough(option))
            case "catalog":
                option.fail("catalog zones (RFC 9432) are not supported; name the zones")
            case _:
                option.fail("unknown option of secondary; known are transfer from and fallthrough")
    if not settings.primaries:
        directive.fail("needs a line 'transfer from ADDRESS…'")
    return settings


def _primaries(option: Option) -> list[Address]:
    if len(option.args) < 2 or option.args[0] != "from":
        option.fail("expected 'transfer from ADDRESS…'")
    return [read_address(option, text) for text in option.args[1:]]


class Store:
    """A ``ZoneStore`` of zones that are fetched."""

    def __init__(self, fetched: dict[Name, Fetched]) -> None:
        self._fetched = fetched

    def find(self, name: Name) -> tuple[Name, Zone | None] | None:
        for depth in range(len(name) + 1):
            if (found := self._fetched.get(name[depth:])) is not None:
                return name[depth:], found.zone
        return None

    @property
    def zones(self) -> dict[Name, Zone | None]:
        return {origin: found.zone for origin, found in self._fetched.items()}

    def take_notice(self, query: Query) -> Answer:
        """RFC 1996 section 3: the primary says that a zone has changed."""
        found = self._fetched.get(query.name)
        if found is None or not found.notify(query.client):
            return Answer(Rcode.REFUSED, authoritative=False, keep_until=0.0, plugin=NAME)
        return Answer(keep_until=0.0, plugin=NAME)


def wrap(settings: Lines, next_handler: Handler, context: Context) -> Handler:
    """Answer for the zones as they were last fetched; SERVFAIL before that, and when they are too old."""
    lines = {zone: line for line in settings.lines for zone in served_zones(line.zones, context)}
    fetched = {
        zone: Fetched(
            zone, line.primaries, lambda zone: context.changed(frozenset({zone_key(zone)}))
        )
        for zone, line in lines.items()
    }
    for each in fetched.values():
        context.run(each.run)
    store = Store(fetched)
    context.on_notify(store.take_notice)
    authority = Authority(store, NAME, AliasChaser(context.resolve))
    context.offers.append(authority)

    async def handle(query: Query) -> Answer:
        found = authority.match(query)
        if found is None:
            return await next_handler(query)
        fallthrough = lines[found[0]].fallthrough
        return await authority.answer_or_pass(query, found, fallthrough, next_handler)

    return handle
