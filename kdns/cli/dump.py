"""``kdns dump``: all records of a zone as a master file (RFC 1035 section 5)."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TextIO

from kdns.cli import configured, servers
from kdns.config.addresses import Address
from kdns.config.tree import ConfigError
from kdns.wire.constants import Type
from kdns.wire.message import Record
from kdns.wire.names import BadNameError, Name, from_text, from_wire, to_text, to_wire
from kdns.wire.presentation import record_text

EXAMPLES: Final = """\
examples:
  kdns dump cluster.local --manifests examples/cluster       what the folder comes to
  kdns dump all --kubeconfig ~/.kube/config -o zones         db.ZONE for each zone, reverse ones too
  kdns dump cluster.local @10.96.0.10                        from a server that allows transfers (AXFR)
  kdns dump all --conf Corefile                              what a server with this file would answer

A zone file of it can be served by kdns, Knot or BIND, and read by their checkers.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "words",
        nargs="*",
        metavar="ZONE|all [@SERVER]",
        help="a zone, or all of them; a server to ask for it (AXFR)",
    )
    servers.add_port(parser, "the server's port")
    parser.add_argument(
        "-o",
        "--output",
        default="",
        metavar="DIR",
        help="write a file db.ZONE for each zone to this folder",
    )
    configured.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print or write the zones. Returns the exit status."""
    wanted, server = _words(options.words)
    if server:
        if wanted == "all":
            raise ConfigError("a server hands over one zone at a time: name it instead of all")
        address = servers.read(server, options.port)
        configured.refuse(options, server)
        found = asyncio.run(transferred(address, [_zone(wanted)]))
    else:
        found = asyncio.run(_configured(options, wanted))
    for zone, records in found.items():
        _write(zone, records, options.output)
    return 0


def _words(words: list[str]) -> tuple[str, str]:
    """The zone and the server, "" without one."""
    named = [word for word in words if word.startswith("@")]
    zones = [word for word in words if not word.startswith("@")]
    if len(zones) != 1 or len(named) > 1:
        raise ConfigError("expected one zone, or all, and at most one @SERVER")
    return zones[0], "".join(named)


def _zone(text: str) -> Name:
    try:
        return from_text(text.removesuffix(".") + ".")
    except BadNameError as error:
        raise ConfigError(str(error)) from None


async def transferred(address: Address, zones: Iterable[Name]) -> dict[Name, list[Record]]:
    """What a server hands over of each zone. Raises ``ConfigError``."""
    from kdns.upstream.errors import UpstreamError
    from kdns.upstream.transfer import transfer

    try:
        return {
            zone: [record async for record in transfer(address, to_wire(zone))] for zone in zones
        }
    except UpstreamError as error:
        raise ConfigError(f"{address}: {error}") from None


async def _configured(options: argparse.Namespace, wanted_zone: str) -> dict[Name, list[Record]]:
    from kdns.server import offline

    async with configured.loaded(configured.blocks(options)) as generation:
        zones = offline.zones(generation)
        wanted = list(zones) if wanted_zone == "all" else [_zone(wanted_zone)]
        missing = [to_text(zone) for zone in wanted if zone not in zones]
        if missing:
            known = ", ".join(map(to_text, zones)) or "none"
            raise ConfigError(f"no zone {missing[0]} here; there are: {known}")
        return {zone: list(zones[zone]) for zone in wanted}


def _write(zone: Name, records: list[Record], folder: str) -> None:
    if not folder:
        _print(records, sys.stdout)
        return
    path = Path(folder) / f"db.{to_text(zone).removesuffix('.') or 'root'}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            _print(records, file)
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror}") from None
    print(f"{path}: {len(records)} records")


def _print(records: list[Record], file: TextIO) -> None:
    for line in lines(records):
        print(line, file=file)


def lines(records: Iterable[Record]) -> list[str]:
    """A record a line: the SOA first, then by name as a tree is read (RFC 4034 section 6.1)."""
    return [record_text(record) for record in sorted(records, key=_order)]


def _order(record: Record) -> tuple[bool, tuple[str, ...], int, bytes]:
    name = from_wire(record.owner)
    return record.rtype != Type.SOA, name[::-1], record.rtype, record.rdata
