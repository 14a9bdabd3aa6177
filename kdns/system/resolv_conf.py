"""``resolv.conf``: reading it, and writing one that asks kdns first."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kdns.config.addresses import Address
from kdns.system.addresses import PORT, domain, servers
from kdns.upstream.resolv import lines

PATH: Final = "/etc/resolv.conf"

STUBS: Final = frozenset({Address("127.0.0.53", PORT), Address("127.0.0.54", PORT)})
"""Where systemd-resolved listens."""

MAX_SERVERS: Final = 3
"""The C library reads no more (``MAXNS``)."""


class ResolvConf(Struct, frozen=True):
    """What a file says."""

    servers: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse(text: str) -> ResolvConf:
    """Read it as the C library does: of ``domain`` and ``search`` the last one counts."""
    named: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for words in lines(text):
        match words:
            case ["nameserver", name, *_]:
                named.append(name)
            case ["search" | "domain", *names]:
                search = names
            case ["options", *more]:
                options += more
            case _:
                pass
    found = (name for each in search if (name := domain(each)))
    return ResolvConf(tuple(servers(named)), tuple(dict.fromkeys(found)), tuple(options))


def write(address: Address, search: tuple[str, ...], before: ResolvConf) -> str:
    """A file that asks ``address``, and the earlier servers when nobody answers there.

    Not in turn (``rotate``): those know nothing of the cluster.
    """
    old = [each.host for each in before.servers if each != address]
    lines = [
        "# Written by 'kdns laptop --install'. 'kdns laptop --uninstall' puts back what was here.",
        *(f"nameserver {host}" for host in (address.host, *old[: MAX_SERVERS - 1])),
    ]
    if domains := tuple(dict.fromkeys((*search, *before.search))):
        lines.append("search " + " ".join(domains))
    if options := [option for option in before.options if option != "rotate"]:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"
