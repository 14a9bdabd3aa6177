"""A TCP relay that can be shut, so that one client loses its server while that goes on living."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.cluster.processes import free_port


class Gate:
    """Relays 127.0.0.1:``port`` to 127.0.0.1:``target``; made by ``opened``."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._relays: set[asyncio.Future[None]] = set()

    async def open(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)

    async def shut(self) -> None:
        """Break all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._relays)

    def cut(self) -> None:
        """Break all connections; new ones are welcome."""
        for writer in self._writers:
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = asyncio.get_running_loop().create_future()
        self._relays.add(ended)
        self._writers.add(writer)
        try:
            await self._join(reader, writer)
        finally:
            writer.transport.abort()
            self._writers.remove(writer)
            self._relays.remove(ended)
            ended.set_result(None)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, out = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            return
        self._writers.add(out)
        try:
            if not writer.transport.is_closing():  # it may have been cut meanwhile
                await asyncio.gather(pass_on(reader, out), pass_on(upstream, writer))
        finally:
            out.transport.abort()
            self._writers.remove(out)


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What comes, until the end of either connection."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def opened(target: int) -> AsyncIterator[Gate]:
    gate = Gate(target)
    await gate.open()
    try:
        yield gate
    finally:
        await gate.shut()


class Resetter:
    """Accepts TCP connections and resets them at once, as a load balancer without a server behind it does.

    In a thread: the reset is to come while the client's event loop is still busy with the connection.
    """

    def __init__(self, port: int) -> None:
        self._sock = socket.create_server(("127.0.0.1", port), backlog=128)
        self._sock.settimeout(0.05)
        self._stopping = False
        self.resets = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            try:
                accepted, _ = self._sock.accept()
            except TimeoutError:
                continue
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            self.resets += 1

    def stop(self) -> None:
        self._stopping = True
        self._thread.join()
        self._sock.close()
