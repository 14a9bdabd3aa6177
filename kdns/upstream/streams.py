"""TCP and TLS connections to one upstream, kept for the next question (RFC 7766, RFC 7858).

A connection carries one question at a time. One whose reply was not waited for is closed, so no late
reply is ever taken for that to a later question.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections import deque
from collections.abc import Callable
from time import monotonic

from msgspec import Struct

from kdns.upstream.client import Target
from kdns.upstream.errors import UpstreamError, broken
from kdns.upstream.replies import reply_to
from kdns.wire.message import Query
from kdns.wire.requests import encode
from kdns.wire.responses import Response, Unreadable


class Limits(Struct, frozen=True):
    """How long connections are kept."""

    expire: float = 10.0
    """Seconds without use."""
    max_age: float = 0.0
    """Seconds since it was made; 0 for any."""
    max_idle: int = 0
    """Unused connections kept per upstream; 0 for any number."""


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.made = self.used = monotonic()

    async def exchange(self, query: Query) -> Response:
        message_id = secrets.randbits(16)
        request = encode(query, message_id)
        self.writer.write(len(request).to_bytes(2, "big") + request)
        await self.writer.drain()
        size = int.from_bytes(await self.reader.readexactly(2), "big")
        reply = reply_to(query, message_id, await self.reader.readexactly(size))
        if reply is None:
            raise UpstreamError("the reply is to another question")
        if isinstance(reply, Unreadable):
            raise UpstreamError(f"unreadable reply: {reply.reason}")
        return reply

    def close(self) -> None:
        """Say that this is the end, and do not wait for the upstream to say so too (RFC 8446 section 6.1).

        asyncio gives an upstream that hangs 30 seconds for that, in which the socket stays open.
        """
        self.writer.close()
        self.writer.transport.abort()


class Connections:
    """The connections to one upstream."""

    def __init__(
        self,
        target: Target,
        limits: Limits,
        source: str,
        tls: ssl.SSLContext | None,
        used: Callable[[bool], None],
    ) -> None:
        self.target, self.limits, self.source, self.tls = target, limits, source, tls
        self._used = used
        """Told of each use of a connection, whether it had been kept."""
        self._idle: deque[_Connection] = deque()
        self._closed = False

    async def ask(self, query: Query) -> Response:
        """Ask over a kept connection, or else a new one. Raises ``UpstreamError``."""
        while (connection := self._take()) is not None:
            try:
                return await self._use(connection, query)
            except (OSError, EOFError):  # the upstream had closed it: so may it have any kept one
                continue
        try:
            return await self._use(await self._open(), query)
        except EOFError as error:
            raise UpstreamError("the connection was closed before the reply") from error
        except (OSError, ssl.SSLError) as error:
            raise broken(error) from error

    async def _use(self, connection: _Connection, query: Query) -> Response:
        try:
            response = await connection.exchange(query)
        except BaseException:  # cancelled too: its reply may still come
            connection.close()
            raise
        self._give_back(connection)
        return response

    async def _open(self) -> _Connection:
        self._used(False)
        host, port = self.target.address.host, self.target.address.port
        streams = await asyncio.open_connection(
            host,
            port,
            local_addr=(self.source, 0) if self.source else None,
            ssl=self.tls,
            server_hostname=(self.target.servername or host) if self.tls else None,
        )
        return _Connection(*streams)

    def _take(self) -> _Connection | None:
        self.sweep()
        if not self._idle:
            return None
        self._used(True)
        return self._idle.popleft()

    def _give_back(self, connection: _Connection) -> None:
        connection.used = monotonic()
        self._idle.append(connection)
        if self._closed or 0 < self.limits.max_idle < len(self._idle):
            self._idle.popleft().close()

    def sweep(self) -> None:
        """Close what was not used for too long, is too old, or was closed by the upstream."""
        now, limits = monotonic(), self.limits
        for _ in range(len(self._idle)):
            connection = self._idle.popleft()
            fresh = now - connection.used <= limits.expire and not connection.reader.at_eof()
            if fresh and not 0 < limits.max_age < now - connection.made:
                self._idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Keep no connections from now on; those in use end with their question."""
        self._closed = True
        while self._idle:
            self._idle.popleft().close()
