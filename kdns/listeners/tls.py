"""DNS over TLS (RFC 7858): a handshake, then a TCP connection like any other.

The certificate is asked for at each handshake, so a new one is used without a new socket. Handshakes
are bounded in time and number, since they cost most of all that a stranger can have us do.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Final, Protocol

from kdns.answers.repeats import Repeats
from kdns.listeners.tcp import BACKLOG, Limits, TcpListener
from kdns.listeners.tcp_connection import TcpConnection
from kdns.wire.message import Respond

logger: Final = logging.getLogger("kdns.listeners.tls")

MAX_HANDSHAKES: Final = 256
"""Under way at one time; one more ends the oldest, which had its chance."""

HANDSHAKE: Final = 5.0
"""Seconds that a handshake may take: a few round trips, also by satellite."""

FAREWELL: Final = 2.0
"""Seconds that the other side has to say good-bye (``close_notify``)."""


PAUSE: Final = 0.5
"""Seconds before the next try when a connection could not be accepted."""


class Credentials(Protocol):
    """Who knows the certificate."""

    @property
    def context(self) -> ssl.SSLContext:
        """What the next handshake is made with."""


class TlsListener(TcpListener):
    """A TCP socket whose connections begin with a handshake."""

    def __init__(
        self,
        repeats: Repeats,
        respond: Respond,
        credentials: Credentials,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(repeats, respond, "tls", limits)
        self.credentials = credentials
        self.handshakes: dict[asyncio.Task[None], None] = {}
        """Under way, the oldest first."""
        self._sock: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return int(self._sock.getsockname()[1]) if self._sock else 0

    async def start(self, sock: socket.socket) -> None:
        sock.listen(BACKLOG)
        self._sock = sock
        self._accepting = asyncio.create_task(self._accept(sock))
        self.sweep_later()

    def close(self) -> None:
        if self._accepting:
            self._accepting.cancel()
        if self._sock:
            self._sock.close()
            self._sock = None
        while self.handshakes:
            self._end_oldest("cut")

    async def _accept(self, sock: socket.socket) -> None:
        """For as long as there is the socket.

        Not by the event loop's server: it would not say how many handshakes there are.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(sock)
            except OSError as error:  # no more files: those who ask now have to wait
                logger.warning("cannot accept connections: %s", error)
                await asyncio.sleep(PAUSE)
                continue
            if len(self.handshakes) >= MAX_HANDSHAKES:
                self._end_oldest("evicted")
            self.handshakes[asyncio.create_task(self._shake_hands(accepted))] = None

    def _end_oldest(self, reason: str) -> None:
        oldest = next(iter(self.handshakes))
        del self.handshakes[oldest]
        oldest.cancel()
        self.ended[reason] += 1

    async def _shake_hands(self, accepted: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: TcpConnection(self),
                accepted,
                ssl=self.credentials.context,
                ssl_handshake_timeout=HANDSHAKE,
                ssl_shutdown_timeout=FAREWELL,
            )
        except OSError as error:  # of TLS, of the network, of time
            logger.debug("handshake failed: %s", error)
            self.ended["handshake"] += 1
        finally:
            task = asyncio.current_task()
            if task is not None:
                self.handshakes.pop(task, None)
