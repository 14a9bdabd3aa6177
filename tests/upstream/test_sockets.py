"""The UDP sockets that queries share: how unpredictable they are, how many, and when they are closed."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from time import monotonic

import pytest
import uvloop

from kdns.config.addresses import Address
from kdns.upstream import sockets
from kdns.upstream.errors import LocalError, UpstreamError
from kdns.upstream.sockets import MAX_AGE, MAX_QUERIES, SOCKETS, Socket, Sockets
from tests.waiting import until

BODY = b"\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1"


class Upstream:
    """A socket that tests read and answer from by hand."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(10)
        self.address = Address("127.0.0.1", self.sock.getsockname()[1])

    def take(self, count: int) -> list[tuple[bytes, int]]:
        """So many queries: message ID and port."""
        taken = []
        for _ in range(count):
            data, peer = self.sock.recvfrom(512)
            taken.append((data[:2], peer[1]))
        return taken

    def reply(self, data: bytes, port: int) -> None:
        self.sock.sendto(data, ("127.0.0.1", port))


class Waiting:
    def __init__(self) -> None:
        self.data: list[bytes] = []
        self.errors: list[int | None] = []

    def received(self, data: bytes) -> None:
        self.data.append(data)

    def lost(self, error: OSError) -> None:
        self.errors.append(error.errno)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.sock.close()


@pytest.fixture(autouse=True)
def all_closed() -> Iterator[None]:
    before = Socket.opened
    yield
    assert Socket.opened == before


def finish(sent: tuple[Socket, int, bool], waiting: Waiting) -> None:
    sent[0].forget(sent[1], waiting)


async def test_ports_and_message_ids_are_drawn_at_random(upstream: Upstream) -> None:
    pool, waiting = Sockets(upstream.address), Waiting()
    seen = set()
    for _ in range(400):
        finish(pool.send(BODY, waiting, 0.0), waiting)
        seen.update(upstream.take(1))
    ports, ids = {port for _, port in seen}, {message_id for message_id, _ in seen}
    assert len(ports) == SOCKETS
    assert len(ids) > 350
    assert len(seen) > 390
    pool.close()


async def test_one_is_replaced_after_so_many_queries(upstream: Upstream) -> None:
    pool, waiting = Sockets(upstream.address, count=1), Waiting()
    ports = []
    for _ in range(MAX_QUERIES + 1):
        finish(pool.send(BODY, waiting, 0.0), waiting)
        ports += [port for _, port in upstream.take(1)]
    assert len(set(ports[:-1])) == 1
    assert ports[-1] != ports[0]
    pool.close()


async def test_one_is_replaced_after_some_seconds_and_closed_without_use(
    upstream: Upstream,
) -> None:
    pool, waiting = Sockets(upstream.address, count=1), Waiting()
    for now in (0.0, MAX_AGE / 2, MAX_AGE):
        finish(pool.send(BODY, waiting, now), waiting)
    first, second, third = (port for _, port in upstream.take(3))
    assert first == second != third
    pool.sweep(2 * MAX_AGE)
    assert pool.slots == [None]


async def test_one_that_was_replaced_still_receives_what_is_waited_for(upstream: Upstream) -> None:
    pool, old, new = Sockets(upstream.address, count=1), Waiting(), Waiting()
    sent = pool.send(BODY, old, 0.0)
    finish(pool.send(BODY, new, MAX_AGE), new)
    (message_id, port), _ = upstream.take(2)
    upstream.reply(message_id + b"late", port)
    await until(lambda: old.data)
    assert old.data == [message_id + b"late"]
    assert sent[0].sock.fileno() >= 0
    finish(sent, old)
    assert sent[0].sock.fileno() < 0
    pool.close()


async def test_a_reply_goes_to_its_query(upstream: Upstream) -> None:
    pool = Sockets(upstream.address, count=1)
    waiting = [Waiting() for _ in range(40)]
    sent = [pool.send(BODY, each, 0.0) for each in waiting]
    taken = upstream.take(40)
    for message_id, port in reversed(taken):
        upstream.reply(message_id + b"yours", port)
    unknown = next(n for n in range(65536) if n.to_bytes(2) not in dict(taken))
    for junk in (b"", b"\0", unknown.to_bytes(2) + b"of nobody"):
        upstream.reply(junk, taken[0][1])
    await until(lambda: all(each.data for each in waiting))
    assert [each.data for each in waiting] == [[message_id + b"yours"] for message_id, _ in taken]
    for each, one in zip(sent, waiting, strict=True):
        finish(each, one)
    pool.close()


