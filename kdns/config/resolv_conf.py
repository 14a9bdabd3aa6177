"""``resolv.conf`` as it is written (its manual page in section 5); what its words mean is for who asks."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kdns.config.addresses import Address
from kdns.wire.names import is_address

MAX_SERVERS: Final = 3
"""Libraries ask no more: ``MAXNS`` of glibc and musl; Go has the same."""


class ResolvConf(Struct, frozen=True):
    """What a file says."""

    servers: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse(text: str, port: int = 53) -> ResolvConf:
    """Read it as the C library does: what is no known line or no address is passed over.

    Of ``domain`` and ``search`` the last one counts. ``port`` is that of all servers.
    """
    servers: list[Address] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        match line.split("#")[0].split(";")[0].split():
            case ["nameserver", host, *_] if is_address(host):
                servers.append(Address(host, port))
            case ["search", *names]:
                search = names
            case ["domain", *names]:
                search = names[:1]
            case ["options", *more]:
                options += more
            case _:
                pass
    return ResolvConf(tuple(servers), tuple(search), tuple(options))
