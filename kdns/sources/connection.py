"""HTTP to one API server with aiohttp, on sessions that are replaced when their credentials fail.

Knows how to use a ``Client`` of the ``kubernetes`` package, not how to make one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp.tracing import Trace

from kdns.sources.backoff import CREDENTIALS, Backoff
from kdns.sources.body import Receive, Tap
from kdns.sources.transport import AccessError, TransportError

log = logging.getLogger("kdns.sources.apiserver")

_HEADERS: Final = {"Accept": "application/json", "User-Agent": "kdns"}

_FAILURES: Final = (aiohttp.ClientError, OSError, TimeoutError, ValueError)
"""ValueError: what aiohttp says of proxies and header values that it cannot use."""


class Client(Protocol):
    """The part of ``kubernetes.aio.client.rest.RESTClientObject`` that is used."""

    configuration: Any

    async def request(
        self, method: str, url: str, headers: Any, *, _request_timeout: Any
    ) -> Any: ...

    async def close(self) -> None: ...


ObserveRequest: TypeAlias = Callable[[str, str, float], None]
"""Told of each request: status code or ``<error>``, host and port, seconds until the headers came."""


class Session:
    """An HTTP session with the credentials of one moment, closed after its last use."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._users = 0
        self._retired = False

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Client]:
        self._users += 1
        try:
            yield self.client
        finally:
            self._users -= 1
            await self._close_if_over()

    async def retire(self) -> None:
        self._retired = True
        await self._close_if_over()

    async def _close_if_over(self) -> None:
        if self._retired and not self._users:
            await self.client.close()


class Connection:
    """Authenticated requests (``Transport``), whose credentials are read anew when they fail.

    Tokens and certificates on disk rotate, exec plugins hand out short-lived ones, and a kubeconfig is
    edited: after a 401, a TLS failure, or a failed attempt with a changed kubeconfig, everything is
    loaded again. Watches that run on go on with the session they began with.
    """

    def __init__(
        self,
        make: Callable[[], Awaitable[Client]],
        files: Sequence[Path],
        observe: ObserveRequest | None = None,
    ) -> None:
        """``make`` raises ``AccessError`` or ``TransportError``; ``files`` are what it reads."""
        self._make = make
        self._observe = observe
        self._files = files
        self._modified: tuple[float, ...] = ()
        self._session: Session | None = None
        self._loading = asyncio.Lock()
        self._address = ""
        self._patience = Backoff(random.uniform)
        self._not_before = 0.0
        """On the monotonic clock: when new credentials may be asked for."""
        self._problem: AccessError | TransportError | None = None
        """Why there is no session."""
        self._said = ""

    @property
    def address(self) -> str:
        """Empty before the first session was made."""
        return self._address

    async def load(self) -> None:
        """Make a session if there is none. Raises ``AccessError``; a failed plugin is none."""
        try:
            await self._current()
        except TransportError as error:
            self._say(str(error))

    def _say(self, problem: str) -> None:
        """Log what is in the way of a session, once."""
        if problem != self._said:
            log.warning("%s", problem)
            self._said = problem

    async def close(self) -> None:
        await self._drop(self._session)

    @asynccontextmanager
    async def get(
        self, path: str, parameters: Mapping[str, str], patience: float
    ) -> AsyncIterator[AiohttpReply]:
        session = await self._ready()
        async with self._answer(session, path, parameters, patience) as reply:
            if reply.status != 401:
                self._patience.reset()
            if reply.status != 401 or not await self._renew(session):
                yield reply
                return
        # The token may just have expired: once more, with fresh credentials.
        async with self._answer(await self._ready(), path, parameters, patience) as reply:
            yield reply

    async def _renew(self, session: Session) -> bool:
        """Whether there will be other credentials than those of ``session``."""
        if session is self._session:
            if not self._may_ask():
                return False
            self._postpone()
            await self._drop(session)
        return True

    async def _ready(self) -> Session:
        try:
            return await self._current()
        except (AccessError, TransportError) as error:
            self._say(str(error))
            raise TransportError(str(error)) from error

    @asynccontextmanager
    async def _answer(
        self, session: Session, path: str, parameters: Mapping[str, str], patience: float
    ) -> AsyncIterator[AiohttpReply]:
        async with session.use() as client:
            started = perf_counter()
            try:
                response = await _send(client, path, parameters, patience)
            except _FAILURES as error:
                self._report("<error>", started)
                await self._suspect(session, error)
                raise _failure(error, patience) from error
            self._report(str(response.status), started)
            try:
                yield AiohttpReply(response)
            finally:
                _abandon(response)

    def _report(self, code: str, started: float) -> None:
        if self._observe is not None:
            host = self._address.partition("://")[2] or self._address
            self._observe(code, host, perf_counter() - started)

    async def _current(self) -> Session:
        async with self._loading:
            if self._session is None:
                if self._problem is not None and not self._may_ask():
                    raise self._problem.with_traceback(None)  # it would grow each time
                self._session = await self._new()
            return self._session

    async def _new(self) -> Session:
        self._modified = _modified(self._files)
        try:
            client = await self._make()
        except (AccessError, TransportError) as error:
            self._problem = error
            self._postpone()
            raise
        self._problem, self._said = None, ""
        self._address = client.configuration.host
        return Session(client)

    def _may_ask(self) -> bool:
        return monotonic() >= self._not_before or self._modified != _modified(self._files)

    def _postpone(self) -> None:
        self._not_before = monotonic() + self._patience.after(CREDENTIALS)

    async def _suspect(self, session: Session, error: BaseException) -> None:
        """Drop the session when what it was made of may be the reason for the failure."""
        if self._modified != _modified(self._files):
            await self._drop(session)
        elif isinstance(error, aiohttp.ClientSSLError):
            await self._renew(session)

    async def _drop(self, session: Session | None) -> None:
        if session is not None and session is self._session:
            self._session = None
            await session.retire()


