"""``transfer [ZONES…] { to ADDRESS… }``: hands zones over (AXFR, RFC 5936), tells of changes (RFC 1996).

The zones are those of ``kubernetes``, ``file``, ``auto`` and ``secondary`` in the same server block. An IXFR
(RFC 1995) gets the whole zone too, or only the SOA where the asker has it already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from itertools import chain
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.addresses import Address
from kdns.config.tree import Option
from kdns.plugins.interface import Context, Handler
from kdns.plugins.name_servers import read_address, read_source
from kdns.plugins.zones import longest_match, parse_zones, served_zones, zones_of
from kdns.upstream.notify import notify
from kdns.wire.constants import TRANSFERS, Class, ErrorCode, Rcode, Type
from kdns.wire.message import Answer, Query, Record
from kdns.wire.names import Name, to_text
from kdns.wire.reasons import because
from kdns.wire.serials import is_newer, serial_of
from kdns.wire.writer import encode_following

logger: Final = logging.getLogger("kdns.transfer")

NAME: Final = "transfer"
ANYONE: Final = "*"
QUIET: Final = 5.0
"""Seconds between two notices of a zone: in a cluster that changes all the time, each costs a transfer."""

_TRIES: Final = 3
_OPTIONS: Final = ("to", "source")


class Settings(Struct, frozen=True):
    """Who may have which zones."""

    zones: tuple[Name, ...] = ()
    """Empty for those of the server block."""
    to: tuple[Address, ...] = ()
    """Who may ask from that address, and is notified at that port."""
    anyone: bool = False
    source: str = ""
    """Our address for notices; "" for any."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    settings = Settings(parse_zones(directive, directive.args))
    for option in directive.options:
        if option.name == "to":
            settings = _to(settings, option)
        elif option.name == "source":
            if settings.source:
                option.fail(f"{settings.source} is the source already; one line says it")
            settings = replace(settings, source=read_source(option))
        else:
            option.fail(f"unknown option of transfer; known are {', '.join(_OPTIONS)}")
    if not (settings.to or settings.anyone):
        directive.fail("needs a line 'to ADDRESS…', or 'to *' for everybody")
    return settings


def _to(settings: Settings, option: Option) -> Settings:
    if not option.args:
        option.fail("expected addresses, or * for everybody")
    found = [read_address(option, text) for text in option.args if text != ANYONE]
    return replace(
        settings,
        to=(*settings.to, *found),
        anyone=settings.anyone or ANYONE in option.args,
    )


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    stage = Stage(settings, next_handler, context)
    context.on_change(stage.forget)
    if settings.to:
        context.run(stage.notify)
    return stage.answer


class Zone(Struct, frozen=True):
    """A zone as it is sent: whoever asks is sent the same octets."""

    soa: Record
    messages: tuple[bytes, ...]


class Stage:
    """Answers AXFR and IXFR, passes everything else on."""

    def __init__(self, settings: Settings, next_handler: Handler, context: Context) -> None:
        self.settings, self.next, self.context = settings, next_handler, context
        self.zones = served_zones(settings.zones, context)
        block = context.block
        granted = [zones_of(each, each.args, block) for each in block.named(NAME)]
        self.granted = {zone for zones in granted for zone in zones}
        self.allowed = {address.host for address in settings.to}
        self._made: dict[Name, Zone] = {}
        self._changes = 0
        self._making = asyncio.Lock()
        self._changed = asyncio.Event()

    async def answer(self, query: Query) -> Answer:
        if (
            query.qtype not in TRANSFERS
            or query.qclass != Class.IN
            or not self._is_mine(query.name)
        ):
            return await self.next(query)
        if not (self.settings.anyone or query.client in self.allowed):
            return _refused(query, f"transfer has no line 'to {query.client}'")
        if query.transport == "udp" and query.qtype == Type.AXFR:
            return _refused(query, "zones are handed over by TCP (RFC 5936 section 4.2)")
        zone = await self._made_zone(query.name)
        if zone is None:
            return await self.next(query)
        serial = serial_of(zone.soa)
        known = query.serial is not None and not is_newer(serial, query.serial)
        # RFC 1995 section 2: whoever has this version, or asks by UDP where it does not fit, gets the SOA
        alone = query.qtype == Type.IXFR and (known or query.transport == "udp")
        if not alone:
            logger.info("%s serial %d to %s", to_text(query.name), serial, query.client)
        following = () if alone else zone.messages
        return Answer(answer=(zone.soa,), following=following, keep_until=0.0, plugin=NAME)

    def _is_mine(self, name: Name) -> bool:
        """Whether no other ``transfer`` of the block has a longer zone for it."""
        return longest_match(self.granted, name) in self.zones

    async def _made_zone(self, name: Name) -> Zone | None:
        # One at a time: it takes a while, and mostly the next one is the same.
        async with self._making:
            return self._made.get(name) or await self._make(name)

    async def _make(self, name: Name) -> Zone | None:
        await self._wait_for_serial(name)
        changes, found = self._changes, self._records(name)
        if found is None:
            return None
        soa, records = found
        messages = []
        for message in encode_following(chain(records, (soa,))):  # the SOA ends it
            messages.append(message)
            await asyncio.sleep(0)  # others have their turn
        made = Zone(soa, tuple(messages))
        if changes == self._changes:
            self._made[name] = made
        return made

    async def _wait_for_serial(self, name: Name) -> None:
        """A cluster's serial is the second of its last change; until that is over, more may happen in it."""
        for _ in range(_TRIES):
            found = self._records(name)
            left = serial_of(found[0]) + 1 - self.context.now() if found else 0
            if not 0 < left <= 1:
                return
            await asyncio.sleep(left)

    def _records(self, name: Name) -> tuple[Record, Iterator[Record]] | None:
        """A zone's SOA and its other records."""
        for offer in reversed(self.context.offers):
            if (records := offer.records(name)) is not None:
                return next(records), records
        return None

    def forget(self, keys: object) -> None:
        """Something has changed."""
        self._made.clear()
        self._changes += 1
        self._changed.set()

    # ---- RFC 1996

    async def notify(self) -> None:
        """Tell all of ``to`` of each new serial, from the start on."""
        told: dict[Name, int] = {}
        while True:
            self._changed.clear()
            serials = self._serials()
            news = [name for name, serial in serials.items() if told.get(name) != serial]
            told = serials
            await asyncio.gather(
                *(self._tell(name, address) for name in news for address in self.settings.to)
            )
            await asyncio.sleep(QUIET)
            await self._changed.wait()

    def _serials(self) -> dict[Name, int]:
        offered = {name for offer in self.context.offers for name in offer.zones()}
        mine = [name for name in offered if self._is_mine(name)]
        found = {name: self._records(name) for name in mine}
        return {name: serial_of(records[0]) for name, records in found.items() if records}

    async def _tell(self, zone: Name, address: Address) -> None:
        problem = await notify(address, zone, self.settings.source)
        if problem:
            logger.warning("%s did not take the notice of %s: %s", address, to_text(zone), problem)


def _refused(query: Query, text: str) -> Answer:
    errors = because(query, ErrorCode.PROHIBITED, text)
    return Answer(Rcode.REFUSED, authoritative=False, errors=errors, keep_until=0.0, plugin=NAME)
