"""UDP: a kept reply is sent from within the callback that brings its question; others by the responder.

Datagrams come in batches where the system can (``batch``), else one by one from the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final, cast

from kdns.listeners import batch
from kdns.listeners.batch import ID, ROOM, SIZE, Address, Batch
from kdns.listeners.binding import bound
from kdns.packet_cache import SAMPLED, PacketCache
from kdns.wire.message import Respond

logger: Final = logging.getLogger("kdns.listeners.udp")

MAX_WAITING: Final = 4096
"""Questions that may wait for an upstream at one time; further ones are dropped and counted, since
whoever sent them asks again, and memory must not grow with what is sent at us."""

RECEIVE_BUFFER: Final = 4 * 1024 * 1024
"""Octets asked of the kernel, so that a burst is queued and not lost while a change is applied."""


class UdpListener(asyncio.DatagramProtocol):
    """One UDP socket."""

    def __init__(self, cache: PacketCache, respond: Respond) -> None:
        self.cache = cache
        self.entries = cache.entries
        self.respond = respond
        self.overflows = 0
        self.waiting: set[asyncio.Task[None]] = set()
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        entry = self.entries.get(data[2:])
        if entry is None:
            self._miss(data, addr)
            return
        entry.hits += 1
        if entry.hits & SAMPLED:
            self.transport.sendto(data[:2] + entry.next_body(), addr)
            return
        started = perf_counter()
        self.transport.sendto(data[:2] + entry.next_body(), addr)
        entry.tally.took(perf_counter() - started)

    def batch_received(self, received: Batch, requests: list[bytes]) -> None:
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
                self.transport.sendto(received.message(at)[:ID] + body, received.sender(at))
                unanswered.append(at)
                continue
            data[start : start + size] = body
            sizes[at] = ID + size
        failed = received.send(len(requests), unanswered)
        if failed:
            logger.debug("%d replies not delivered", failed)
        if sampled is not None:
            sampled.tally.took((perf_counter() - started) / len(requests))

    def _put_miss(self, received: Batch, at: int) -> bool:
        """Whether there is a reply now and it leaves with the others."""
        addr = received.sender(at)
        reply = self._look_up(received.message(at), addr)
        if reply and not received.put(at, reply):
            self.transport.sendto(reply, addr)
            return False
        return bool(reply)

    def _miss(self, data: bytes, addr: Address) -> None:
        reply = self._look_up(data, addr)
        if reply:
            self.transport.sendto(reply, addr)

    def _look_up(self, data: bytes, addr: Address) -> bytes:
        """The responder's reply; empty when there is none, or only later."""
        self.cache.misses += 1
        reply = self.respond(data, addr[0], addr[1], "udp")
        if reply is None:
            return b""
        if isinstance(reply, bytes):
            return reply
        if len(self.waiting) < MAX_WAITING:
            task = asyncio.ensure_future(self._send_later(reply, addr))
            self.waiting.add(task)
            task.add_done_callback(self.waiting.discard)
        else:
            self.overflows += 1
            _abandon(reply)
        return b""

    def error_received(self, exc: Exception) -> None:
        """An earlier reply could not be delivered (ICMP); the asker is gone."""
        logger.debug("reply not delivered: %s", exc)

    async def _send_later(self, reply: Awaitable[bytes | None], addr: Address) -> None:
        data = await reply
        if data is not None and not self.transport.is_closing():
            self.transport.sendto(data, addr)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.transport.get_extra_info("sockname")[1])

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


class BatchTransport(asyncio.DatagramTransport):
    """A socket that is read in batches. It has what the listener uses of a transport."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, listener: UdpListener
    ) -> None:
        super().__init__({"sockname": sock.getsockname()})
        self._loop, self._sock, self._listener = loop, sock, listener
        self._batch = Batch(sock)
        self._closing = False
        loop.add_reader(sock.fileno(), self._read)

    def _read(self) -> None:
        requests = self._batch.receive()
        if requests:
            self._listener.batch_received(self._batch, requests)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send at once or, where the system has no room, not at all: the asker asks again."""
        try:
            self._sock.sendto(data, addr)
        except OSError as error:
            self._listener.error_received(error)

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
    loop = asyncio.get_running_loop()
    if batch.works(sock):
        listener = make()
        listener.connection_made(BatchTransport(loop, sock, listener))
        return listener
    _, protocol = await loop.create_datagram_endpoint(make, sock=sock)
    return protocol
