"""Where a question arrived: the address and port of this server that the asker used."""

from __future__ import annotations

import socket
from typing import Final

from kdns.wire.message import Query

EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})


def server_address(query: Query) -> tuple[str, int]:
    """The address and the port; ("", 0) for a question of the server's own.

    A socket that is bound to every address does not tell which one a datagram was sent to. It is the
    one that the reply leaves from, or else the asker would not take it: the kernel says which.
    """
    host, port = query.server
    if host in EVERY_ADDRESS and query.client:
        host = _source_towards(query.client)
    return host, port


def _source_towards(client: str) -> str:
    """Nothing is sent: to connect a UDP socket is to look up the route.

    "" where there is none, nor a descriptor for the socket.
    """
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((client, 53))
            return str(probe.getsockname()[0])
    except OSError:
        return ""