_transports: Final[ContextVar[list[asyncio.Transport]]] = ContextVar("transports")
"""What the request of this task is sent over."""


class Connector(aiohttp.TCPConnector):
    """Tells what a request is sent over, so that one which is given up leaves nothing behind.

    TLS ends with an exchange of its own, for which asyncio gives the other side 30 seconds.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the signature is aiohttp's
    ) -> aiohttp.connector.Connection:
        connection = await super().connect(req, traces, timeout)
        if connection.transport is not None:
            _transports.get().append(connection.transport)
        return connection


class AiohttpReply:
    """A ``Reply`` from aiohttp."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except _FAILURES as error:
            raise _failure(error, 0) from error

    async def follow(self, receive: Receive) -> None:
        connection, content = self._response.connection, self._response.content
        try:
            if connection is None or connection.transport is None:  # it is all there
                receive(content.read_nowait())
            else:
                await Tap(connection.transport, content, receive).ended
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error, 0) from error


async def _send(
    client: Client, path: str, parameters: Mapping[str, str], patience: float
) -> aiohttp.ClientResponse:
    url = f"{client.configuration.host}{path}"
    if parameters:
        url += f"?{urlencode(parameters, quote_via=quote)}"
    headers = dict(_HEADERS)
    for credential in (await client.configuration.auth_settings()).values():
        # Token files often end with a newline, which no header may contain.
        headers[credential["key"]] = str(credential["value"] or "").strip()
    # ``patience`` covers connecting and the answer's head; the body may take as long as a watch.
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


def _abandon(response: aiohttp.ClientResponse) -> None:
    """Close the connection unless it can be used again, without waiting for a peer that may hang."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


def _failure(error: BaseException, patience: float) -> TransportError:
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
    return TransportError(f"connection broken: {str(error) or type(error).__name__}")


def system_words(error: OSError) -> str:
    """Why a connection failed, without numbers; asyncio tells no more than the address."""
    if isinstance(error, ssl.SSLError) or not error.errno or error.errno < 0:  # getaddrinfo's
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _modified(files: Sequence[Path]) -> tuple[float, ...]:
    """Return the modification times; 0 for a file that is not there."""
    return tuple(_modification_time(path) for path in files)


def _modification_time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
