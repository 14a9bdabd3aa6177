"""macOS: ``scutil --dns`` says what is asked, a file in ``/etc/resolver`` sends a domain elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from kdns.config.addresses import Address
from kdns.system.addresses import PORT as DNS_PORT
from kdns.system.addresses import domain, server
from kdns.system.machine import Machine
from kdns.system.steps import WRITTEN, Plan, RunCommand, Step, Wanted, WriteFile

NAME: Final = "/etc/resolver"
FOLDER: Final = "/etc/resolver"
PORT: Final = 1053

_MAX_RESOLVERS: Final = 200


def detect(machine: Machine) -> bool:
    return machine.platform == "darwin"


def plan(machine: Machine, wanted: Wanted) -> Plan:
    assert wanted.address, "chosen"
    text = f"{WRITTEN}\nnameserver {wanted.address.host}\nport {wanted.address.port}\n"
    flush = ("dscacheutil", "-flushcache")
    files: list[Step] = [WriteFile(f"{FOLDER}/{zone}", text) for zone in wanted.zones]
    return Plan(
        NAME, wanted, (RunCommand(undo=flush), *files, RunCommand(do=flush)), _notes(wanted)
    )


def _notes(wanted: Wanted) -> tuple[str, ...]:
    if not wanted.search:
        return ()
    command = f"networksetup -setsearchdomains Wi-Fi {' '.join(wanted.search)}"
    return (f"macOS has search domains by network service; for short names set them: {command}",)


class Resolver(Struct):
    """A block of what ``scutil --dns`` prints."""

    domain: str = ""
    servers: list[str] = []
    search: list[str] = []
    port: int = DNS_PORT
    mdns: bool = False

    def addresses(self) -> list[Address]:
        found = [address for text in self.servers if (address := server(text))]
        return [Address(each.host, self.port) for each in found]


def upstreams(
    machine: Machine,
) -> tuple[list[Address], tuple[tuple[str, list[Address]], ...], list[str]]:
    """The servers for all names, those for some domains, the search domains."""
    resolvers = list(parse(machine.run("scutil", "--dns").output))
    general = [each for each in resolvers if not each.domain and not each.mdns]
    elsewhere = tuple(
        (each.domain, found)
        for each in resolvers
        if each.domain and not each.mdns and (found := each.addresses())
    )
    # The first one is asked; those behind it are for what is bound to an interface.
    servers = general[0].addresses() if general else []
    search = [name for text in (general[0].search if general else ()) if (name := domain(text))]
    return servers, elsewhere, search


def parse(text: str) -> Iterator[Resolver]:
    """The resolvers for all programs; those "for scoped queries" follow and are left out."""
    body = text.partition("DNS configuration (for scoped queries)")[0]
    blocks = re.split(r"^resolver #\d+\s*$", body, flags=re.MULTILINE)[1 : _MAX_RESOLVERS + 1]
    for block in blocks:
        resolver = Resolver()
        for key, value in re.findall(r"^\s+([\w ]+?)(?:\[\d+\])?\s*: (.*)$", block, re.MULTILINE):
            _take(resolver, key, value.strip())
        yield resolver


def _take(resolver: Resolver, key: str, value: str) -> None:
    match key:
        case "domain":
            resolver.domain = domain(value)
        case "nameserver":
            resolver.servers.append(value)
        case "search domain":
            resolver.search.append(value)
        case "port" if value.isascii() and value.isdigit() and 0 < int(value[:6]) < 65536:
            resolver.port = int(value[:6])
        case "options":
            resolver.mdns = "mdns" in value.split()
        case _:
            pass
