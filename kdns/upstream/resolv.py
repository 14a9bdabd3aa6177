"""Which upstreams a ``resolv.conf`` names, and which a host name stands for. Blocking: for a thread."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import Final

from kdns import whole_file
from kdns.config import resolv_conf
from kdns.config.addresses import Address
from kdns.upstream.client import ask
from kdns.upstream.errors import UpstreamError
from kdns.wire import names
from kdns.wire.constants import Flag, Type
from kdns.wire.message import Query

MAX_BYTES: Final = 1024 * 1024
TIMEOUT: Final = 2.0
"""Seconds for each question to a ``resolver``."""


class ResolvError(Exception):
    """A file or name that gives no upstream; the text says why."""


def nameservers(path: str) -> list[str]:
    """The addresses of its ``nameserver`` lines, as written. Raises ``ResolvError``."""
    try:
        text = whole_file.read(path, MAX_BYTES).decode("utf-8", "replace")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ResolvError(
            f"{path!r} is no address and cannot be read as a file: {reason}"
        ) from error
    return [server.host for server in resolv_conf.parse(text).servers]


def addresses(host: str, resolvers: tuple[Address, ...] = ()) -> list[str]:
    """The addresses of a host, by the system or by these resolvers. Raises ``ResolvError``."""
    # The system takes 10.0.0 for 10.0.0.0 and 1.2.3 for 1.2.0.3; no host's name ends in a number.
    if host.rstrip(".").rpartition(".")[2].isdecimal():
        raise ResolvError(f"{host!r} is neither an IP address nor the name of a host")
    if resolvers:
        return asyncio.run(_ask(host, resolvers))
    try:
        found = _system(host.rstrip(".") + ".")  # no search domains
    except ResolvError:
        found = _system(host)  # a hosts file knows no final dot
    return list(dict.fromkeys(found))


def _system(host: str) -> list[str]:
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise ResolvError(f"host {host!r} cannot be resolved: {problem}") from error
    return [str(entry[4][0]) for entry in entries]


async def _ask(host: str, resolvers: tuple[Address, ...]) -> list[str]:
    wire = names.wire_from_text(host.rstrip(".") + ".")
    problem = "no addresses"
    for resolver in resolvers:
        found: list[str] = []
        for rtype in (Type.A, Type.AAAA):
            query = Query(wire, names.from_wire(wire), rtype, flags=Flag.RD, transport="internal")
            try:
                async with asyncio.timeout(TIMEOUT):
                    response = await ask(resolver, query)
            except (UpstreamError, TimeoutError) as error:
                problem = f"{resolver}: {str(error) or 'no reply'}"
                continue
            found += [str(ip_address(r.rdata)) for r in response.answer if r.rtype == rtype]
        if found:
            return found
    raise ResolvError(f"host {host!r} cannot be resolved: {problem}")
