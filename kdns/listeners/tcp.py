"""TCP: the open connections of one address, how many there may be, and how they end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter, OrderedDict
from contextlib import suppress
from typing import Final

from msgspec import Struct

from kdns.answers.repeats import Repeats
from kdns.listeners.binding import bound
from kdns.listeners.tcp_connection import TcpConnection
from kdns.wire.message import Respond, Transport

logger: Final = logging.getLogger("kdns.listeners.tcp")

BACKLOG: Final = 1024
"""Connections that the kernel keeps until they are accepted."""


class Limits(Struct, frozen=True):
    """What one address allows itself. Times in seconds."""

    idle: float = 10.0
    """Without a whole question and with none waiting; CoreDNS's figure. Drops of a question that
    trickle in do not count, so nobody keeps a connection by sending an octet now and then."""
    unread: float = 5.0
    """While replies wait for the asker to read them; CoreDNS's figure for a write."""
    connections: int = 1000
    """Below the 1024 files that a process usually may have open."""
    per_client: int = 500
    """Whole nodes ask from one address, through NAT or a cache, so this only stops a leak of theirs."""


class TcpListener:
    """One TCP socket's connections, the longest inactive first."""

    def __init__(
        self,
        repeats: Repeats,
        respond: Respond,
        transport_name: Transport = "tcp",
        limits: Limits | None = None,
    ) -> None:
        self.repeats, self.respond, self.transport_name = repeats, respond, transport_name
        self.limits = limits or Limits()
        self.connections: OrderedDict[TcpConnection, None] = OrderedDict()
        self.accepted = 0
        self.ended: Counter[str] = Counter()
        """Connections that we closed, by reason: idle, unread, evicted, refused, cut, handshake."""
        self._per_client: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._all_closed: asyncio.Event = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that is listened on; 0 when none is."""
        sockets = self._server.sockets if self._server else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    async def start(self, sock: socket.socket) -> None:
        """Accept connections on a bound socket, from now on ours."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: TcpConnection(self), sock=sock, backlog=BACKLOG
        )
        self.sweep_later()

    def close(self) -> None:
        """Accept no more connections; those that are open go on."""
        if self._server:
            self._server.close()

    async def drain(self, seconds: float) -> int:
        """End all connections: what was asked is answered, at most so long.

        Returns how many questions were cut off, and connections whose replies were not read.
        """
        self.close()
        for connection in tuple(self.connections):
            connection.finish()
        if self.connections:
            self._all_closed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), seconds)
        cut = sum(max(1, len(connection.waiting)) for connection in self.connections)
        for connection in tuple(self.connections):
            self._end(connection, "cut")
        if self._sweep:
            self._sweep.cancel()
        return cut

    # What connections report.

    def opened(self, connection: TcpConnection) -> bool:
        self.accepted += 1
        if self._per_client[connection.client] >= self.limits.per_client:
            admitted = self._evict(connection.client)
        else:
            admitted = len(self.connections) < self.limits.connections or self._evict()
        if not admitted:
            self.ended["refused"] += 1
            return False
        connection.active_at = asyncio.get_running_loop().time()
        self.connections[connection] = None
        self._per_client[connection.client] += 1
        return True

    def touched(self, connection: TcpConnection) -> None:
        connection.active_at = asyncio.get_running_loop().time()
        if connection in self.connections:
            self.connections.move_to_end(connection)

    def closed(self, connection: TcpConnection) -> None:
        if connection not in self.connections:
            return
        del self.connections[connection]
        self._per_client[connection.client] -= 1
        if not self._per_client[connection.client]:
            del self._per_client[connection.client]
        if not self.connections:
            self._all_closed.set()

    # Ending connections.

    def _evict(self, client: str = "") -> bool:
        """End the connection that did nothing for longest (RFC 7766 section 6.2.2), if one may end."""
        for connection in self.connections:
            if connection.is_idle and client in {"", connection.client}:
                self._end(connection, "evicted")
                return True
        return False

    def _end(self, connection: TcpConnection, reason: str) -> None:
        self.ended[reason] += 1
        logger.debug("connection of %s ended: %s", connection.client, reason)
        connection.transport.abort()
        self.closed(connection)

    def sweep_later(self) -> None:
        pause = min(1.0, self.limits.idle / 4, self.limits.unread / 4)
        self._sweep = asyncio.get_running_loop().call_later(pause, self._sweep_now)

    def _sweep_now(self) -> None:
        now = asyncio.get_running_loop().time()
        shortest = min(self.limits.idle, self.limits.unread)
        for connection in tuple(self.connections):
            inactive = now - connection.active_at
            if inactive < shortest:
                break
            reason = self._overdue(connection, inactive)
            if reason:
                self._end(connection, reason)
        self.sweep_later()

    def _overdue(self, connection: TcpConnection, inactive: float) -> str:
        if connection.unread or connection.transport.is_closing():
            return "unread" if inactive >= self.limits.unread else ""
        return "idle" if connection.is_idle and inactive >= self.limits.idle else ""


def bind(host: str, port: int, reuse_port: bool = False) -> socket.socket:
    """A TCP socket for ``TcpListener.start``. Raises ``OSError`` when the address cannot be had."""
    options = [(socket.SO_REUSEADDR, 1)]
    if reuse_port:
        options.append((socket.SO_REUSEPORT, 1))
    return bound(socket.SOCK_STREAM, host, port, options)
