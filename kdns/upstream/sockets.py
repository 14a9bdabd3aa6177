"""UDP sockets to one upstream, shared by many queries at a time.

A query leaves from one of ``SOCKETS`` sockets with a message ID, both drawn at random, and a socket is
replaced after ``MAX_QUERIES`` queries or ``MAX_AGE``. RFC 5452 section 9.2: the source port and the ID must
not be predictable, since a forged reply must guess both. The sockets are connected, so the kernel
delivers datagrams of the upstream's address only, and ICMP errors. A replaced socket stays open until its
last query has ended.

Nothing here knows more of a message than that its ID comes first.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from math import inf
from typing import ClassVar, Final, Protocol

from kdns.config.addresses import Address
from kdns.upstream.deadlines import in_portions
from kdns.upstream.errors import LocalError, UpstreamError, broken

SOCKETS: Final = 16
"""Sockets in use at a time: a power of two."""

MAX_QUERIES: Final = 256
"""Queries that leave from one socket."""

MAX_AGE: Final = 5.0
"""Seconds in which queries leave from one socket."""

SHARE: Final = 2
"""One in so many of the files that the process may open can be a socket to an upstream: the others are for
listening and for reading what changes."""

MAX_PENDING: Final = 1 << 15
"""Queries waiting at one socket, where it cannot be replaced: half of the message IDs, so that drawing a
free one succeeds soon."""

LARGEST: Final = 65535
"""Octets of a datagram."""

READ_AT_ONCE: Final = 16
"""Datagrams read from one socket before others are polled."""


class Waiting(Protocol):
    """A query whose reply is waited for."""

    def received(self, data: bytes) -> None:
        """A datagram with the query's message ID has come."""

    def lost(self, error: OSError) -> None:
        """The system reports that the upstream cannot be reached."""


class Readiness:
    """Calls a function when a socket can be read, or has an error to report.

    libuv stops watching a socket for good when an ICMP error arrives. So where the system has epoll, the
    event loop watches an epoll descriptor, and that the sockets.
    """

    def __init__(self) -> None:
        self._readers: dict[int, Callable[[], None]] = {}
        self._epoll: select.epoll | None = None

    def add(self, file: int, read: Callable[[], None]) -> None:
        """Raises ``OSError``; ``NotImplementedError`` where the event loop cannot watch files."""
        loop = asyncio.get_running_loop()
        if sys.platform != "linux":
            loop.add_reader(file, read)
            return
        if self._epoll is None:
            self._epoll = select.epoll()
            try:
                loop.add_reader(self._epoll.fileno(), self._read)
            except NotImplementedError:
                self._close()
                raise
        self._epoll.register(file, select.EPOLLIN)
        self._readers[file] = read

    def remove(self, file: int, loop: asyncio.AbstractEventLoop) -> None:
        if self._epoll is None:
            loop.remove_reader(file)
            return
        self._epoll.unregister(file)
        del self._readers[file]
        if not self._readers:
            loop.remove_reader(self._epoll.fileno())
            self._close()

    def _close(self) -> None:
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None

    def _read(self) -> None:
        if self._epoll is None:
            return
        for file, _ in self._epoll.poll(0):
            read = self._readers.get(file)
            if read is not None:  # else one that was read before has closed it
                read()


class Socket:
    """One connected socket, and the queries that wait for a reply to it."""

    __slots__ = (
        *("_buffer", "_loop", "_readiness", "_reading", "_view"),
        *("pending", "queries", "retired", "sock", "until"),
    )

    opened: ClassVar[int] = 0
    """Sockets to upstreams that the process has open."""

    def __init__(
        self,
        address: Address,
        source: str,
        until: float,
        buffer: bytearray,
        readiness: Readiness,
    ) -> None:
        """Raises ``OSError`` when it cannot be opened, ``LocalError`` when too many are open."""
        if Socket.opened * SHARE >= file_limit():
            text = f"{Socket.opened} sockets to upstreams are open; more are not to be had"
            raise LocalError(text)
        self._loop = asyncio.get_running_loop()
        self.sock = _connected((address.host, address.port), source)
        Socket.opened += 1
        self.pending: dict[int, Waiting] = {}
        """Queries by message ID."""
        self.queries = 0
        """Queries that were sent."""
        self.until = until
        """When it is too old (``time.monotonic``)."""
        self.retired = False
        self._buffer, self._view = buffer, memoryview(buffer)
        self._readiness = readiness
        self._reading: asyncio.Task[None] | None = None
        try:
            readiness.add(self.sock.fileno(), self._read)
        except NotImplementedError:  # Windows
            self._reading = self._loop.create_task(self._read_on())
        except OSError:
            Socket.opened -= 1
            self.sock.close()
            raise

    def _read(self) -> None:
        receive, buffer, pending = self.sock.recv_into, self._buffer, self.pending
        for _ in range(READ_AT_ONCE):
            try:
                size = receive(buffer)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self.lose(error)
                return
            waiting = pending.get(buffer[0] << 8 | buffer[1]) if size > 1 else None
            if waiting is not None:
                waiting.received(bytes(self._view[:size]))
            if not pending:  # mostly there is no more to read, and to find out takes a system call
                return

    async def _read_on(self) -> None:
        """The same for an event loop that cannot watch sockets."""
        while not self.retired or self.pending:
            try:
                data = await self._loop.sock_recv(self.sock, LARGEST)
            except OSError as error:
                self.lose(error)
                continue
            waiting = self.pending.get(int.from_bytes(data[:2], "big"))
            if waiting is not None:
                waiting.received(data)

    def send_again(self, datagram: bytes, error: OSError) -> None:
        """Send after a call that failed, maybe for an earlier query: then it did nothing but report that.

        Raises ``UpstreamError``.
        """
        try:
            self.sock.send(datagram)
        except OSError as again:
            self._close_if_done()
            raise broken(again) from None
        if not isinstance(broken(error), LocalError):
            self.lose(error)

    def lose(self, error: OSError) -> None:
        """End the queries that wait: an ICMP error does not say which of them it is for."""
        lost = list(self.pending.values())
        self.pending.clear()
        self._close_if_done()
        in_portions(lost, lambda waiting: waiting.lost(error))

    def forget(self, message_id: int, waiting: Waiting) -> None:
        """The query has ended."""
        if self.pending.get(message_id) is waiting:
            del self.pending[message_id]
            self._close_if_done()

    def retire(self) -> None:
        """Send no more queries; close once none waits."""
        self.retired = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if not self.retired or self.pending or self.sock.fileno() < 0:
            return
        Socket.opened -= 1
        if self._reading is not None:
            self._reading.cancel()
        elif not self._loop.is_closed():
            self._readiness.remove(self.sock.fileno(), self._loop)
        self.sock.close()


