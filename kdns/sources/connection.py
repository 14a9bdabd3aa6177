"""The way to one API server, on sessions that are replaced when their credentials fail."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic, perf_counter
from typing import TypeAlias

import aiohttp

from kdns.sources.backoff import CREDENTIALS, Backoff
from kdns.sources.exchange import FAILURES, AiohttpReply, Client, abandon, failure, send
from kdns.sources.transport import AccessError, TransportError

log = logging.getLogger("kdns.sources.apiserver")

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
                response = await send(client, path, parameters, patience)
            except FAILURES as error:
                self._report("<error>", started)
                await self._suspect(session, error)
                raise failure(error, patience) from error
            self._report(str(response.status), started)
            try:
                yield AiohttpReply(response)
            finally:
                abandon(response)

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


def _modified(files: Sequence[Path]) -> tuple[float, ...]:
    """Return the modification times; 0 for a file that is not there."""
    return tuple(_modification_time(path) for path in files)


def _modification_time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
