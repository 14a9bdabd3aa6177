"""A body handed over from within callbacks, over real connections, compared with what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from kdns.sources.body import Tap

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
Serve = Callable[[asyncio.StreamWriter], object]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@asynccontextmanager
async def answered(serve: Serve) -> AsyncIterator[tuple[aiohttp.ClientResponse, list[bytes]]]:
    """A response whose head and first piece have come; the server goes on when ``serve`` is called."""
    go_on: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"\r\n" + chunk(b"first"))
        await writer.drain()
        await go_on.put(writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with aiohttp.ClientSession() as session:
            response = await session.get(f"http://127.0.0.1:{port}/")
            writer = await go_on.get()
            asyncio.get_running_loop().call_soon(serve, writer)
            yield response, []
            response.close()
            writer.close()
    finally:
        server.close()


def tap(response: aiohttp.ClientResponse, receive: Callable[[bytes], None]) -> Tap:
    assert response.connection is not None
    assert response.connection.transport is not None
    return Tap(response.connection.transport, response.content, receive)


async def test_everything_arrives_in_order_however_it_is_cut() -> None:
    parts = [bytes([at % 251]) * (at * 37 % 5000 + 1) for at in range(300)]  # beyond all buffers
    wire = b"".join(map(chunk, parts)) + b"0\r\n\r\n"

    async def trickle(writer: asyncio.StreamWriter) -> None:
        for at in range(0, len(wire), 9973):
            writer.write(wire[at : at + 9973])
            await writer.drain()

    async with answered(lambda writer: asyncio.ensure_future(trickle(writer))) as (response, got):
        handler = response.connection and response.connection.protocol
        tapped = tap(response, got.append)
        transport = tapped._transport
        await tapped.ended
        assert b"".join(got) == b"first" + b"".join(parts)
        assert transport.get_protocol() is handler  # which can serve the next request


async def test_a_connection_that_breaks_is_told() -> None:
    async with answered(lambda writer: writer.transport.abort()) as (response, got):
        with pytest.raises((aiohttp.ClientError, OSError)):
            await tap(response, got.append).ended
        assert got == [b"first"]


async def test_what_the_receiver_raises_is_told_and_nothing_more_handed_over() -> None:
    got: list[bytes] = []

    def receive(piece: bytes) -> None:
        got.append(piece)
        raise KeyError(piece)

    async with answered(lambda writer: writer.write(chunk(b"second"))) as (response, _):
        with pytest.raises(KeyError):
            await tap(response, receive).ended
        assert len(got) == 1


async def test_after_a_cancellation_nothing_is_handed_over() -> None:
    async with answered(lambda writer: writer.write(chunk(b"second"))) as (response, got):
        tapped = tap(response, got.append)
        before = list(got)
        tapped.ended.cancel()
        assert await response.content.readexactly(6) == b"second"
        assert got == before
