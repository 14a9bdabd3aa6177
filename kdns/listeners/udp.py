"""UDP: cached replies are sent from within the callback that brings their queries, others by the responder.

Datagrams come in batches where the system can (``batch``), else one by one (``one_by_one``). When more
arrives than can be answered, cached replies go first, and queries whose clients have given up are dropped.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, time
from typing import Final

from kdns.answers.repeats import SAMPLED, Repeats
from kdns.listeners import batch
from kdns.listeners.batch import ID, ROOM, Batch
from kdns.listeners.binding import RECEIVE_BUFFER, bound
from kdns.listeners.one_by_one import OneByOne
from kdns.listeners.path import Path
from kdns.wire.message import PendingReply, Respond

logger: Final = logging.getLogger("kdns.listeners.udp")

MAX_WAITING: Final = 4096
"""Queries that may wait for an upstream at one time; further ones are dropped and counted, since
clients send them again, and memory must not grow with what is sent at us."""

FEW: Final = 4
"""Queries that are looked up before the cached replies of a batch are sent: a tenth of a millisecond."""

PATIENCE: Final = 2.0
"""Seconds after which a query that waited in the kernel is dropped and counted: clients of cluster DNS
wait 1 (systemd-resolved) to 5 seconds (glibc, dig), and a client that gave up has sent it again."""


class UdpListener:
    """One UDP socket."""

    def __init__(self, repeats: Repeats, respond: Respond) -> None:
        self.repeats = repeats
        self.entries = repeats.entries
        self.respond = respond
        self.overflows = self.late = 0
        self.waiting: dict[PendingReply, Path] = {}
        self._all_sent = asyncio.Event()
        self.transport: BatchTransport

    def batch_received(self, received: Batch | OneByOne, requests: list[bytes]) -> None:
        """Answer what came in together: cached replies first, then what must be looked up."""
        started, sampled = monotonic(), None
        misses: list[int] = []
        # Where most queries end: written out, since each call and each attribute counts.
        repeated, find, host = self.entries.get, self.repeats.find, received.host
        data, sizes = received.data, received.sizes
        for at, start, request in zip(range(ROOM), received.bodies, requests):  # noqa: B905
            known = repeated(request)
            if known is not None and known[2] > started:
                next_body, use, _ = known
                use.hits = hits = use.hits + 1
                if not hits & SAMPLED:
                    sampled = use
                body = next_body()
            else:
                found = find(request, host, at)
                if found is None:
                    misses.append(at)
                    continue
                body = found
            size = len(body)
            data[start : start + size] = body
            sizes[at] = ID + size
        if misses:
            self._answer_misses(received, len(requests), misses)
        else:
            received.send(len(requests))
        if sampled is not None:
            sampled.took((monotonic() - started) / len(requests))

    def _answer_misses(self, received: Batch | OneByOne, count: int, misses: list[int]) -> None:
        """Look up what is not cached, and send the replies."""
        sent = set[int]()
        if FEW < len(misses) < count:
            received.send(count, misses)
            sent = set(range(count)).difference(misses)
        now = time()
        is_late = received.age(0, now) > PATIENCE  # the first one has waited longest
        for at in misses:
            if is_late and received.age(at, now) > PATIENCE:
                self.late += 1
                sent.add(at)
            elif not self._put_miss(received, at):
                sent.add(at)
        received.send(count, sorted(sent))

    def _put_miss(self, received: Batch | OneByOne, at: int) -> bool:
        """Whether there is a reply now, which leaves with the others."""
        client = received.sender(at)
        local = received.destination(at)
        reply = self.respond(received.message(at), client[0], client[1], "udp", local)
        if isinstance(reply, bytes):
            if received.put(at, reply):
                return True
            self.transport.reply(reply, received.path(at))
        elif reply is not None:
            self._wait_for(reply, received.path(at))
        return False

    def _wait_for(self, reply: PendingReply, path: Path) -> None:
        if len(self.waiting) < MAX_WAITING:
            self.waiting[reply] = path
            reply.on_done(self._send_later)
        else:
            self.overflows += 1
            reply.close()

    def _send_later(self, pending: PendingReply, reply: bytes | None) -> None:
        path = self.waiting.pop(pending)
        if reply is not None and not self.transport.is_closing():
            self.transport.reply(reply, path)
        if not self.waiting:
            self._all_sent.set()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self.transport.port

    def take_drops(self) -> dict[str, int]:
        """How many queries were dropped since the last call, by reason."""
        drops = {"overflow": self.overflows, "late": self.late}
        self.overflows = self.late = 0
        return drops

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
