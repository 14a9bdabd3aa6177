"""The pages of ``/health``, ``/ready`` and ``/metrics`` over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import select
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kdns.config.addresses import Address
from kdns.config.tree import ConfigError, Location
from kdns.listeners import health_probe
from kdns.listeners.http import (
    Endpoint,
    HttpListener,
    Page,
    health_page,
    metrics_page,
    ready_page,
)
from kdns.metrics import Metrics
from kdns.plugins.ready import Problem

ANY = Address("127.0.0.1", 0)


def endpoint(path: str, page: Callable[[], Page], address: Address = ANY) -> Endpoint:
    return Endpoint(address, path, page, path.strip("/"), Location("Corefile", 3))


HEALTH = endpoint("/health", health_page)


class Http:
    """A client in a thread, so that the server's loop goes on."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def request(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[int, str, bytes]:
        return await asyncio.to_thread(self._request, path, method, headers)

    def _request(self, path: str, method: str, headers: dict[str, str]) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )
            reply = connection.getresponse()
            return reply.status, reply.headers["Content-Type"], reply.read()
        finally:
            connection.close()

    async def raw(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            writer.write_eof()
            async with asyncio.timeout(30):
                return await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def served(*endpoints: Endpoint) -> AsyncIterator[tuple[HttpListener, Http]]:
    listener = HttpListener()
    await listener.serve(endpoints)
    try:
        yield listener, Http(next(iter(listener.sites.values())).port)
    finally:
        await listener.close()


PLAIN = "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "reply"),
    [
        ("GET", "/health", (200, PLAIN, b"OK")),
        ("GET", "/health?verbose", (200, PLAIN, b"OK")),
        ("HEAD", "/health", (200, PLAIN, b"")),
        ("POST", "/health", (200, PLAIN, b"OK")),
        ("GET", "/", (404, PLAIN, b"404 page not found\n")),
        ("GET", "/health/", (404, PLAIN, b"404 page not found\n")),
        ("HEAD", "/x", (404, PLAIN, b"")),
        ("POST", "/x", (404, PLAIN, b"404 page not found\n")),
    ],
)
async def test_replies_are_the_peers(method: str, path: str, reply: tuple[int, str, bytes]) -> None:
    async with served(HEALTH) as (_, client):
        assert await client.request(path, method) == reply


@pytest.mark.parametrize(
    ("problems", "status", "body"),
    [
        ([], 200, b"OK"),
        ([Problem("Shutting down")], 503, b"Shutting down"),
        (
            [Problem("file", "a"), Problem("kubernetes", "services: forbidden")],
            503,
            b"file,kubernetes\nfile: a\nkubernetes: services: forbidden",
        ),
        (
            [Problem("file", "a"), Problem("file", "b")],
            503,
            b"file\nfile: a\nfile: b",
        ),
    ],
)
async def test_ready_names_what_is_missing(
    problems: list[Problem], status: int, body: bytes
) -> None:
    async with served(endpoint("/ready", lambda: ready_page(problems))) as (_, client):
        assert await client.request("/ready") == (status, PLAIN, body)


async def test_ready_is_asked_each_time() -> None:
    problems = [Problem("kubernetes")]
    async with served(endpoint("/ready", lambda: ready_page(problems))) as (_, client):
        assert (await client.request("/ready"))[0] == 503
        problems.clear()
        assert (await client.request("/ready"))[0] == 200


