"""Who answers the system's questions without kdns."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec import Struct

from kdns.config.addresses import Address
from kdns.upstream import resolv

RESOLV_CONF: Final = "/etc/resolv.conf"
STUBS: Final = frozenset({"127.0.0.53", "127.0.0.54"})
RESOLVED: Final = "/run/systemd/resolve/resolv.conf"
"""Where systemd-resolved, whose stub stands in /etc/resolv.conf, tells whom it asks itself."""


class Resolvers(Struct, frozen=True):
    """Name servers, and from where that is known."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    source: str = ""
    domains: tuple[tuple[str, tuple[str, ...]], ...] = ()
    files: tuple[str, ...] = ()
    problem: str = ""


def before_us(ours: Collection[Address]) -> Resolvers:
    """The system's resolvers, without ourselves."""
    hosts = {address.host for address in ours if address.port == 53}
    source = RESOLV_CONF
    try:
        found = resolv.nameservers(source)
        if STUBS.intersection(found):
            source = RESOLVED
            found = resolv.nameservers(source)
    except resolv.ResolvError as error:
        return Resolvers(files=(RESOLV_CONF,), problem=str(error))
    servers = tuple(server for server in found if server not in hosts)
    problem = "" if servers else f"{source} names no other server"
    return Resolvers(servers, (), source, (), (RESOLV_CONF, RESOLVED), problem)
