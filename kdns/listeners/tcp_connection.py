"""One TCP (or TLS) connection: RFC 7766 framing, pipelining, and what bounds a single asker.

Replies that are there at once go out in one write per segment; those that must wait go out as they are
ready, in any order (RFC 7766 section 6.2.1.1). Nothing here grows with what the other side does: when too
many questions wait or replies are not read, no more questions are read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from time import monotonic, perf_counter
from typing import Final, Protocol, cast

from kdns.answers.repeats import SAMPLED, Repeats
from kdns.metrics.meters import QueryClass
from kdns.wire.message import PendingReply, Respond, Transfer, Transport

logger: Final = logging.getLogger("kdns.listeners.tcp")

LENGTH: Final = 2  # octets before each message, RFC 1035 section 4.2.2
MAX_MESSAGE: Final = 65535  # octets, what the length can say

MAX_WAITING: Final = 128
"""Questions of one connection that may wait at one time; further ones stay unread in the kernel."""

MAX_PER_TURN: Final = 64
"""Questions answered before other connections have their turn."""

MAX_UNSENT: Final = 64 * 1024
"""Octets of replies that may wait for the asker to read before its questions are no longer read."""


class Owner(Protocol):
    """Who keeps the connections, and is told of what happens to them."""

    repeats: Repeats
    respond: Respond
    transport_name: Transport

    def opened(self, connection: TcpConnection) -> bool:
        """Whether the connection may stay."""

    def touched(self, connection: TcpConnection) -> None:
        """A question came in whole, or a reply went out."""

    def closed(self, connection: TcpConnection) -> None: ...


class TcpConnection(asyncio.Protocol):
    """The state of a connection. ``active_at`` is the owner's."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.waiting: set[PendingReply] = set()
        self.active_at = 0.0
        self.client, self.port, self.local = "", 0, ""
        self.unread = False
        """Whether the asker does not read its replies (more than ``MAX_UNSENT`` wait for it)."""
        self.ended = False
        """Whether no more questions are taken: the asker said so, or we are stopping."""
        self.transport: asyncio.Transport
        self._repeated = owner.repeats.entries.get
        self._rest = bytearray()
        self._needed = 0
        self._out: list[bytes] = []
        self._sampled: QueryClass | None = None
        self._scheduled = False

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        peer = self.transport.get_extra_info("peername")
        if not peer:  # gone before it was accepted
            self.transport.abort()
            return
        self.client, self.port = peer[0], peer[1]
        self.local = self.transport.get_extra_info("sockname")[0].partition("%")[0]
        self.transport.set_write_buffer_limits(high=MAX_UNSENT)
        if not self.owner.opened(self):
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.ended:
            return
        if self._rest or self._is_blocked():
            self._rest += data
            if len(self._rest) >= self._needed:
                self._go_on()
        else:
            self._serve(data)

    def eof_received(self) -> bool:
        """Questions are over, their answers are not (half-close)."""
        self.ended = True
        self._close_when_done()
        # TLS has no half-close: asyncio ends it either way.
        return self.owner.transport_name == "tcp"

    def pause_writing(self) -> None:
        self.unread = True

    def resume_writing(self) -> None:
        self.unread = False
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        for reply in self.waiting:
            reply.close()
        self.waiting.clear()
        self._rest.clear()
        self.owner.closed(self)

    # What the owner calls.

    @property
    def is_idle(self) -> bool:
        return not (self.waiting or self._has_frame())

    def finish(self) -> None:
        """Take no more questions; close once those taken are answered."""
        self.ended = True
        if not self.transport.is_closing():
            self.transport.pause_reading()
        self._close_when_done()

    # Reading.

    def _go_on(self) -> None:
        self._scheduled = False
        if self.transport.is_closing() or self._is_blocked():
            return
        data = bytes(self._rest)
        self._rest.clear()
        self._serve(data)

    def _serve(self, data: bytes) -> None:
        started = perf_counter()
        at = served = 0
        while served < MAX_PER_TURN and len(self.waiting) < MAX_WAITING:
            end = _frame_end(data, at)
            if end > len(data):
                break
            self._answer(data[at + LENGTH : end])
            at, served = end, served + 1
        if served:
            self.owner.touched(self)
            self._flush()
            self._sample(started, served)
        self._keep(data, at)
        self._close_when_done()

    def _keep(self, data: bytes, at: int) -> None:
        """Put aside what is no whole message yet, or must wait; read on only when nothing does."""
        self._rest += data[at:]
        self._needed = _frame_end(self._rest, 0)
        if self._is_blocked() or self._has_frame():
            self._pause()
        else:
            self._read_on()

    def _pause(self) -> None:
        if self.transport.is_closing():
            return
        self.transport.pause_reading()
        if not self._is_blocked() and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _read_on(self) -> None:
        if not self.ended and not self.transport.is_closing():
            self.transport.resume_reading()

    def _has_frame(self) -> bool:
        return len(self._rest) >= LENGTH and len(self._rest) >= self._needed

    def _is_blocked(self) -> bool:
        return self.unread or len(self.waiting) >= MAX_WAITING

    def _close_when_done(self) -> None:
        if self.ended and self.is_idle and not self.transport.is_closing():
            self.transport.close()

    # Answering.

    def _answer(self, message: bytes) -> None:
        repeated = self._repeated(message[2:])
        if repeated is not None and repeated[2] > monotonic():
            next_body, use, _ = repeated
            use.hits += 1
            if not use.hits & SAMPLED:
                self._sampled = use
            body = next_body()
        else:
            found = self.owner.repeats.find(message[2:], self._host)
            if found is None:
                self._miss(message)
                return
            body = found
        self._out += ((len(body) + 2).to_bytes(LENGTH, "big"), message[:2], body)

    def _host(self, _: int) -> str:
        return self.client

    def _miss(self, message: bytes) -> None:
        owner = self.owner
        reply = owner.respond(message, self.client, self.port, owner.transport_name, self.local)
        if isinstance(reply, bytes):
            self._put(reply)
        elif reply is not None:
            self.waiting.add(reply)
            reply.on_done(self._answer_late)

    def _answer_late(self, pending: PendingReply, reply: bytes | None) -> None:
        self.waiting.discard(pending)
        if reply is not None and not self.transport.is_closing():
            self._put(reply)
            self.owner.touched(self)
            self._flush()
        if self._has_frame():
            self._go_on()
        elif not self._is_blocked():
            self._read_on()
        self._close_when_done()

    def _put(self, reply: bytes) -> None:
        if len(reply) > MAX_MESSAGE:
            logger.error("reply to %s has %d octets; not sent", self.client, len(reply))
            return
        self._out += (len(reply).to_bytes(LENGTH, "big"), reply)
        if isinstance(reply, Transfer):
            self._flush()
            self.transport.writelines(_framed(reply))

    def _flush(self) -> None:
        if self._out:
            self.transport.write(b"".join(self._out))
            self._out.clear()

    def _sample(self, started: float, served: int) -> None:
        if self._sampled is not None:
            self._sampled.took((perf_counter() - started) / served)
            self._sampled = None


def _framed(reply: Transfer) -> Iterator[bytes]:
    """The messages after the first; the transport holds their octets without a copy."""
    for body in reply.following:
        yield (len(body) + 2).to_bytes(LENGTH, "big") + reply[:2]
        yield body


def _frame_end(data: bytes | bytearray, at: int) -> int:
    """Where the message that starts ``at`` ends; beyond the data while even its length is missing."""
    if len(data) - at < LENGTH:
        return at + LENGTH
    return at + LENGTH + (data[at] << 8 | data[at + 1])
