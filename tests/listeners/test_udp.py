"""UDP: kept replies from the callback, others by the responder, at once or later, and never too many."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from kdns.listeners import batch, udp
from kdns.listeners.batch import ROOM, SIZE
from kdns.listeners.path import Path
from kdns.listeners.udp import UdpListener
from kdns.metrics.meters import QueryClass
from kdns.wire.message import Reply, Transport
from tests.cluster.processes import free_port
from tests.fakes.replies import Pending, cached, repeats


class Responding:
    """A listener, and what its responder was asked; ``reply`` is how it answers."""

    def __init__(self, reply: Callable[[bytes], Reply]) -> None:
        self.reply, self.asked = reply, list[tuple[str, int, Transport]]()
        self.repeats = repeats()
        self.listener: UdpListener
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.setblocking(False)

    async def start(self) -> None:
        self.listener = await udp.listen(
            "127.0.0.1", 0, lambda: UdpListener(self.repeats, self.respond)
        )
        self.client.connect(("127.0.0.1", self.listener.port))

    def respond(self, data: bytes, client: str, port: int, transport: Transport, _: str) -> Reply:
        self.asked.append((client, port, transport))
        return self.reply(data)

    async def exchange(self, *datagrams: bytes) -> list[bytes]:
        """Send all, then wait for as many replies."""
        for datagram in datagrams:
            self.client.send(datagram)
        return [await self.receive() for _ in datagrams]

    async def receive(self) -> bytes:
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.sock_recv(self.client, 65535), 30)

    def close(self) -> None:
        self.client.close()
        self.listener.close()


class Refusing:
    """A sandbox's answer to the calls that libc has."""

    @staticmethod
    def recvmmsg(*_: object) -> int:
        return -1

    sendmmsg = recvmmsg


