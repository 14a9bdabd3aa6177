"""Sockets that are bound to an address, and not read yet."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Final

from kdns.listeners import control_data

RECEIVE_BUFFER: Final = 1024 * 1024
"""Octets of ``SO_RCVBUF`` for UDP: a tenth of a second of work, so that what comes while a change is applied
is answered, and what comes during overload is answered before its client has given up.

Linux counts twice as many, and 832 octets for a datagram of up to 120, 1,280 up to 500: that is 2,520
queries, at 40 µs each (of which upstreams answer some). It allows no more than ``net.core.rmem_max``; where
that is 212,992, it is 512 queries.
"""


def bound(
    kind: socket.SocketKind, host: str, port: int, options: Iterable[tuple[int, int]]
) -> socket.socket:
    """One of an IP address, for it alone; ``options`` are of ``SOL_SOCKET``.

    Raises ``OSError`` when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option, value in options:
            sock.setsockopt(socket.SOL_SOCKET, option, value)
        if kind == socket.SOCK_DGRAM:
            control_data.request(sock, host)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
