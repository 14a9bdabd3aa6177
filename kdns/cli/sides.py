"""What ``kdns diff`` compares: servers, and what manifests, zone files or a Corefile come to.

Each side can be asked, and most can say which names there are.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from kdns.cli import check, configured, coredns, servers
from kdns.config import corefile, flags
from kdns.config.addresses import Address
from kdns.config.tree import ConfigError, Location, Option, ServerBlock
from kdns.stub.exchange import Exchange
from kdns.stub.resolver_config import ResolverConfig
from kdns.upstream.errors import UpstreamError
from kdns.upstream.transfer import transfer
from kdns.wire.constants import Rcode, rcode_name
from kdns.wire.message import Query, Record
from kdns.wire.names import Name, from_wire, to_text, to_wire

if TYPE_CHECKING:
    from kdns.server.generation import Generation

Question: TypeAlias = tuple[Name, int]

PATIENCE: Final = 2.0
ATTEMPTS: Final = 3
"""Seconds and tries for a server's reply."""
API: Final = "api"
"""The word for the API server that the options name."""


class Side(Protocol):
    """One of the two."""

    async def questions(self) -> set[Question]:
        """All names with their types; empty where it does not tell."""

    async def ask(self, name: Name, qtype: int) -> tuple[str, Sequence[Record]]:
        """What kind of answer there is, such as NXDOMAIN or "" for one with records, and these.

        Raises ``ConfigError`` where there is none.
        """


class Server:
    """A server somewhere; it tells its names only where it allows transfers (AXFR)."""

    def __init__(self, address: Address, zones: Iterable[str]) -> None:
        self.address, self.zones = address, tuple(zones)
        self._exchange = Exchange(ResolverConfig((address,)), lambda _: None)

    async def questions(self) -> set[Question]:
        found: set[Question] = set()
        for text in self.zones:
            for zone in corefile.expand_zone(text):
                try:
                    found |= {key async for key in _keys(transfer(self.address, to_wire(zone)))}
                except UpstreamError:
                    continue
        return found

    async def ask(self, name: Name, qtype: int) -> tuple[str, Sequence[Record]]:
        for _ in range(ATTEMPTS):
            step = await self._exchange.once(self.address, to_text(name), qtype, PATIENCE)
            if step.response is not None:
                return _kind(step.rcode, step.response.answer), step.response.answer
        raise ConfigError(f"{self.address}: {step.problem}")


class Configured:
    """What a server would answer, made up for this."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation

    async def questions(self) -> set[Question]:
        from kdns.server import offline

        zones = offline.zones(self._generation)
        return {
            (from_wire(record.owner), record.rtype)
            for records in zones.values()
            for record in records
        }

    async def ask(self, name: Name, qtype: int) -> tuple[str, Sequence[Record]]:
        query = Query(to_wire(name), name, qtype)
        for responder in self._generation.responders.values():
            if responder.find(query)[0] is not None:
                answer = await responder.resolve(query)
                return _kind(answer.rcode, answer.answer), tuple(answer.answer)
        return rcode_name(Rcode.REFUSED), ()


async def _keys(records: AsyncIterator[Record]) -> AsyncIterator[Question]:
    async for record in records:
        yield from_wire(record.owner), record.rtype


def _kind(rcode: int, records: Sequence[Record]) -> str:
    if rcode == Rcode.NOERROR:
        return "" if records else "NODATA"
    return rcode_name(rcode)


@asynccontextmanager
async def opened(word: str, options: argparse.Namespace) -> AsyncIterator[Side]:
    """``@SERVER``, a path, or ``api``. Raises ``ConfigError``."""
    if word.startswith("@"):
        yield Server(servers.read(word, options.port), options.zone or ZONES)
        return
    async with configured.loaded(_blocks(word, options)) as generation:
        yield Configured(generation)


ZONES: Final = ("cluster.local", *flags.REVERSE_ZONES)


def _blocks(word: str, options: argparse.Namespace) -> tuple[ServerBlock, ...]:
    if word == API:
        return configured.blocks(options)
    path = Path(word)
    if not path.exists():
        raise ConfigError(f"{word!r}: expected @SERVER, an existing path, or {API}")
    kinds = check.kinds(path, "")
    if "manifests" in kinds:
        given = {
            **vars(options),
            "manifests": word,
            "kubeconfig": "",
            "in_cluster": False,
            "conf": "",
        }
        return configured.blocks(argparse.Namespace(**given))
    if "zone" in kinds:
        return (_zone_block(path),)
    return coredns.read(word, coredns.DEFAULT_PORT)


def _zone_block(path: Path) -> ServerBlock:
    """A server of the file, or of all db.ZONE in the folder."""
    place = Location(str(path))
    if path.is_dir():
        serving = Option("auto", (), place, (Option("directory", (str(path),), place),))
    else:
        origin = to_text(check.origin("", path.name))
        serving = Option("file", (str(path), origin), place)
    (block,) = corefile.default_blocks(coredns.DEFAULT_PORT)
    return ServerBlock(block.keys, (serving,), place)
