"""UDP: a cached reply is sent from within the callback that brings its query; others by the responder.

Datagrams come in batches where the system can (``batch``), else one by one from the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any, Final, cast

from kdns.answers.reply_cache import SAMPLED, Repeats
from kdns.listeners import batch
from kdns.listeners.batch import ID, ROOM, Address, Batch
from kdns.listeners.binding import bound
from kdns.wire.message import PendingReply, Respond

logger: Final = logging.getLogger("kdns.listeners.udp")

MAX_WAITING: Final = 4096
"""Queries that may wait for an upstream at one time; further ones are dropped and counted, since
clients send them again, and memory must not grow with what is sent at us."""

FEW: Final = 4
"""Queries that are looked up before the cached replies of a batch are sent: a tenth of a millisecond."""

RECEIVE_BUFFER: Final = 4 * 1024 * 1024
"""Octets asked of the kernel, so that a burst is queued and not lost while a change is applied."""


class UdpListener(asyncio.DatagramProtocol):
    """One UDP socket."""

    def __init__(self, repeats: Repeats, respond: Respond) -> None:
        self.repeats = repeats
        self.entries = repeats.entries
        self.respond = respond
        self.overflows = 0
        self.waiting: dict[PendingReply, Address] = {}
        self._all_sent = asyncio.Event()
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Answer one datagram, where the system offers no batches."""
        started = perf_counter()
        repeated = self.entries.get(data[ID:])
        if repeated is not None:
            next_body, use = repeated
            use.hits += 1
            self.transport.sendto(data[:ID] + next_body(), addr)
            if not use.hits & SAMPLED:
                use.took(perf_counter() - started)
            return
        body = self.repeats.find(data[ID:], lambda _: addr)
        reply = self._miss(data, addr) if body is None else data[:ID] + body
        if reply:
            self.transport.sendto(reply, addr)

    def batch_received(self, received: Batch, requests: list[bytes]) -> None:
        """Answer what came in together: cached replies first, then what must be looked up."""
        started, sampled = perf_counter(), None
        misses: list[int] = []
        # Where most queries end: written out, since each call and each attribute counts.
        repeated, find, sender = self.entries.get, self.repeats.find, received.sender
        data, sizes = received.data, received.sizes
        for at, start, request in zip(range(ROOM), received.bodies, requests):  # noqa: B905
            pair = repeated(request)
            if pair is not None:
                next_body, use = pair
                use.hits = hits = use.hits + 1
                if not hits & SAMPLED:
                    sampled = use
                body = next_body()
            else:
                found = find(request, sender, at)
                if found is None:
                    misses.append(at)
                    continue
                body = found
            size = len(body)
            data[start : start + size] = body
            sizes[at] = ID + size
        if not misses:
            received.send(len(requests))
        else:
            self._misses(received, len(requests), misses)
        if sampled is not None:
            sampled.took((perf_counter() - started) / len(requests))

    def _misses(self, received: Batch, count: int, misses: list[int]) -> None:
        """Look up what is not cached; cached replies do not wait where that takes long."""
        if len(misses) > FEW and len(misses) < count:
            received.send(count, misses)
            hits = [at for at in range(count) if at not in set(misses)]
        else:
            hits = []
        unanswered = [at for at in misses if not self._put_miss(received, at)]
        received.send(count, sorted(unanswered + hits))

    def _put_miss(self, received: Batch, at: int) -> bool:
        """Whether there is a reply now, which leaves with the others."""
        addr = received.sender(at)
        reply = self._miss(received.message(at), addr)
        if reply and not received.put(at, reply):
            self.transport.sendto(reply, addr)
            return False
        return bool(reply)

    def _miss(self, data: bytes, addr: Address) -> bytes:
        """The responder's reply; empty when there is none, or only later."""
        reply = self.respond(data, addr[0], addr[1], "udp")
        if reply is None:
            return b""
        if isinstance(reply, bytes):
            return reply
        if len(self.waiting) < MAX_WAITING:
            self.waiting[reply] = addr
            reply.on_done(self._send_later)
        else:
            self.overflows += 1
            reply.close()
        return b""

    def _send_later(self, pending: PendingReply, reply: bytes | None) -> None:
        addr = self.waiting.pop(pending)
        if reply is not None and not self.transport.is_closing():
            self.transport.sendto(reply, addr)
        if not self.waiting:
            self._all_sent.set()

    def error_received(self, exc: Exception) -> None:
        """An earlier reply could not be delivered (ICMP); the asker is gone."""
        logger.debug("reply not delivered: %s", exc)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.transport.get_extra_info("sockname")[1])

    def take_overflows(self) -> int:
        """How many questions were dropped since the last call because too many waited."""
        count, self.overflows = self.overflows, 0
        return count

    async def drain(self, seconds: float) -> int:
        """Wait for the replies that are not there yet, at most so long; return how many were cut off."""
        if self.waiting:
            self._all_sent.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_sent.wait(), seconds)
        late = tuple(self.waiting)
        self.waiting.clear()
        for reply in late:
            reply.close()
        return len(late)

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
