"""One exchange with an upstream over UDP, from a socket of its own.

A fresh port and a random message ID for each make a forged reply a matter of guessing both (RFC 5452
section 9.2), and what is no reply to this very question is not read on. There is no deadline here:
who asks sets one.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import sys
from math import inf
from typing import Final

from msgspec import Struct

from kdns.config.addresses import Address
from kdns.wire.message import Query
from kdns.wire.requests import encode
from kdns.wire.responses import Response, Unreadable, decode

_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


SHARE: Final = 2
"""One in so many of the files that the process may have open can be sockets to upstreams: however
many questions wait, there must be some left for listening and for reading what changes."""

_open_sockets = 0


class Target(Struct, frozen=True, order=True):
    """Where an upstream is: ``10.0.0.10:53``, or ``tls://9.9.9.9%dns.quad9.net``."""

    address: Address
    """An IP address, maybe with an IPv6 scope, and the port."""
    tls: bool = False
    servername: str = ""
    """What its certificate must be for; "" for the address itself."""

    def __str__(self) -> str:
        return f"{self.address}"


class UpstreamError(Exception):
    """No usable reply; the text says why."""


class LocalError(UpstreamError):
    """This machine could not even ask (no more sockets), which says nothing about the upstream."""


def broken(error: Exception) -> UpstreamError:
    """What an error of a socket means."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, ConnectionError) and error.errno:
        reason = os.strerror(error.errno)  # asyncio says only that a call failed
    reason = reason[:1].lower() + reason[1:]  # as Go has it, and the rest of our log
    if isinstance(error, OSError) and error.errno in _OURS:
        return LocalError(reason)
    return UpstreamError(reason)


def reply_to(query: Query, message_id: int, data: bytes) -> Response | None:
    """The reply that ``data`` holds; None where it is to another question.

    Raises ``UpstreamError`` when it has the right message ID but cannot be read.
    """
    response = decode(data)
    if isinstance(response, Unreadable):
        if int.from_bytes(data[:2], "big") == message_id:
            raise UpstreamError(f"unreadable reply: {response.reason}")
        return None
    if response.answers(message_id, query.qname, query.qtype, query.qclass):
        return response
    # Some servers leave the question out when they report an error.
    bare = not response.qname and response.rcode and response.message_id == message_id
    return response if bare else None


async def ask(address: Address, query: Query, source: str = "") -> Response:
    """Ask and wait for the reply, however long that takes. Raises ``UpstreamError``."""
    global _open_sockets  # noqa: PLW0603 (the limit is the process's)
    if _open_sockets * SHARE >= _file_limit():
        raise LocalError(f"{_open_sockets} sockets to upstreams are open; more are not to be had")
    _open_sockets += 1
    try:
        outcome = await _exchange(address, query, source)
    except OSError as error:
        outcome = broken(error)
    finally:
        _open_sockets -= 1
    if isinstance(outcome, UpstreamError):
        raise outcome
    return outcome


async def _exchange(address: Address, query: Query, source: str) -> Response | UpstreamError:
    message_id = secrets.randbits(16)
    loop = asyncio.get_running_loop()
    waiting = _Waiting(query, message_id, loop.create_future())
    sock = _connected((address.host, address.port), source)
    try:
        sock.send(encode(query, message_id))
        transport, _ = await loop.create_datagram_endpoint(lambda: waiting, sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        return await waiting.outcome
    finally:
        transport.close()


def _connected(peer: tuple[str, int], source: str) -> socket.socket:
    """A socket that takes datagrams from nobody else, and is told (ICMP) that nobody listens there."""
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


class _Waiting(asyncio.DatagramProtocol):
    """Who waits for the reply to one question. Thousands may: it is as little as can be."""

    def __init__(
        self, query: Query, message_id: int, outcome: asyncio.Future[Response | UpstreamError]
    ) -> None:
        self.query, self.message_id, self.outcome = query, message_id, outcome

    def datagram_received(self, data: bytes, _: object) -> None:
        try:
            response = reply_to(self.query, self.message_id, data)
        except UpstreamError as error:
            self._ends(error)
        else:
            if response is not None:
                self._ends(response)

    def error_received(self, exc: Exception) -> None:
        self._ends(broken(exc))

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._ends(broken(exc))

    def _ends(self, outcome: Response | UpstreamError) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


def _file_limit() -> float:
    if sys.platform == "win32":
        return inf
    import resource  # noqa: PLC0415 (not on Windows)

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return inf if soft == resource.RLIM_INFINITY else soft
