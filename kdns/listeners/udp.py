"""UDP: a kept reply is sent from within the callback that brings its question; others by the responder.

Datagrams come in batches where the system can (``batch``), else one by one (``one_by_one``).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final

from kdns.listeners import batch
from kdns.listeners.batch import ID, ROOM, SIZE, Batch
from kdns.listeners.binding import RECEIVE_BUFFER, bound
from kdns.listeners.one_by_one import OneByOne
from kdns.listeners.path import Path
from kdns.packet_cache import SAMPLED, PacketCache
from kdns.wire.message import Respond

logger: Final = logging.getLogger("kdns.listeners.udp")

MAX_WAITING: Final = 4096
"""Questions that may wait for an upstream at one time; further ones are dropped and counted, since
whoever sent them asks again, and memory must not grow with what is sent at us."""


class UdpListener:
    """One UDP socket."""

    def __init__(self, cache: PacketCache, respond: Respond) -> None:
        self.cache = cache
        self.entries = cache.entries
        self.respond = respond
        self.overflows = 0
        self.waiting: set[asyncio.Task[None]] = set()
        self.transport: BatchTransport

    def batch_received(self, received: Batch | OneByOne, requests: list[bytes]) -> None:
        """Answer what came in together; the replies leave together."""
        started, sampled = perf_counter(), None
        unanswered: list[int] = []
        # Where most questions end: written out, since each call and each attribute counts.
        find, data, sizes = self.entries.get, received.data, received.sizes
        for at, start, request in zip(range(ROOM), received.bodies, requests):  # noqa: B905
            entry = find(request)
            if entry is None:
                if not self._put_miss(received, at):
                    unanswered.append(at)
                continue
            entry.hits = hits = entry.hits + 1
            if not hits & SAMPLED:
                sampled = entry
            body = entry.next_body()
            size = len(body)
            if size > SIZE - ID:
                self.transport.reply(received.message(at)[:ID] + body, received.path(at))
                unanswered.append(at)
                continue
            data[start : start + size] = body
            sizes[at] = ID + size
        failed = received.send(len(requests), unanswered)
        if failed:
            logger.debug("%d replies not delivered", failed)
        if sampled is not None:
            sampled.tally.took((perf_counter() - started) / len(requests))

    def _put_miss(self, received: Batch | OneByOne, at: int) -> bool:
        """Whether there is a reply now and it leaves with the others."""
        self.cache.misses += 1
        client = received.sender(at)
        reply = self.respond(received.message(at), client[0], client[1], "udp")
        if isinstance(reply, bytes):
            if received.put(at, reply):
                return True
            self.transport.reply(reply, received.path(at))
        elif reply is not None:
            self._wait_for(reply, received.path(at))
        return False

    def _wait_for(self, reply: Awaitable[bytes | None], path: Path) -> None:
        if len(self.waiting) < MAX_WAITING:
            task = asyncio.ensure_future(self._send_later(reply, path))
            self.waiting.add(task)
            task.add_done_callback(self.waiting.discard)
        else:
            self.overflows += 1
            _abandon(reply)

    async def _send_later(self, reply: Awaitable[bytes | None], path: Path) -> None:
        data = await reply
        if data is not None and not self.transport.is_closing():
            self.transport.reply(data, path)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self.transport.port

    def take_overflows(self) -> int:
        """How many questions were dropped since the last call because too many waited."""
        count, self.overflows = self.overflows, 0
        return count

    async def drain(self, seconds: float) -> int:
        """Wait for the questions under way, at most so long; return how many were cut off."""
        if self.waiting:
            _, late = await asyncio.wait(self.waiting, timeout=seconds)
            for task in late:
                task.cancel()
            return len(late)
        return 0

    def close(self) -> None:
        self.transport.close()


class BatchTransport:
    """A socket that is read in batches."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, listener: UdpListener
    ) -> None:
        self._loop, self._sock, self._listener = loop, sock, listener
        self._batch = Batch(sock) if batch.works(sock) else OneByOne(sock)
        self.port = int(sock.getsockname()[1])
        self._closing = False
        loop.add_reader(sock.fileno(), self._read)

    def _read(self) -> None:
        requests = self._batch.receive()
        if requests:
            self._listener.batch_received(self._batch, requests)

    def reply(self, data: bytes, path: Path) -> None:
        """Send at once or, where the system has no room, not at all: the client queries again."""
        try:
            path.send(self._sock, data)
        except OSError as error:
            logger.debug("reply not delivered: %s", error)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()


def _abandon(reply: Awaitable[bytes | None]) -> None:
    close = getattr(reply, "close", None)
    if close is not None:
        close()


async def listen(
    host: str,
    port: int,
    make: Callable[[], UdpListener],
    reuse_port: bool = False,
) -> UdpListener:
    """Bind and start. Raises ``OSError`` when the address cannot be had."""
    options = [(socket.SO_RCVBUF, RECEIVE_BUFFER)]
    if reuse_port:
        options.append((socket.SO_REUSEPORT, 1))
    sock = bound(socket.SOCK_DGRAM, host, port, options)
    listener = make()
    listener.transport = BatchTransport(asyncio.get_running_loop(), sock, listener)
    return listener
