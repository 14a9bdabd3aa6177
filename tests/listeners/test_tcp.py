"""The TCP listener over real sockets, on each event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdns.answers.repeats import Repeats
from kdns.listeners.tcp import Limits, TcpListener, bind
from kdns.listeners.tcp_connection import MAX_PER_TURN, MAX_WAITING
from kdns.metrics.meters import QueryClass
from kdns.wire.message import Reply, Transport
from tests.fakes.replies import Pending, cached, repeats
from tests.waiting import until


class Responder:
    """Answers each message by its first word: echoed, never, late, or not at all."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.origins: set[tuple[str, str]] = set()
        self.locals: set[str] = set()
        self.gates: dict[bytes, asyncio.Event] = {}

    def __call__(
        self, data: bytes, client: str, port: int, transport: Transport, local: str
    ) -> Reply:
        assert 0 < port < 65536
        self.locals.add(local)
        self.seen.append(data)
        self.origins.add((client, transport))
        match data[:4]:
            case b"none":
                return None
            case b"late":
                return Pending(self._late(data))
            case b"big ":
                return data + bytes(60000)
            case b"huge":
                return bytes(65536)
            case _:
                return b"re:" + data

    async def _late(self, data: bytes) -> bytes | None:
        await self.gates.setdefault(data, asyncio.Event()).wait()
        return b"re:" + data


def frame(*messages: bytes) -> bytes:
    return b"".join(struct.pack("!H", len(message)) + message for message in messages)


