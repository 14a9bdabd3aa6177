"""Sockets that are bound to an address, and not read yet."""

from __future__ import annotations

import socket
from collections.abc import Iterable


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
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
