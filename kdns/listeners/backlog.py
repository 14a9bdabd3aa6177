"""TCP sockets that listen before anybody accepts: the kernel takes the connections meanwhile.

Kubernetes asks ``/ready`` for the first time within the second after a container's start. Where that is
refused, as it was while our modules were still being imported, it asks again ``periodSeconds`` later:
ten, by default. Imports nothing that takes time.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from kdns.config.addresses import Address


def listen(address: Address, flags: int = 0) -> socket.socket:
    """Every interface in both families for "", else the first address of the host, IPv4 before 6.

    ``flags`` are those of getaddrinfo(3). Raises ``OSError``.
    """
    if not address.host:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        return socket.create_server(("", address.port), family=family, dualstack_ipv6=both)
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=flags | socket.AI_PASSIVE
    )
    family, _, _, _, where = min(found, key=lambda item: item[0] != socket.AF_INET)
    return socket.create_server(where[:2], family=family)


def hold(addresses: Iterable[Address]) -> dict[Address, socket.socket]:
    """Listen on those that can be had at once; who needs the others will tell why they cannot."""
    held: dict[Address, socket.socket] = {}
    for address in addresses:
        try:
            if address not in held:
                held[address] = listen(address, socket.AI_NUMERICHOST)
        except OSError:
            continue
    return held