class Client:
    """A connection, with a small receive window so that an unread reply is soon felt."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *messages: bytes) -> None:
        self.writer.write(frame(*messages))

    async def receive(self, count: int = 1) -> list[bytes]:
        async with asyncio.timeout(30):
            return [
                await self.reader.readexactly(
                    int.from_bytes(await self.reader.readexactly(2), "big")
                )
                for _ in range(count)
            ]

    async def ask(self, *messages: bytes) -> list[bytes]:
        self.send(*messages)
        return await self.receive(len(messages))

    async def is_closed(self) -> bool:
        """Wait for the other side to end the connection; False when there is something to read."""
        async with asyncio.timeout(30):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class Served:
    def __init__(self, listener: TcpListener, responder: Responder) -> None:
        self.listener, self.responder = listener, responder
        self.clients: list[Client] = []

    async def connect(self, window: int = 0, host: str = "127.0.0.1") -> Client:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (host, self.listener.port))
        streams = await asyncio.open_connection(sock=sock, limit=max(window, 2**16))
        self.clients.append(Client(*streams))
        return self.clients[-1]


@contextlib.asynccontextmanager
async def served(
    known: Repeats | None = None, *, host: str = "127.0.0.1", **limits: Any
) -> AsyncIterator[Served]:
    responder = Responder()
    listener = TcpListener(known or repeats(is_stream=True), responder, limits=Limits(**limits))
    await listener.start(bind(host, 0))
    it = Served(listener, responder)
    try:
        yield it
    finally:
        await listener.drain(0)
        for client in it.clients:
            await client.close()
        await until(lambda: not listener.connections)


async def test_questions_are_answered_in_one_connection() -> None:
    async with served() as it:
        client = await it.connect()
        assert await client.ask(b"one") == [b"re:one"]
        assert await client.ask(b"two", b"three") == [b"re:two", b"re:three"]
        assert it.responder.origins == {("127.0.0.1", "tcp")}


@pytest.mark.parametrize(
    ("host", "queried"),
    [("0.0.0.0", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"), ("127.0.0.2", "127.0.0.2"), ("::", "::1")],
)
async def test_the_address_queried_is_known(host: str, queried: str) -> None:
    async with served(host=host) as it:
        client = await it.connect(host=queried)
        assert await client.ask(b"one") == [b"re:one"]
        assert it.responder.locals == {queried}
        assert it.listener.accepted == 1


async def test_a_segment_full_of_questions_is_answered_whole() -> None:
    async with served() as it:
        client = await it.connect()
        questions = [b"q%d" % n for n in range(10 * MAX_PER_TURN + 3)]
        assert await client.ask(*questions) == [b"re:" + q for q in questions]


async def test_an_octet_at_a_time_is_understood() -> None:
    async with served() as it:
        client = await it.connect()
        for octet in frame(b"one", b"two"):
            client.writer.write(bytes((octet,)))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert await client.receive(2) == [b"re:one", b"re:two"]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    messages=st.lists(st.binary(max_size=300).map(b"m".__add__), min_size=1, max_size=20),
    cuts=st.lists(st.integers(0, 4000), max_size=8),
)
def test_however_the_stream_is_cut_the_answers_are_the_same(
    messages: list[bytes], cuts: list[int]
) -> None:
    async def run() -> None:
        async with served() as it:
            client, stream = await it.connect(), frame(*messages)
            for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(stream)], strict=True):
                client.writer.write(stream[start:end])
                await client.writer.drain()
                await asyncio.sleep(0)
            assert await client.receive(len(messages)) == [b"re:" + m for m in messages]

    asyncio.run(run())


async def test_an_empty_message_is_the_responders_to_judge() -> None:
    async with served() as it:
        client = await it.connect()
        assert await client.ask(b"", b"x") == [b"re:", b"re:x"]


async def test_silence_does_not_stop_what_follows() -> None:
    async with served() as it:
        client = await it.connect()
        client.send(b"none", b"huge", b"after")
        assert await client.receive() == [b"re:after"]


async def test_answers_overtake_those_that_wait() -> None:
    async with served() as it:
        client = await it.connect()
        client.send(b"late1", b"late2", b"now")
        assert await client.receive() == [b"re:now"]
        it.responder.gates[b"late2"].set()
        assert await client.receive() == [b"re:late2"]
        it.responder.gates[b"late1"].set()
        assert await client.receive() == [b"re:late1"]


async def test_only_so_many_questions_wait() -> None:
    async with served() as it:
        client = await it.connect()
        questions = [b"late%d" % n for n in range(MAX_WAITING + 20)]
        client.send(*questions)
        await until(lambda: len(it.responder.seen) == MAX_WAITING)
        other = await it.connect()
        assert await other.ask(b"x") == [b"re:x"]
        assert len(it.responder.seen) == MAX_WAITING + 1
        for gate in tuple(it.responder.gates.values()):
            gate.set()
        await until(lambda: len(it.responder.gates) == len(questions))
        for gate in it.responder.gates.values():
            gate.set()
        assert set(await client.receive(len(questions))) == {b"re:" + q for q in questions}


async def test_half_close_still_gets_its_answers() -> None:
    async with served() as it:
        client = await it.connect()
        client.send(b"late", b"now")
        client.writer.write_eof()
        assert await client.receive() == [b"re:now"]
        await until(lambda: b"late" in it.responder.gates)
        it.responder.gates[b"late"].set()
        assert await client.receive() == [b"re:late"]
        assert await client.is_closed()
        await until(lambda: not it.listener.connections)


async def test_half_close_after_part_of_a_question_ends_the_connection() -> None:
    async with served() as it:
        client = await it.connect()
        client.writer.write(b"\0\x09half")
        client.writer.write_eof()
        assert await client.is_closed()


async def test_an_idle_connection_is_ended() -> None:
    async with served(idle=0.5) as it:
        client = await it.connect()
        assert await client.ask(b"x") == [b"re:x"]
        assert await client.is_closed()
        assert it.listener.ended == {"idle": 1}


async def test_octets_that_make_no_question_keep_no_connection() -> None:
    async with served(idle=0.2) as it:
        client = await it.connect()
        client.writer.write(b"\xff\xff")
        closed = asyncio.ensure_future(client.is_closed())
        while not closed.done():
            client.writer.write(b"x")
            await asyncio.sleep(0.02)
        assert await closed
        assert it.listener.ended == {"idle": 1}


async def test_a_question_that_waits_is_not_idle() -> None:
    async with served(idle=0.3) as it:
        waiting, idle = await it.connect(), await it.connect()
        waiting.send(b"late")
        assert await idle.is_closed()
        await asyncio.sleep(0.4)
        assert len(it.listener.connections) == 1
        it.responder.gates[b"late"].set()
        assert await waiting.receive() == [b"re:late"]


async def test_replies_that_are_not_read_stop_the_questions_and_end_the_connection() -> None:
    async with served(unread=0.3) as it:
        client = await it.connect(window=4096)
        client.send(*[b"big %d" % n for n in range(2000)])
        await until(lambda: any(c.unread for c in it.listener.connections))
        await until(lambda: not it.listener.connections)
        assert it.listener.ended == {"unread": 1}
        assert len(it.responder.seen) < 400


async def test_a_slow_reader_gets_everything() -> None:
    async with served(unread=60) as it:
        client = await it.connect(window=4096)
        questions = [b"big %d" % n for n in range(300)]
        client.send(*questions)
        await until(lambda: any(c.unread for c in it.listener.connections))
        assert [reply[:-60000] for reply in await client.receive(300)] == questions


async def test_over_the_cap_the_longest_idle_connection_goes() -> None:
    async with served(connections=2) as it:
        first, second = await it.connect(), await it.connect()
        assert await second.ask(b"x") == [b"re:x"]
        assert await first.ask(b"x") == [b"re:x"]
        third = await it.connect()
        assert await third.ask(b"x") == [b"re:x"]
        assert await second.is_closed()
        assert await first.ask(b"y") == [b"re:y"]
        assert it.listener.ended == {"evicted": 1}


@pytest.mark.parametrize("limit", [{"connections": 1}, {"per_client": 1}])
async def test_over_the_cap_with_all_busy_the_new_one_is_refused(limit: dict[str, Any]) -> None:
    async with served(None, **limit) as it:
        first = await it.connect()
        first.send(b"late")
        await until(lambda: len(it.responder.seen) == 1)
        second = await it.connect()
        assert await second.is_closed()
        assert it.listener.ended == {"refused": 1}
        it.responder.gates[b"late"].set()
        assert await first.receive() == [b"re:late"]
        third = await it.connect()
        assert await third.ask(b"x") == [b"re:x"]


async def test_drain_answers_what_was_asked_and_accepts_no_more() -> None:
    async with served() as it:
        busy, idle = await it.connect(), await it.connect()
        assert await idle.ask(b"x") == [b"re:x"]
        busy.send(b"late")
        await until(lambda: len(it.responder.seen) == 2)
        port = it.listener.port
        draining = asyncio.ensure_future(it.listener.drain(5))
        assert await idle.is_closed()
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)
        assert not draining.done()
        it.responder.gates[b"late"].set()
        assert await busy.receive() == [b"re:late"]
        assert await busy.is_closed()
        assert await draining == 0


async def test_drain_cuts_at_its_deadline_and_says_how_many() -> None:
    async with served() as it:
        client = await it.connect()
        client.send(b"late1", b"late2")
        await until(lambda: len(it.responder.seen) == 2)
        assert await it.listener.drain(0.05) == 2
        assert await client.is_closed()
        assert not it.listener.connections


async def test_cached_replies_need_no_responder(monkeypatch: pytest.MonkeyPatch) -> None:
    known, samples = repeats(is_stream=True), list[float]()
    use = cached(known, b"question", b"reply1", b"reply2")
    monkeypatch.setattr(QueryClass, "took", lambda _, seconds: samples.append(seconds))
    async with served(known) as it:
        client = await it.connect()
        asked = [b"%02dquestion" % (n % 100) for n in range(256)]
        replies = await client.ask(*asked)
        assert replies == [q[:2] + b"reply%d" % (1 + n % 2) for n, q in enumerate(asked)]
        assert it.responder.seen == []
        assert use.hits == 256
        assert len(samples) == 2
        assert await client.ask(b"01other") == [b"re:01other"]
        assert known.misses == 1


async def test_an_asker_that_goes_away_leaves_nothing() -> None:
    async with served() as it:
        client = await it.connect()
        client.send(b"late")
        await until(lambda: len(it.responder.seen) == 1)
        # An orderly end looks like a half-close, so make it a reset.
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
        await until(lambda: not it.listener.connections)
        it.responder.gates[b"late"].set()
        assert await (await it.connect()).ask(b"x") == [b"re:x"]


async def test_a_taken_port_is_an_oserror() -> None:
    async with served() as it:
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", it.listener.port)