@pytest.fixture(autouse=True, params=["batches", "no such calls", "refused calls"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Linux, as where there is no recvmmsg, and as in a sandbox that has it in name only."""
    if request.param != "batches":
        system = None if request.param == "no such calls" else Refusing()
        monkeypatch.setattr(batch, "_system", system)


Started = Callable[..., Awaitable[Responding]]


@pytest.fixture
async def start() -> AsyncIterator[Started]:
    made: list[Responding] = []

    async def start(reply: Callable[[bytes], Reply]) -> Responding:
        made.append(Responding(reply))
        await made[-1].start()
        return made[-1]

    yield start
    for each in made:
        each.close()
    await asyncio.sleep(0)


async def test_a_reply_that_is_there_at_once(start: Started) -> None:
    server = await start(lambda data: data[:2] + b"reply")
    assert await server.exchange(b"\1\2ask", b"\3\4ask") == [b"\1\2reply", b"\3\4reply"]
    assert server.asked == [("127.0.0.1", server.client.getsockname()[1], "udp")] * 2
    assert server.repeats.misses == 2


async def test_silence(start: Started) -> None:
    server = await start(lambda data: None if data == b"hush" else b"reply")
    assert await server.exchange(b"loud") == [b"reply"]
    server.client.send(b"hush")
    assert await server.exchange(b"loud") == [b"reply"]
    assert len(server.asked) == 3


@pytest.mark.parametrize("data", [b"", b"x", b"xy", b"x" * 4000])
async def test_any_size_reaches_the_responder(start: Started, data: bytes) -> None:
    server = await start(lambda data: b"size %d" % len(data))
    assert await server.exchange(data) == [b"size %d" % len(data)]


async def test_kept_replies_bear_the_askers_id_and_take_turns(start: Started) -> None:
    server = await start(lambda _: None)
    use = cached(server.repeats, b"ask", b"one", b"two")
    replies = await server.exchange(b"\1\1ask", b"\2\2ask", b"\3\3ask")
    assert replies == [b"\1\1one", b"\2\2two", b"\3\3one"]
    assert use.hits == 3
    assert not server.asked
    assert server.repeats.misses == 0


async def test_a_sample_of_the_hits_is_timed(
    start: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, samples = await start(lambda _: None), list[float]()
    use = cached(server.repeats, b"ask", b"reply")
    monkeypatch.setattr(QueryClass, "took", lambda _, seconds: samples.append(seconds))
    for _ in range(256):
        await server.exchange(b"\0\0ask")
    assert use.hits == 256
    assert len(samples) == 2
    assert all(0 < sample < 1 for sample in samples)


async def test_what_must_wait_is_sent_later_and_others_pass_it(start: Started) -> None:
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def wait() -> bytes:
        return await arrived

    server = await start(lambda data: Pending(wait()) if data == b"slow" else b"quick")
    server.client.send(b"slow")
    assert await server.exchange(b"x") == [b"quick"]
    arrived.set_result(b"late")
    assert await server.receive() == b"late"
    await asyncio.sleep(0)
    assert not server.listener.waiting


async def test_no_more_wait_than_may(start: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "MAX_WAITING", 2)
    arrived = asyncio.Event()

    async def wait() -> bytes:
        await arrived.wait()
        return b"late"

    server = await start(lambda data: Pending(wait()) if data == b"slow" else b"quick")
    for _ in range(5):
        server.client.send(b"slow")
    assert await server.exchange(b"x") == [b"quick"], "what needs no waiting is answered"
    assert len(server.listener.waiting) == 2
    assert server.listener.take_drops() == {"overflow": 3, "late": 0}
    assert server.listener.take_drops() == {"overflow": 0, "late": 0}
    arrived.set()
    assert [await server.receive() for _ in range(2)] == [b"late"] * 2


async def test_drain_waits_for_what_is_under_way(start: Started) -> None:
    arrived = asyncio.Event()

    async def wait() -> bytes:
        await arrived.wait()
        return b"late"

    server = await start(lambda data: Pending(wait()) if data == b"slow" else b"quick")
    server.client.send(b"slow")
    await server.exchange(b"x")
    asyncio.get_running_loop().call_soon(arrived.set)
    assert await server.listener.drain(5) == 0
    assert await server.receive() == b"late"


async def test_drain_counts_what_it_cuts_off(start: Started) -> None:
    cancelled = asyncio.Event()

    async def wait() -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return b""

    server = await start(lambda data: Pending(wait()) if data == b"slow" else b"quick")
    server.client.send(b"slow")
    await server.exchange(b"x")
    assert await server.listener.drain(0.01) == 1
    await asyncio.wait_for(cancelled.wait(), 30)


@pytest.mark.parametrize(
    "address", [("127.0.0.1", 0), ("255.255.255.255", 53)], ids=["port 0", "broadcast"]
)
async def test_a_source_that_cannot_be_answered(start: Started, address: tuple[str, int]) -> None:
    """Anybody can forge one; it must cost neither the socket nor a traceback in the log."""
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    server = await start(lambda _: b"reply")
    server.listener.transport.reply(b"reply", Path(address, []))
    assert await server.exchange(b"other") == [b"reply"]
    assert not raised


async def test_a_reply_that_no_datagram_holds(start: Started) -> None:
    server = await start(lambda data: b"x" * 70000 if data == b"big" else b"reply")
    server.client.send(b"big")
    assert await server.exchange(b"other") == [b"reply"]


async def test_a_taken_port() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        host, port = taken.getsockname()
        with pytest.raises(OSError, match="in use"):
            await udp.listen(host, port, lambda: UdpListener(repeats(), lambda *_: None))


async def test_both_families_share_a_port() -> None:
    def make() -> UdpListener:
        return UdpListener(repeats(), lambda *_: None)

    six = await udp.listen("::1", free_port((socket.SOCK_DGRAM,)), make)
    four = await udp.listen("127.0.0.1", six.port, make)
    assert four.port == six.port
    four.close()
    six.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "made"])
async def test_a_burst_is_answered_whole(start: Started, kept: bool) -> None:
    """More than one batch holds, each with its own ID."""
    server = await start(lambda data: data)
    if kept:
        cached(server.repeats, b"ask", b"ask")
    sent = [number.to_bytes(2, "big") + b"ask" for number in range(3 * ROOM + 1)]
    assert sorted(await server.exchange(*sent)) == sent


async def test_replies_larger_than_their_place(start: Started) -> None:
    large = b"x" * (SIZE - 1)
    server = await start(lambda data: data[:2] + large)
    replies = await server.exchange(b"\1\1made", b"\2\2made")
    assert sorted(replies) == [number * 2 + large for number in (b"\1", b"\2")]


async def test_silence_amid_replies(start: Started) -> None:
    server = await start(lambda data: None if data.endswith(b"hush") else data)
    for at in range(0, 9, 3):
        server.client.send(b"%d hush" % at)
        server.client.send(b"%d loud" % (at + 1))
        server.client.send(b"%d hush" % (at + 2))
    assert [await server.receive() for _ in range(3)] == [b"1 loud", b"4 loud", b"7 loud"]


async def test_askers_over_ipv6() -> None:
    asked: list[tuple[str, int]] = []

    def respond(data: bytes, client: str, port: int, transport: Transport, _: str) -> Reply:
        asked.append((client, port))
        return data

    listener = await udp.listen("::1", 0, lambda: UdpListener(repeats(), respond))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(("::1", listener.port))
        client.send(b"ask")
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.sock_recv(client, 4096), 30) == b"ask"
        assert asked == [client.getsockname()[:2]]
    listener.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("query", [b"cached", b"made", b"large made", b"later"])
@pytest.mark.parametrize(
    ("host", "queried"),
    [("0.0.0.0", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"), ("127.0.0.2", "127.0.0.2"), ("::", "::1")],
)
async def test_replies_leave_from_the_address_queried(
    host: str, queried: str, query: bytes
) -> None:
    """A client takes them from no other: its socket is connected. The responder knows it too."""
    queried_addresses = set[str]()

    async def later() -> bytes:
        await asyncio.sleep(0)
        return b"\1\2later"

    def respond(data: bytes, client: str, port: int, transport: Transport, local: str) -> Reply:
        queried_addresses.add(local)
        if data.endswith(b"later"):
            return Pending(later())
        return data[:2] + b"x" * SIZE if b"large" in data else data

    known = repeats()
    cached(known, b"cached", b"cached")
    listener = await udp.listen(host, 0, lambda: UdpListener(known, respond))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect((queried, listener.port))
        client.send(b"\1\2" + query)
        loop = asyncio.get_running_loop()
        reply = await asyncio.wait_for(loop.sock_recv(client, 65535), 30)
    assert reply == b"\1\2" + (b"x" * SIZE if b"large" in query else query)
    assert queried_addresses == (set() if query == b"cached" else {queried})
    listener.close()
    await asyncio.sleep(0)


async def test_queries_whose_clients_gave_up_are_dropped_and_counted(
    start: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cached replies are sent still: that costs no more than dropping the query."""
    server = await start(lambda data: data)
    cached(server.repeats, b"known", b"known")
    monkeypatch.setattr(udp, "PATIENCE", -1.0)
    server.client.send(b"\1\1old")
    assert await server.exchange(b"\2\2known") == [b"\2\2known"]
    assert server.listener.take_drops() == {"overflow": 0, "late": 1}
    monkeypatch.setattr(udp, "PATIENCE", 3600.0)
    assert await server.exchange(b"\3\3new") == [b"\3\3new"]
    assert server.asked == [("127.0.0.1", server.client.getsockname()[1], "udp")]


async def test_cached_replies_leave_before_others_are_looked_up(start: Started) -> None:
    seen: list[bytes] = []

    def look_up(data: bytes) -> bytes:
        with contextlib.suppress(BlockingIOError):
            seen.append(server.client.recv(4096))
        return data

    server = await start(look_up)
    cached(server.repeats, b"known", b"known")
    for at in range(udp.FEW + 1):
        server.client.send(b"%d new" % at)
    server.client.send(b"\2\2known")
    while len(seen) < udp.FEW + 2:
        seen.append(await server.receive())
    assert sorted(seen) == sorted([b"\2\2known", *[b"%d new" % at for at in range(udp.FEW + 1)]])
    if isinstance(server.listener.transport._batch, batch.Batch):
        assert seen[0] == b"\2\2known"
