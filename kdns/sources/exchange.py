"""One request to an API server and its reply, with aiohttp.

Knows how to use a ``Client`` of the ``kubernetes`` package, not how to make one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp.tracing import Trace

from kdns.sources.body import Receive, Tap
from kdns.sources.transport import TransportError

_HEADERS: Final = {"Accept": "application/json", "User-Agent": "kdns"}

FAILURES: Final = (aiohttp.ClientError, OSError, TimeoutError, ValueError)
"""ValueError: what aiohttp says of proxies and header values that it cannot use."""


class Client(Protocol):
    """The part of ``kubernetes.aio.client.rest.RESTClientObject`` that is used."""

    configuration: Any

    async def request(
        self, method: str, url: str, headers: Any, *, _request_timeout: Any
    ) -> Any: ...

    async def close(self) -> None: ...


_transports: Final[ContextVar[list[asyncio.Transport]]] = ContextVar("transports")
"""What the request of this task is sent over."""

KEEPALIVE: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds of silence, seconds between probes, probes: a connection that is dead on the way is noticed after
25 s, sooner than by a watch's silence. Go's HTTP/2 client takes 45 s."""

_sockets: Final[ContextVar[list[socket.socket]]] = ContextVar("sockets")
"""The sockets that were made to connect this request."""


class Connector(aiohttp.TCPConnector):
    """Tells what a request is sent over, so that one which is given up leaves nothing behind.

    TLS ends with an exchange of its own, for which asyncio gives the other side 30 seconds.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(socket_factory=_new_socket, **settings)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> aiohttp.connector.Connection:
        sockets: list[socket.socket] = []
        _sockets.set(sockets)
        try:
            connection = await super().connect(req, traces, timeout)
        finally:
            _hand_over(sockets)
        if connection.transport is not None:
            _transports.get().append(connection.transport)
        return connection


def _new_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if (option := getattr(socket, name, None)) is not None:  # not on every system
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    _sockets.get().append(made)
    return made


def _hand_over(sockets: list[socket.socket]) -> None:
    """Leave descriptors that are open still to the event loop that connected them.

    uvloop closes them itself, but when the other side resets the connection at once, it forgets to detach
    the socket object. That would close the same number once more when it is collected, and by then
    the number may be another connection's, which from then on is silent for ever.
    """
    if not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        for each in sockets:
            each.detach()


class AiohttpReply:
    """A ``Reply`` from aiohttp."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except FAILURES as error:
            raise failure(error, 0) from error

    async def follow(self, receive: Receive) -> None:
        connection, content = self._response.connection, self._response.content
        try:
            if connection is None or connection.transport is None:  # it is all there
                receive(content.read_nowait())
            else:
                await Tap(connection.transport, content, receive).ended
        except (aiohttp.ClientError, OSError) as error:
            raise failure(error, 0) from error


async def send(
    client: Client, path: str, parameters: Mapping[str, str], patience: float
) -> aiohttp.ClientResponse:
    """GET; what is returned ends with ``abandon``. Raises ``FAILURES`` and ``TransportError``.

    ``patience`` (seconds) covers connecting and the answer's head; the body may take as long as a watch.
    """
    url = f"{client.configuration.host}{path}"
    if parameters:
        url += f"?{urlencode(parameters, quote_via=quote)}"
    headers = dict(_HEADERS)
    try:
        credentials = await client.configuration.auth_settings()
    except Exception as error:  # of many kinds: it reads a token file, or refreshes a token
        raise TransportError(f"no credentials: {str(error) or type(error).__name__}") from error
    for credential in credentials.values():
        # Token files often end with a newline, which no header may contain.
        headers[credential["key"]] = str(credential["value"] or "").strip()
    unbounded = aiohttp.ClientTimeout(total=None, sock_connect=min(patience, 3.0))
    transports: list[asyncio.Transport] = []
    _transports.set(transports)
    try:
        async with asyncio.timeout(patience):
            answer = await client.request("GET", url, headers, _request_timeout=unbounded)
    except BaseException:
        for transport in transports:
            transport.abort()
        raise
    response: aiohttp.ClientResponse = answer.response
    return response


def abandon(response: aiohttp.ClientResponse) -> None:
    """Close the connection unless it can be used again, without waiting for a peer that may hang."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


def failure(error: BaseException, patience: float) -> TransportError:
    """What went wrong, in words."""
    if isinstance(error, TimeoutError):
        return TransportError(f"no answer within {patience:g} s")
    if isinstance(error, aiohttp.ClientPayloadError):
        return TransportError("connection broken in the middle of an answer")
    if isinstance(error, aiohttp.ClientConnectorError):
        refused = isinstance(error.os_error, ConnectionRefusedError)
        reason = "connection refused" if refused else system_words(error.os_error)
        return TransportError(
            f"cannot connect to {error.host}:{error.port}: {reason}", refused=refused
        )
    reason = system_words(error) if isinstance(error, OSError) else str(error)
    return TransportError(f"connection broken: {reason or type(error).__name__}")


def system_words(error: OSError) -> str:
    """Why a connection failed, without numbers; asyncio tells no more than the address."""
    if isinstance(error, ssl.SSLError) or not error.errno or error.errno < 0:  # getaddrinfo's
        return error.strerror or str(error)
    return os.strerror(error.errno)
