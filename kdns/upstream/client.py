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
import sys
from ipaddress import ip_address
from math import inf
from typing import Final

import asyncio_dgram
from msgspec import Struct

from kdns.config.addresses import Address
from kdns.wire.message import Query
from kdns.wire.requests import encode
from kdns.wire.responses import Response, Unreadable, decode

FIRST_LOOK: Final = 0.01
LONGER: Final = 5
"""Seconds until the first look whether the kernel was told that nobody listens there (ICMP), and how
many times longer until each further one. The library tells only who asks again, and nobody is to wait two
seconds for a closed port; but where a thousand wait for a silent upstream, looks are what that costs."""

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
    try:
        message_id = secrets.randbits(16)
        async with _Socket(address, source) as socket:
            await socket.send(encode(query, message_id))
            while True:
                data = await socket.receive()
                if (response := reply_to(query, message_id, data)) is not None:
                    return response
    except (OSError, asyncio_dgram.TransportClosed) as error:
        raise broken(error) from error


class _Socket:
    """A socket that talks to one address: connected, or bound where the source is prescribed."""

    def __init__(self, address: Address, source: str) -> None:
        self.peer, self.source = (address.host, address.port), source
        self.client: asyncio_dgram.DatagramClient | None = None
        self.server: asyncio_dgram.DatagramServer | None = None

    async def __aenter__(self) -> _Socket:
        global _open_sockets  # noqa: PLW0603 (the limit is the process's)
        if _open_sockets * SHARE >= _file_limit():
            raise LocalError(
                f"{_open_sockets} sockets to upstreams are open; more are not to be had"
            )
        _open_sockets += 1
        try:
            if self.source:
                self.server = await asyncio_dgram.bind((self.source, 0))
            else:
                self.client = await asyncio_dgram.connect(self.peer)
        except BaseException:
            _open_sockets -= 1
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        global _open_sockets  # noqa: PLW0603
        _open_sockets -= 1
        for stream in (self.client, self.server):
            if stream is not None:
                stream.close()

    async def send(self, data: bytes) -> None:
        if self.client is not None:
            await self.client.send(data)
        elif self.server is not None:
            await self.server.send(data, self.peer)

    async def receive(self) -> bytes:
        stream, patience = self.client or self.server, FIRST_LOOK
        assert stream is not None, "opened"
        while True:
            try:
                async with asyncio.timeout(patience):
                    data, sender = await stream.recv()
                if stream is self.client or (
                    isinstance(sender, tuple) and self._is_peer(sender[0], sender[1])
                ):
                    return bytes(data)
            except TimeoutError:
                patience *= LONGER

    def _is_peer(self, host: str, port: int) -> bool:
        return port == self.peer[1] and _plain(host) == _plain(self.peer[0])


def _file_limit() -> float:
    if sys.platform == "win32":
        return inf
    import resource  # noqa: PLC0415 (not on Windows)

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return inf if soft == resource.RLIM_INFINITY else soft


def _plain(host: str) -> object:
    return ip_address(host.partition("%")[0])