async def test_what_others_send_is_not_received(upstream: Upstream) -> None:
    pool, waiting = Sockets(upstream.address, count=1), Waiting()
    sent = pool.send(BODY, waiting, 0.0)
    ((message_id, port),) = upstream.take(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        forger.sendto(message_id + b"forged", ("127.0.0.1", port))
    upstream.reply(message_id + b"good", port)
    await until(lambda: waiting.data)
    assert waiting.data == [message_id + b"good"]
    finish(sent, waiting)
    pool.close()


async def test_an_icmp_error_ends_all_that_wait_and_nothing_later(upstream: Upstream) -> None:
    pool = Sockets(upstream.address, count=1)
    upstream.sock.close()
    early = [Waiting() for _ in range(3)]
    for each in early:
        pool.send(BODY, each, 0.0)  # from the second on, the system reports the one before
    await until(lambda: all(each.errors for each in early))
    assert {error for each in early for error in each.errors} == {errno.ECONNREFUSED}
    assert not pool.slots[0] or not pool.slots[0].pending
    pool.close()


async def test_an_icmp_error_for_a_query_that_has_ended_costs_no_other(upstream: Upstream) -> None:
    pool, waiting = Sockets(upstream.address, count=1), Waiting()
    upstream.sock.close()
    finish(pool.send(BODY, waiting, 0.0), waiting)
    sent = pool.send(BODY, waiting, 0.0)  # reports the error of the first one
    assert not waiting.errors
    await until(lambda: waiting.errors)
    finish(sent, waiting)
    pool.close()


@pytest.mark.parametrize("make", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_socket_works_after_an_icmp_error(make: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """libuv by itself would not watch it any more."""

    async def run() -> None:
        upstream = Upstream()
        pool, waiting = Sockets(upstream.address, count=1), Waiting()
        upstream.sock.close()
        finish(pool.send(BODY, waiting, 0.0), waiting)
        lost = Waiting()
        sent = pool.send(BODY, lost, 0.0)
        await until(lambda: lost.errors)
        finish(sent, lost)
        upstream.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        upstream.sock.bind(("127.0.0.1", upstream.address.port))
        sent = pool.send(BODY, waiting, 0.0)
        ((message_id, port),) = upstream.take(1)
        upstream.reply(message_id + b"reply", port)
        await until(lambda: waiting.data)
        finish(sent, waiting)
        pool.close()
        upstream.sock.close()

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(run())


async def test_sockets_are_left_for_others(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then queries share those that are open; without any, what we lack is not the upstream's fault."""
    room = Socket.opened + 4
    monkeypatch.setattr(sockets, "file_limit", lambda: room * sockets.SHARE)
    pool, waiting = Sockets(upstream.address), Waiting()
    sent: list[tuple[Socket, int, bool]] = []
    ports: set[int] = set()
    for number in range(200):
        sent.append(pool.send(BODY, waiting, number * MAX_AGE))
        ports.update(port for _, port in upstream.take(1))
    assert len(ports) == 4
    other = Sockets(upstream.address)
    with pytest.raises(LocalError, match=r"sockets to upstreams are open; more are not to be had"):
        other.send(BODY, waiting, 0.0)
    for each in sent:
        finish(each, waiting)
    pool.close()
    finish(other.send(BODY, waiting, 0.0), waiting)  # they are given back
    other.close()


async def test_one_that_is_opened_after_the_end_is_not_left_open(upstream: Upstream) -> None:
    pool, waiting = Sockets(upstream.address), Waiting()
    pool.close()
    sent = pool.send(BODY, waiting, monotonic())
    ((message_id, port),) = upstream.take(1)
    upstream.reply(message_id + b"reply", port)
    await until(lambda: waiting.data)
    finish(sent, waiting)
    assert sent[0].sock.fileno() < 0


async def test_source_address(upstream: Upstream) -> None:
    pool, waiting = Sockets(upstream.address, "127.0.0.3"), Waiting()
    finish(pool.send(BODY, waiting, 0.0), waiting)
    assert upstream.sock.recvfrom(512)[1][0] == "127.0.0.3"
    pool.close()
    with pytest.raises(UpstreamError, match="assign requested address"):
        Sockets(upstream.address, "192.0.2.77").send(BODY, waiting, 0.0)


async def test_an_event_loop_that_cannot_watch_sockets(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""

    def add_reader(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", add_reader)
    pool, waiting = Sockets(upstream.address, count=1), Waiting()
    sent = pool.send(BODY, waiting, 0.0)
    ((message_id, port),) = upstream.take(1)
    upstream.reply(message_id + b"reply", port)
    await until(lambda: waiting.data)
    assert waiting.data == [message_id + b"reply"]
    finish(sent, waiting)
    pool.close()