async def test_metrics_are_text_and_may_be_compressed() -> None:
    metrics = Metrics()
    async with served(endpoint("/metrics", lambda: metrics_page(metrics))) as (_, client):
        status, kind, body = await client.request("/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        names = {metric.name for metric in text_string_to_metric_families(body.decode())}
        assert {"coredns_panics", "coredns_build_info"} <= names
        packed = (await client.request("/metrics", Accept_Encoding="gzip"))[2]
        assert b"coredns_panics_total 0.0" in gzip.decompress(packed)
        assert (await client.request("/metrics", "HEAD"))[2] == b""


async def test_a_page_that_fails_is_a_500_and_a_line(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> Page:
        raise KeyError("x")

    async with served(endpoint("/metrics", fails), HEALTH) as (_, client):
        assert await client.request("/metrics") == (500, PLAIN, b"internal error\n")
        assert await client.request("/health") == (200, PLAIN, b"OK")
    assert caplog.messages == ["/metrics failed"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0\1\2\3\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=lambda data: repr(data[:30]),
)
async def test_garbage_disturbs_nobody(garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with served(HEALTH) as (_, client):
        with contextlib.suppress(ConnectionError):
            reply = await client.raw(garbage)
            assert reply == b"" or reply.startswith(b"HTTP/1.")
        assert await client.request("/health") == (200, PLAIN, b"OK")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_one_address_is_opened_once_for_all_its_pages() -> None:
    ready = endpoint("/ready", lambda: ready_page([]))
    other = endpoint("/health", lambda: Page(b"second"))
    async with served(HEALTH, ready, other) as (listener, client):
        assert len(listener.sites) == 1
        assert (await client.request("/health"))[2] == b"OK"
        assert (await client.request("/ready"))[2] == b"OK"


async def test_a_taken_port_names_the_directive() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ConfigError) as caught:
            await HttpListener().serve([endpoint("/health", health_page, address)])
    assert str(caught.value) == (
        f"Corefile:3: health: cannot listen on {address}: Address already in use"
    )


async def test_a_host_that_is_none_names_the_directive() -> None:
    with pytest.raises(
        ConfigError, match=r"^Corefile:3: health: cannot listen on 192\.0\.2\.9:1: "
    ):
        await HttpListener().serve([endpoint("/health", health_page, Address("192.0.2.9", 1))])


async def test_a_change_keeps_what_stays_and_closes_what_goes() -> None:
    other = Address("localhost", 0)
    async with served(HEALTH, endpoint("/ready", health_page, other)) as (listener, client):
        gone = Http(listener.sites[other].port)
        await listener.serve([endpoint("/health", lambda: Page(b"new"))])
        assert (await client.request("/health"))[2] == b"new"
        assert (await client.request("/ready"))[0] == 404
        with pytest.raises(ConnectionRefusedError):
            await gone.request("/ready")


async def test_a_change_that_fails_changes_nothing() -> None:
    async with served(HEALTH) as (listener, client):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = Address("127.0.0.1", taken.getsockname()[1])
            free = Address("localhost", 0)
            with pytest.raises(ConfigError):
                await listener.serve(
                    [endpoint("/new", health_page, free), endpoint("/x", health_page, address)]
                )
        assert list(listener.sites) == [ANY]
        assert (await client.request("/health"))[2] == b"OK"


async def test_who_connects_before_the_start_is_answered_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kdns.listeners.http.PATIENCE", 60.0)
    sock = socket.create_server((ANY.host, 0))
    asked = asyncio.create_task(Http(sock.getsockname()[1]).request("/ready"))
    await asyncio.to_thread(_wait_for_a_connection, sock)
    listener = HttpListener({ANY: sock})
    missing = [Problem("kubernetes", "not synced")]
    await listener.serve([endpoint("/ready", lambda: ready_page(missing))])
    await asyncio.sleep(0.05)
    assert not asked.done()
    missing.clear()
    assert await asked == (200, PLAIN, b"OK")
    await listener.close()


async def test_who_waits_at_the_start_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdns.listeners.http.PATIENCE", 0.05)
    listener = HttpListener({ANY: socket.create_server((ANY.host, 0))})
    await listener.serve([endpoint("/ready", lambda: ready_page([Problem("kubernetes")]))])
    client = Http(listener.sites[ANY].port)
    assert await client.request("/ready") == (503, PLAIN, b"kubernetes")
    await listener.close()


async def test_a_socket_that_is_not_wanted_is_closed() -> None:
    sock = socket.create_server((ANY.host, 0))
    listener = HttpListener({Address("127.0.0.1", sock.getsockname()[1]): sock})
    await listener.serve([HEALTH])
    assert sock.fileno() == -1
    await listener.close()


def _wait_for_a_connection(listening: socket.socket) -> None:
    assert select.select([listening], [], [], 30)[0]


async def test_without_a_host_both_families_are_served() -> None:
    address = Address("", 0)
    async with served(endpoint("/health", health_page, address)) as (listener, client):
        assert (await client.request("/health"))[0] == 200
        if socket.has_dualstack_ipv6():
            reader, writer = await asyncio.open_connection("::1", listener.sites[address].port)
            writer.write(b"GET /health HTTP/1.0\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.0 200")
            writer.close()
            await writer.wait_closed()


def sample(metrics: Metrics, line: str) -> bool:
    return line in metrics.expose().decode().splitlines()


async def test_the_probe_times_our_own_health(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_probe, "TIMEOUT", 60.0)
    monkeypatch.setattr(health_probe, "SLOW", 60.0)
    metrics = Metrics()
    async with served(HEALTH) as (_, client):
        task = asyncio.ensure_future(
            health_probe.probe_forever("127.0.0.1", client.port, metrics, interval=0.01)
        )
        async with asyncio.timeout(30):
            three = "coredns_health_request_duration_seconds_count 3.0"
            while not sample(metrics, three):  # noqa: ASYNC110  (polling is the point)
                await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert sample(metrics, "coredns_health_request_failures_total 0.0")
    assert not caplog.records


async def test_the_probe_counts_failures(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    async with served(HEALTH) as (_, client):
        port = client.port
    await health_probe.probe("127.0.0.1", port, metrics)
    assert sample(metrics, "coredns_health_request_failures_total 1.0")
    assert sample(metrics, "coredns_health_request_duration_seconds_count 1.0")
    assert len(caplog.messages) == 1
    assert f'plugin/health: Local health request to "http://127.0.0.1:{port}/health"' in caplog.text