class Sockets:
    """The sockets to one upstream, opened when they are first needed."""

    def __init__(self, address: Address, source: str = "", count: int = SOCKETS) -> None:
        self.address, self.source = address, source
        self.slots: list[Socket | None] = [None] * count
        self._last = count - 1
        self._bits = self._last.bit_length()
        self._draws = _draws()
        self._closed = False
        self._buffer = bytearray(LARGEST)
        self._readiness = Readiness()

    def send(self, body: bytes, waiting: Waiting, now: float) -> tuple[Socket, int, bool]:
        """Send a query, its message ID not in ``body``, and have ``waiting`` get the reply.

        Returns the socket, the message ID and whether the socket was open before. ``now`` is
        ``time.monotonic``. Raises ``UpstreamError``.
        """
        draw = next(self._draws)
        slot, message_id = draw & self._last, draw >> 16
        sock = self.slots[slot]
        kept = sock is not None and sock.queries < MAX_QUERIES and now < sock.until
        if not kept or sock is None:
            sock = self._open(slot, now)
        pending = sock.pending
        while message_id in pending:
            message_id = next(self._draws) >> 16
        datagram = message_id.to_bytes(2, "big") + body
        try:
            sock.sock.send(datagram)
        except OSError as error:
            sock.send_again(datagram, error)
        pending[message_id] = waiting
        sock.queries += 1
        return sock, message_id, kept

    def _open(self, slot: int, now: float) -> Socket:
        """A new socket in the slot, or another one where this machine has no more."""
        try:
            opened = Socket(self.address, self.source, now + MAX_AGE, self._buffer, self._readiness)
        except OSError as error:
            problem = broken(error)
        except LocalError as error:
            problem = error
        else:
            if (former := self.slots[slot]) is not None:
                former.retire()
            opened.retired = self._closed
            self.slots[slot] = None if self._closed else opened
            return opened
        return self._substitute(slot, problem)

    def _substitute(self, slot: int, problem: UpstreamError) -> Socket:
        for sock in (*self.slots[slot:], *self.slots[:slot]):
            if sock and len(sock.pending) < MAX_PENDING and isinstance(problem, LocalError):
                return sock
        raise problem

    def sweep(self, now: float) -> None:
        """Close sockets that are too old to be used."""
        for slot, sock in enumerate(self.slots):
            if sock is not None and sock.until <= now:
                sock.retire()
                self.slots[slot] = None

    def close(self) -> None:
        """Close the sockets, each when its last query has ended, and any that is opened after this."""
        self._closed = True
        self.sweep(inf)


def _draws() -> Iterator[int]:
    """Random numbers of 32 bits, read by the page: a system call for each would cost as much as sending."""
    while True:
        yield from memoryview(os.urandom(4096)).cast("I")


def _connected(peer: tuple[str, int], source: str) -> socket.socket:
    """A socket that takes datagrams from ``peer`` alone."""
    sock = socket.socket(socket.AF_INET6 if ":" in peer[0] else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if source:
            sock.bind((source, 0))
        sock.connect(peer)
    except OSError:
        sock.close()
        raise
    return sock


def file_limit() -> float:
    """Files that the process may open."""
    if sys.platform == "win32":
        return inf
    import resource  # noqa: PLC0415 (not on Windows)

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return inf if soft == resource.RLIM_INFINITY else soft
