"""Upstreams on loopback that fail in every way: who is asked, when, and what comes of it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import cast

import pytest
from msgspec.structs import replace

from kdns.config.addresses import Address
from kdns.metrics import Metrics
from kdns.upstream import client, health, sockets
from kdns.upstream.client import Target
from kdns.upstream.deadlines import AT_ONCE
from kdns.upstream.errors import UpstreamError
from kdns.upstream.health import ENOUGH_SAMPLES, Health, Latency
from kdns.upstream.pool import MAX_VARIANTS, OverloadError, Pool
from kdns.upstream.probes import Check
from kdns.upstream.streams import Limits
from kdns.upstream.upstream import Options
from kdns.wire.constants import Rcode, Type
from kdns.wire.message import Edns, Query
from kdns.wire.names import from_text, wire_from_text
from kdns.wire.responses import Response
from tests.fakes.nameserver import Fault, NameServer
from tests.waiting import until

RECORD = "a.test. 300 IN A 192.0.2.1"
OPTIONS = Options(policy="sequential", read_timeout=4.0, check=Check(interval=0.01))
"""So patient that whoever replies does so in time, however busy the machine is."""


def query(name: str = "a.test.", qtype: int = Type.A, **fields: object) -> Query:
    asked = Query(wire_from_text(name), from_text(name), qtype, flags=0x0100, edns=Edns())
    return replace(asked, **fields)


def target(server: NameServer) -> Target:
    return Target(Address("127.0.0.1", server.port))


@asynccontextmanager
async def pool_of(
    *servers: NameServer, options: Options = OPTIONS, metrics: Metrics | None = None
) -> AsyncIterator[Pool]:
    pool = Pool(options, metrics or Metrics())
    pool.add(map(target, servers))
    try:
        yield pool
    finally:
        pool.close()


def address(response: Response) -> str:
    return ".".join(map(str, response.answer[0].rdata))


async def failure(asking: Awaitable[Response]) -> str:
    with pytest.raises(UpstreamError) as caught:
        await asking
    return str(caught.value)


class TestExchange:
    async def test_a_reply(self) -> None:
        with NameServer(RECORD) as server:
            async with pool_of(server) as pool:
                assert address(await pool.ask(query())) == "192.0.2.1"
            assert server.names == ["a.test. A"]

    async def test_each_from_another_port_and_with_another_id(self) -> None:
        with NameServer(RECORD) as server:
            async with pool_of(server) as pool:
                for number in range(12):
                    await pool.ask(query(f"n{number}.test."))
            assert len({message.id for message in server.udp}) > 9

    @pytest.mark.parametrize("fault", ["drop", "wrong id", "wrong question", "garbage"])
    async def test_what_is_no_reply_is_waited_past(self, fault: Fault) -> None:
        with NameServer(RECORD) as server:
            server.fault = fault
            options = replace(OPTIONS, read_timeout=0.2, max_connect_attempts=1)
            async with pool_of(server, options=options) as pool:
                said = await failure(pool.ask(query()))
                assert said == f"read udp 127.0.0.1:{server.port}: no reply in 0.2s: i/o timeout"

    async def test_a_forgery_before_the_reply_does_no_harm(self) -> None:
        with NameServer(RECORD) as server:
            server.fault = "forged first"
            async with pool_of(server) as pool:
                assert address(await pool.ask(query())) == "192.0.2.1"

    @pytest.mark.parametrize("fault", ["garbled first", "wrong opcode first"])
    async def test_a_message_that_is_no_reply_does_no_harm(self, fault: Fault) -> None:
        with NameServer(RECORD) as server:
            server.fault = fault
            async with pool_of(server) as pool:
                assert address(await pool.ask(query())) == "192.0.2.1"
            assert len(server.udp) == 1

    async def test_an_unreadable_reply_is_named_when_no_other_comes(self) -> None:
        with NameServer(RECORD) as server:
            server.fault = "garbled"
            options = replace(OPTIONS, read_timeout=0.2, max_connect_attempts=1)
            async with pool_of(server, options=options) as pool:
                reported = await failure(pool.ask(query()))
            start = f"read udp 127.0.0.1:{server.port}: unreadable reply: "
            assert reported.startswith(start)
            assert reported.endswith("; no reply in 0.2s: i/o timeout")

    async def test_an_unreadable_reply_ends_a_connection_at_once(self) -> None:
        with NameServer(RECORD) as server:
            server.fault = "garbled"
            options = replace(OPTIONS, force_tcp=True, max_connect_attempts=1)
            async with pool_of(server, options=options) as pool:
                assert "unreadable reply" in await failure(pool.ask(query()))

    async def test_an_error_without_question_is_a_reply(self) -> None:
        with NameServer(RECORD) as server:
            server.fault = "formerr without question"
            async with pool_of(server) as pool:
                assert (await pool.ask(query())).rcode == Rcode.FORMERR

    async def test_nobody_listening_is_noticed_at_once(self) -> None:
        with NameServer(RECORD) as server:
            server.stop()
            options = Options(max_connect_attempts=1, max_fails=0)
            async with pool_of(server, options=options) as pool:
                assert "refused" in (await failure(pool.ask(query()))).lower()

    async def test_truncated_over_udp_is_asked_over_tcp(self) -> None:
        with NameServer(RECORD) as server:
            server.fault = "truncate"
            async with pool_of(server) as pool:
                response = await pool.ask(query())
            assert (address(response), response.truncated) == ("192.0.2.1", False)
            assert (len(server.udp), len(server.tcp)) == (1, 1)

    async def test_truncated_and_no_tcp_is_what_it_is(self) -> None:
        with NameServer(RECORD) as server:
            server.fault = "truncate"
            async with pool_of(server) as pool:
                server.refuse_tcp()
                response = await pool.ask(query())
            assert (response.truncated, response.answer) == (True, ())

    @pytest.mark.parametrize(
        ("transport", "options", "expected"),
        [
            pytest.param("udp", OPTIONS, "udp", id="as asked: UDP"),
            pytest.param("tcp", OPTIONS, "tcp", id="as asked: TCP"),
            pytest.param("internal", OPTIONS, "udp", id="our own"),
            pytest.param("tcp", replace(OPTIONS, prefer_udp=True), "udp", id="prefer_udp"),
            pytest.param("udp", replace(OPTIONS, force_tcp=True), "tcp", id="force_tcp"),
            pytest.param(
                "udp", replace(OPTIONS, force_tcp=True, prefer_udp=True), "tcp", id="force_tcp wins"
            ),
        ],
    )
    async def test_transport(self, transport: str, options: Options, expected: str) -> None:
        with NameServer(RECORD) as server:
            async with pool_of(server, options=options) as pool:
                await pool.ask(query(transport=transport))
            assert (len(server.udp), len(server.tcp)) == ((1, 0) if expected == "udp" else (0, 1))

    async def test_source_address(self) -> None:
        with NameServer(RECORD) as server:
            response = await client.ask(Address("127.0.0.1", server.port), query(), "127.0.0.1")
            assert address(response) == "192.0.2.1"
            with pytest.raises(UpstreamError):
                await client.ask(Address("127.0.0.1", server.port), query(), "192.0.2.77")


class TestConnections:
    OPTIONS = replace(OPTIONS, force_tcp=True)

    async def test_one_is_used_again(self) -> None:
        with NameServer(RECORD) as server:
            metrics = Metrics()
            async with pool_of(server, options=self.OPTIONS, metrics=metrics) as pool:
                for _ in range(5):
                    await pool.ask(query())
            assert (server.connections, len(server.tcp)) == (1, 5)
            assert b'conn_cache_hits_total{proto="tcp",proxy_name="forward"' in metrics.expose()

    async def test_not_after_expire(self) -> None:
        with NameServer(RECORD) as server:
            options = replace(self.OPTIONS, limits=Limits(expire=0.0))
            async with pool_of(server, options=options) as pool:
                for _ in range(3):
                    await pool.ask(query())
            assert server.connections == 3

    async def test_not_after_max_age(self) -> None:
        with NameServer(RECORD) as server:
            options = replace(self.OPTIONS, limits=Limits(max_age=0.000001))
            async with pool_of(server, options=options) as pool:
                for _ in range(3):
                    await pool.ask(query())
            assert server.connections == 3

    async def test_no_more_are_kept_than_max_idle(self) -> None:
        with NameServer(RECORD) as server:
            server.delay = 0.05
            options = replace(self.OPTIONS, limits=Limits(max_idle=1))
            async with pool_of(server, options=options) as pool:
                names = [f"n{number}.test." for number in range(4)]
                await asyncio.gather(*(pool.ask(query(name)) for name in names))
                assert len(pool.upstreams[0].streams._idle) == 1

    async def test_one_that_was_closed_meanwhile_is_replaced(self) -> None:
        with NameServer(RECORD) as server:
            async with pool_of(server, options=self.OPTIONS) as pool:
                await pool.ask(query())
                server.hang_up()
                assert address(await pool.ask(query())) == "192.0.2.1"
            assert server.connections == 2

    async def test_one_whose_reply_was_not_waited_for_is_not_used_again(self) -> None:
        with NameServer(RECORD) as server:
            options = replace(self.OPTIONS, read_timeout=1.0, max_connect_attempts=1, max_fails=0)
            async with pool_of(server, options=options) as pool:
                late = threading.Event()
                server.reached = lambda _: late.wait(10)
                await failure(pool.ask(query()))
                late.set()
                assert address(await pool.ask(query())) == "192.0.2.1"
            assert server.connections == 2


class TestChoice:
    @pytest.mark.parametrize(
        ("policy", "expected"),
        [("sequential", {0: 12}), ("round_robin", {0: 4, 1: 4, 2: 4}), ("random", None)],
    )
    async def test_policies(self, policy: str, expected: dict[int, int] | None) -> None:
        with ExitStack() as stack:
            servers = [stack.enter_context(NameServer(RECORD)) for _ in range(3)]
            options = replace(OPTIONS, policy=policy)
            async with pool_of(*servers, options=options) as pool:
                for number in range(12 if expected else 60):
                    await pool.ask(query(f"n{number}.test."))
            asked = Counter({at: len(server.udp) for at, server in enumerate(servers)})
        if expected is None:
            assert min(asked.values()) > 5
        else:
            assert +asked == expected

    async def test_the_next_one_is_asked_when_one_fails(self) -> None:
        with NameServer() as dead, NameServer(RECORD) as good:
            dead.stop()
            async with pool_of(dead, good) as pool:
                assert address(await pool.ask(query())) == "192.0.2.1"

    async def test_one_that_failed_is_asked_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health, "FIRST_SUSPICION", health.LONGEST_SUSPICION)
        with NameServer(RECORD) as mute, NameServer(RECORD) as good:
            mute.fault = "drop"
            options = replace(OPTIONS, read_timeout=1.0, max_fails=0)
            async with pool_of(mute, good, options=options) as pool:
                for number in range(11):
                    await pool.ask(query(f"n{number}.test."))
                assert mute.names == ["n0.test. A"]

    async def test_down_after_failed_checks_and_up_again(self) -> None:
        with NameServer(RECORD) as server, NameServer(RECORD) as other:
            server.stop()
            async with pool_of(server, other) as pool:
                await pool.ask(query())
                state = pool.upstreams[0].health
                await until(lambda: state.is_down(2))
                assert [u.name for u in pool.order()] == [f"127.0.0.1:{other.port}"]
                server.start()
                await until(lambda: not state.is_down(2))
                assert len(pool.order()) == 2
                assert ". NS" in server.names

    async def test_max_fails_0_never_checks(self) -> None:
        with NameServer(RECORD) as server:
            server.fault = "drop"
            options = replace(OPTIONS, max_fails=0, read_timeout=0.05)
            async with pool_of(server, options=options) as pool:
                await failure(pool.ask(query()))
                assert pool.upstreams[0].probe._task is None
            assert ". NS" not in server.names

    async def test_all_down(self) -> None:
        """Then anyone is asked, or with failfast nobody."""
        with NameServer(RECORD) as server:
            metrics = Metrics()
            async with pool_of(server, metrics=metrics) as pool:
                pool.upstreams[0].health.failed_checks = 3
                assert address(await pool.ask(query())) == "192.0.2.1"
            async with pool_of(
                server, options=replace(OPTIONS, failfast=True), metrics=metrics
            ) as pool:
                pool.upstreams[0].health.failed_checks = 3
                assert (
                    await failure(pool.ask(query())) == "every upstream is down: no healthy proxies"
                )
            assert b"coredns_forward_healthcheck_broken_total 2.0" in metrics.expose()

    @pytest.mark.parametrize(("attempts", "expected"), [(1, 1), (3, 3), (None, 4)])
    async def test_attempts(self, attempts: int | None, expected: int) -> None:
        with NameServer() as first, NameServer() as second:
            first.fault = second.fault = "drop"
            options = replace(
                OPTIONS, max_connect_attempts=attempts, max_fails=0, read_timeout=0.05
            )
            async with pool_of(first, second, options=options) as pool:
                await failure(pool.ask(query()))
            assert len(first.udp) + len(second.udp) == expected

    @pytest.mark.parametrize("attempts", [0, 5])
    @pytest.mark.parametrize(
        "fault", ["no such source", "nobody listens", "no more files", "refused rcode"]
    )
    async def test_attempts_that_fail_at_once_leave_time_for_others(
        self, monkeypatch: pytest.MonkeyPatch, attempts: int, fault: str
    ) -> None:
        """Any number of attempts (0) end with the query's deadline, not with the process's patience."""
        monkeypatch.setattr("kdns.upstream.pool.DEADLINE", 0.4)
        source = "192.0.2.77" if fault == "no such source" else ""
        if fault == "no more files":
            monkeypatch.setattr(sockets, "file_limit", lambda: 0)
        options = replace(OPTIONS, max_connect_attempts=attempts, max_fails=0, source=source)
        if fault == "refused rcode":
            options = replace(options, failover=frozenset({Rcode.REFUSED}))
        with NameServer() as server:
            server.rcode = Rcode.REFUSED
            if fault == "nobody listens":
                server.stop()
            async with pool_of(server, options=options) as pool:
                loop, turns = asyncio.get_running_loop(), 0
                asking = asyncio.ensure_future(pool.ask(query()))
                started = loop.time()
                while not asking.done():
                    await asyncio.sleep(0)
                    turns += 1
                assert loop.time() - started < 10
                assert turns > 2
                if fault == "refused rcode":
                    assert (await asking).rcode == Rcode.REFUSED
                else:
                    assert await failure(asking)

    async def test_those_that_are_down_get_one_attempt(self) -> None:
        """As with CoreDNS: clients are not to wait twice as long each time."""
        with NameServer() as first, NameServer() as second:
            first.fault = second.fault = "drop"
            options = replace(OPTIONS, read_timeout=0.05)
            async with pool_of(first, second, options=options) as pool:
                for upstream in pool.upstreams:
                    upstream.health.failed_checks = 3
                await failure(pool.ask(query()))
            assert first.names.count("a.test. A") + second.names.count("a.test. A") == 1

    async def test_failover(self) -> None:
        with NameServer() as ill, NameServer(RECORD) as good:
            ill.rcode = Rcode.SERVFAIL
            options = replace(OPTIONS, failover=frozenset({Rcode.SERVFAIL}))
            async with pool_of(ill, good, options=options) as pool:
                assert (await pool.ask(query())).rcode == Rcode.NOERROR
            async with pool_of(ill, good) as pool:
                assert (await pool.ask(query())).rcode == Rcode.SERVFAIL

    async def test_failover_ends_with_the_last_reply(self) -> None:
        with NameServer() as first, NameServer() as second:
            first.rcode, second.rcode = Rcode.SERVFAIL, Rcode.REFUSED
            options = replace(OPTIONS, failover=frozenset({Rcode.SERVFAIL, Rcode.REFUSED}))
            async with pool_of(first, second, options=options) as pool:
                assert (await pool.ask(query())).rcode == Rcode.REFUSED
            assert (len(first.udp), len(second.udp)) == (1, 1)


class TestHedge:
    async def test_a_second_one_is_asked_when_the_first_is_slower_than_usual(self) -> None:
        with NameServer(RECORD) as first, NameServer(RECORD) as second:
            metrics = Metrics()
            async with pool_of(first, second, metrics=metrics) as pool:
                for number in range(ENOUGH_SAMPLES + 8):
                    await pool.ask(query(f"n{number}.test."))
                first.fault = "drop"
                assert address(await pool.ask(query())) == "192.0.2.1"
                assert not pool.upstreams[0].health.errors  # its time was not over
                await until(lambda: "a.test. A" in first.names)
                assert "a.test. A" in second.names
            assert b"kdns_forward_hedged_total 0.0" not in metrics.expose()

    async def test_not_where_one_attempt_is_the_most(self) -> None:
        with NameServer(RECORD) as first, NameServer(RECORD) as second:
            metrics = Metrics()
            options = replace(OPTIONS, max_connect_attempts=1, read_timeout=0.3, max_fails=0)
            async with pool_of(first, second, options=options, metrics=metrics) as pool:
                for _ in range(ENOUGH_SAMPLES + 8):
                    pool.upstreams[0].health.latency.observe(0.001)
                first.fault = "drop"
                assert "i/o timeout" in await failure(pool.ask(query()))
            assert not second.udp
            assert b"kdns_forward_hedged_total 0.0" in metrics.expose()

    async def test_not_before_the_usual_time_is_known(self) -> None:
        with NameServer(RECORD) as first, NameServer(RECORD) as second:
            first.delay = 0.1
            async with pool_of(first, second) as pool:
                await pool.ask(query())
            assert not second.udp

    def test_the_usual_time(self) -> None:
        latency = Latency()
        for _ in range(ENOUGH_SAMPLES - 1):
            latency.observe(0.01)
        assert latency.usual is None
        for _ in range(100):
            latency.observe(0.02)
        assert latency.usual == 0.02

    def test_suspicion_doubles_and_ends(self) -> None:
        health = Health()
        lengths = []
        for _ in range(8):
            health.failed(100.0)
            lengths.append(next(t for t in range(1, 100) if not health.is_suspect(100 + t / 4)) / 4)
        assert lengths == [0.5, 1, 2, 4, 8, 10, 10, 10]
        health.replied()
        assert not health.is_suspect(100.0)


class TestInFlight:
    async def test_the_same_question_is_asked_once(self) -> None:
        with NameServer(RECORD) as server:
            server.delay = 0.1
            async with pool_of(server) as pool:
                names = ["a.test.", "A.test.", "a.TEST."] * 10
                responses = await asyncio.gather(*(pool.ask(query(name)) for name in names))
            assert {address(response) for response in responses} == {"192.0.2.1"}
            assert len(server.udp) == 1

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param({"qtype": Type.AAAA}, id="type"),
            pytest.param({"flags": 0}, id="RD"),
            pytest.param({"flags": 0x0110}, id="CD"),
            pytest.param({"edns": Edns(dnssec_ok=True)}, id="DO"),
            pytest.param({"edns": Edns(options=((8, b"\0\1\0\0"),))}, id="client subnet"),
        ],
    )
    async def test_what_makes_another_question(self, other: dict[str, object]) -> None:
        with NameServer(RECORD) as server:
            server.delay = 0.1
            async with pool_of(server) as pool:
                await asyncio.gather(pool.ask(query()), pool.ask(query(**other)))  # type: ignore[arg-type]
            assert len(server.udp) == 2

    async def test_what_only_clients_see_makes_no_other_query(self) -> None:
        """A cookie, padding, letter case, the size of replies and AD are between a client and us."""
        with NameServer(RECORD) as server:
            server.delay = 0.1
            async with pool_of(server) as pool:
                asked = [
                    query(
                        ("a.test.", "A.tEST.")[number % 2],
                        flags=0x0100 | (number % 3 and 0x20),
                        edns=Edns(1000 + number, options=((10, bytes([number] * 8)), (12, b"\0"))),
                    )
                    for number in range(200)
                ]
                responses = await asyncio.gather(*map(pool.ask, asked))
            assert {address(response) for response in responses} == {"192.0.2.1"}
            assert server.names == ["a.test. A"]

    async def test_options_that_differ_open_a_bounded_number_of_exchanges(self) -> None:
        with NameServer(RECORD) as server:
            server.delay = 0.2
            async with pool_of(server) as pool:
                asked = [
                    query(
                        flags=(0, 0x0100, 0x0010, 0x0110)[number % 4],
                        edns=Edns(options=((65001, bytes([number])),), dnssec_ok=number % 5 == 0),
                    )
                    for number in range(200)
                ]
                responses = await asyncio.gather(*map(pool.ask, asked))
            assert {address(response) for response in responses} == {"192.0.2.1"}
            assert len(server.udp) <= MAX_VARIANTS + 12
            assert not pool._variants

    async def test_many_clients_of_one_exchange_are_answered_in_portions(self) -> None:
        with NameServer(RECORD) as server:
            server.delay = 0.1
            async with pool_of(server) as pool:
                asked = [asyncio.ensure_future(pool.ask(query())) for _ in range(10 * AT_ONCE)]
                each_turn, before = [], 0
                while before < len(asked):
                    await asyncio.sleep(0)
                    answered = sum(task.done() for task in asked)
                    each_turn.append(answered - before)
                    before = answered
            assert max(each_turn) <= AT_ONCE

    async def test_no_client_left_is_no_exchange_left(self) -> None:
        with NameServer(RECORD) as server:
            server.fault = "drop"
            async with pool_of(server) as pool:
                asked = [asyncio.ensure_future(pool.ask(query())) for _ in range(2)]
                await until(lambda: server.udp)
                asked[0].cancel()
                await asyncio.gather(asked[0], return_exceptions=True)
                assert pool.in_flight
                asked[1].cancel()
                await asyncio.gather(asked[1], return_exceptions=True)
                assert not pool.in_flight
                assert not any(each and each.pending for each in pool.upstreams[0].sockets.slots)

    @pytest.mark.parametrize("fault", ["", "truncate", "drop", "stop"])
    async def test_it_can_be_awaited_outside_of_a_task(self, fault: str) -> None:
        """As by the responder, which runs a chain's coroutines from callbacks."""
        loop = asyncio.get_running_loop()
        results: list[str] = []

        def step(running: Coroutine[object, None, Response], _: object = None) -> None:
            try:
                waits_for = cast("asyncio.Future[object]", running.send(None))
            except StopIteration as done:
                results.append(address(done.value))
            except UpstreamError as error:
                results.append(str(error))
            else:
                waits_for._asyncio_future_blocking = False
                waits_for.add_done_callback(partial(step, running))

        with NameServer(RECORD) as server:
            if fault == "stop":
                server.stop()
            else:
                server.fault = cast("Fault", fault)
            options = replace(OPTIONS, read_timeout=2.0 if fault == "truncate" else 0.1)
            async with pool_of(server, options=options) as pool:
                loop.call_soon(step, pool.ask(query()))
                await until(lambda: results)
        expected = {"drop": "i/o timeout", "stop": "connection refused"}.get(fault, "192.0.2.1")
        assert results[0].endswith(expected)

    async def test_no_more_than_max_concurrent(self) -> None:
        with NameServer(RECORD) as server:
            server.delay = 0.1
            metrics = Metrics()
            options = replace(OPTIONS, max_concurrent=2)
            async with pool_of(server, options=options, metrics=metrics) as pool:
                asked = [pool.ask(query(f"n{number}.test.")) for number in range(3)]
                results = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(result) for result in results] == [Response, Response, OverloadError]
            assert b"coredns_forward_max_concurrent_rejects_total 1.0" in metrics.expose()

    async def test_who_gives_up_takes_nothing_from_the_others(self) -> None:
        with NameServer(RECORD) as server:
            server.delay = 0.1
            async with pool_of(server) as pool:
                first = asyncio.ensure_future(pool.ask(query()))
                second = asyncio.ensure_future(pool.ask(query()))
                await asyncio.sleep(0)
                first.cancel()
                assert address(await second) == "192.0.2.1"
