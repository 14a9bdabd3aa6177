"""The socket of the directive ``debug``: who may open the file may watch questions and set faults.

Several may watch. ``derivation.messages`` has what is said.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from kdns.config.tree import ConfigError, Location, Option
from kdns.derivation.messages import (
    LENGTH,
    Batch,
    ClearFaults,
    Done,
    ListFaults,
    SetFault,
    Watch,
    frame,
    requests,
)
from kdns.plugins import fault
from kdns.wire.names import Name, to_text

logger: Final = logging.getLogger("kdns.server")

MAX_REQUEST: Final = 64 * 1024
MAX_UNREAD: Final = 1024 * 1024
"""Octets: a watcher that is slower misses what comes then, and is told how much."""
MAX_CONNECTIONS: Final = 16
MAX_FAULTS: Final = 64


class Host:
    """What the socket may do to the server."""

    def __init__(
        self,
        watch: Callable[[Callable[[Batch], None] | None], None],
        put_faults: Callable[[tuple[Option, ...]], Awaitable[bool]],
    ) -> None:
        self.watch, self.put_faults = watch, put_faults


class DebugSocket:
    """Listens where the configuration says."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._faults: dict[str, Option] = {}
        self._server: asyncio.Server | None = None
        self._path = ""
        self._watchers: dict[asyncio.StreamWriter, int] = {}
        """With how many questions they missed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()

    async def serve(self, path: str, location: Location) -> None:
        """Listen at ``path`` from now on, or with "" nowhere. Raises ``ConfigError``."""
        if path == self._path:
            return
        try:
            sock = _bind(path) if path else None
        except OSError as error:
            reason = f"debug: cannot listen on {path}: {error.strerror or error}"
            raise ConfigError(reason, location) from error
        await self.close()
        if sock is not None:
            self._server = await asyncio.start_unix_server(self._connected, sock=sock)
            self._path = path
            logger.info("debug socket: %s", path)

    async def close(self) -> None:
        """Listen no more, and end what is open."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        # Who set a fault, and so loaded a configuration that ends this socket, is still to be told.
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        _remove(self._path)
        self._path = ""

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) <= MAX_CONNECTIONS:
                await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the other side is gone
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            logger.warning("debug socket: not a request: %s", error)
        finally:
            self._tasks.discard(task)
            self._leave(writer)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length = int.from_bytes(await reader.readexactly(LENGTH), "big")
            if length > MAX_REQUEST:
                raise msgspec.MsgspecError(f"{length} octets")
            request = requests.decode(await reader.readexactly(length))
            if isinstance(request, Watch):
                self._join(writer) if request.on else self._leave(writer)
                continue
            async with self._changing:
                writer.write(frame(await self._change(request)))
            await writer.drain()

    # ---- faults

    async def _change(self, request: SetFault | ClearFaults | ListFaults) -> Done:
        if isinstance(request, ListFaults):
            return self._done()
        try:
            faults = _changed(self._faults, request)
        except ConfigError as error:
            return self._done(str(error))
        # The same once more begins its chances anew, so that a run can be repeated.
        if faults != self._faults or isinstance(request, SetFault):
            if not await self._host.put_faults(tuple(faults.values())):
                return self._done("the configuration cannot be loaded again; the log says why")
            self._faults = faults
        return self._done()

    def _done(self, problem: str = "") -> Done:
        return Done(list(self._faults), problem)

    # ---- watchers

    def _join(self, writer: asyncio.StreamWriter) -> None:
        self._watchers.setdefault(writer, 0)
        if len(self._watchers) == 1:
            self._host.watch(self._deliver)

    def _leave(self, writer: asyncio.StreamWriter) -> None:
        if self._watchers.pop(writer, None) is not None and not self._watchers:
            self._host.watch(None)

    def _deliver(self, batch: Batch) -> None:
        for writer, missed in self._watchers.items():
            if writer.transport.get_write_buffer_size() > MAX_UNREAD:
                self._watchers[writer] = missed + batch.missed + len(batch.seen)
                continue
            writer.write(frame(Batch(batch.seen, batch.missed + missed, batch.pods)))
            self._watchers[writer] = 0


def _changed(faults: dict[str, Option], request: SetFault | ClearFaults) -> dict[str, Option]:
    """What there is after a request. Raises ``ConfigError`` for one that cannot be."""
    if isinstance(request, SetFault):
        option = fault.from_words(request.words)
        settings = fault.parse(option)
        rest = _without(faults, settings.name)
        if len(rest) == MAX_FAULTS:
            raise ConfigError(f"there are {MAX_FAULTS} faults already")
        return rest | {str(settings): option}
    if not request.name:
        return {}
    name = fault.name_of(request.name, Option(fault.NAME))
    rest = _without(faults, name)
    if rest == faults:
        reason = f"no fault was set for {to_text(name)} (kdns fault list has those that were)"
        raise ConfigError(reason)
    return rest


def _without(faults: dict[str, Option], name: Name) -> dict[str, Option]:
    return {text: option for text, option in faults.items() if fault.parse(option).name != name}


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _bind(path: str) -> socket.socket:
    """A socket that only this user can open. One whose server is gone is in nobody's way."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # one that does not accept must not hold this server up
        with suppress(FileNotFoundError, ConnectionRefusedError):
            with suppress(BlockingIOError):
                probe.connect(path)
            raise OSError("a server listens there already")
    if Path(path).is_socket():
        Path(path).unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        mask = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(mask)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
