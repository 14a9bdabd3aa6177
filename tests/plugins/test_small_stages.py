"""``errors``, ``whoami``, ``chaos``, ``loadbalance`` as stages, and what ``ready`` remembers."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Coroutine
from ipaddress import ip_address
from typing import cast

import pytest
from msgspec.structs import replace

from kdns import __version__
from kdns.plugins import chaos, errors, loadbalance, ready, whoami
from kdns.plugins.interface import Context, Handler
from kdns.wire import rdata
from kdns.wire.constants import Class, Rcode, Type
from kdns.wire.message import Answer, Query, Record
from kdns.wire.names import from_text, wire_from_text
from tests.waiting import until

CONTEXT = cast("Context", None)
"""These stages ask nothing of the server."""


def question(name: str, qtype: int = Type.A, **fields: object) -> Query:
    return replace(Query(wire_from_text(name), from_text(name), qtype), **fields)


def says(answer: Answer) -> Handler:
    async def handler(_: Query) -> Answer:
        return answer

    return handler


def fails(error: Exception) -> Handler:
    async def handler(_: Query) -> Answer:
        raise error

    return handler


NEXT = says(Answer(Rcode.REFUSED, plugin="next"))


class TestErrors:
    LOGGER = "kdns.errors"

    @staticmethod
    def stage(error: Exception | Answer, *patterns: errors.Pattern, trace: bool = False) -> Handler:
        settings = errors.Settings(trace, patterns)
        inner = says(error) if isinstance(error, Answer) else fails(error)
        return errors.wrap(settings, inner, CONTEXT)

    async def test_an_exception_is_a_line_and_servfail(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        answer = await self.stage(OSError("no route"))(question("Example.org.", Type.SRV))
        assert (answer.rcode, answer.authoritative, answer.keep_until) == (2, False, 0.0)
        assert [(r.levelname, r.getMessage(), r.exc_info) for r in caplog.records] == [
            ("ERROR", "plugin/errors: 2 example.org. SRV: no route", None)
        ]

    async def test_an_exception_without_words_is_named(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        await self.stage(TimeoutError())(question("a."))
        assert caplog.messages == ["plugin/errors: 2 a. A: TimeoutError"]

    async def test_stacktrace_adds_the_stack(self, caplog: pytest.LogCaptureFixture) -> None:
        await self.stage(OSError("x"), trace=True)(question("a."))
        assert "in handler" in caplog.text

    async def test_a_question_that_nobody_took_is_a_line(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        reply = Answer(Rcode.SERVFAIL, handled=False)
        assert await self.stage(reply)(question("a.")) is reply
        assert caplog.messages == ["plugin/errors: 2 a. A: plugin/errors: no next plugin found"]

    async def test_an_answer_passes_in_silence(self, caplog: pytest.LogCaptureFixture) -> None:
        reply = Answer(Rcode.SERVFAIL)
        assert await self.stage(reply)(question("a.")) is reply
        assert not caplog.records

    async def test_cancellation_is_no_error(self, caplog: pytest.LogCaptureFixture) -> None:
        async def waits(_: Query) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

        task = asyncio.ensure_future(
            cast(
                "Coroutine[None, None, Answer]",
                errors.wrap(errors.Settings(), waits, CONTEXT)(question("a.")),
            )
        )
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not caplog.records

    @pytest.mark.parametrize(
        ("count", "show_first", "level", "lines"),
        [
            (1, False, logging.ERROR, ["1 errors like 'time' occurred in last 1m0s"]),
            (3, False, logging.WARNING, ["3 errors like 'time' occurred in last 1m0s"]),
            (1, True, logging.WARNING, ["2 a. A: a timeout"]),
            (
                3,
                True,
                logging.INFO,
                ["2 a. A: a timeout", "3 errors like 'time' occurred in last 1m0s"],
            ),
        ],
    )
    async def test_consolidated_errors_are_one_line(
        self,
        caplog: pytest.LogCaptureFixture,
        count: int,
        show_first: bool,
        level: int,
        lines: list[str],
    ) -> None:
        caplog.set_level(logging.DEBUG)
        pattern = errors.Pattern(60.0, "time", level, show_first)
        stage = self.stage(TimeoutError("a timeout"), pattern)
        for _ in range(count):
            await stage(question("a."))
        errors.flush()
        assert caplog.messages == [f"plugin/errors: {line}" for line in lines]
        assert {record.levelno for record in caplog.records} == {level}
        errors.flush()
        assert len(caplog.messages) == len(lines)

    async def test_a_summary_comes_at_the_end_of_its_period(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        stage = self.stage(OSError("x"), errors.Pattern(0.01, "x"), errors.Pattern(60, "."))
        await stage(question("a."))
        assert not caplog.messages
        await until(lambda: len(caplog.messages) == 1)
        assert caplog.messages == ["plugin/errors: 1 errors like 'x' occurred in last 10ms"]

    async def test_other_errors_are_not_consolidated(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        await self.stage(OSError("x"), errors.Pattern(60, "^y$"))(question("a."))
        assert caplog.messages == ["plugin/errors: 2 a. A: x"]


@pytest.mark.parametrize(
    ("client", "transport", "rtype", "label"),
    [
        ("192.0.2.7", "udp", Type.A, b"\4_udp"),
        ("2001:db8::7", "tcp", Type.AAAA, b"\4_tcp"),
        ("::ffff:192.0.2.7", "tls", Type.A, b"\4_tcp"),
        ("fe80::1%eth0", "udp", Type.AAAA, b"\4_udp"),
    ],
)
async def test_whoami_tells_what_it_sees(
    client: str, transport: str, rtype: int, label: bytes
) -> None:
    query = question("Www.Example.", Type.TXT, client=client, client_port=5353, transport=transport)
    answer = await whoami.wrap(whoami.Settings(), NEXT, CONTEXT)(query)
    seen = ip_address(client.partition("%")[0].removeprefix("::ffff:"))
    assert answer.additional == (
        Record(query.qname, rtype, 0, seen.packed),
        Record(label + query.qname, Type.SRV, 0, rdata.srv(0, 0, 5353, b"\0")),
    )
    assert (answer.rcode, answer.answer, answer.authoritative) == (0, (), True)
    assert answer.keep_until == 0.0


async def test_whoami_leaves_out_what_it_cannot_say() -> None:
    query = question(".".join(["a" * 62] * 4) + ".", client="")
    assert len(query.qname) == 253
    answer = await whoami.wrap(whoami.Settings(), NEXT, CONTEXT)(query)
    assert answer.additional == ()


CHAOS = chaos.Settings(b"v1", (b"a", b"b"))
HOST = socket.gethostname().encode()


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("version.bind.", [b"v1"]),
        ("Version.Server.", [b"v1"]),
        ("authors.bind.", [b"a", b"b"]),
        ("hostname.bind.", [HOST]),
        ("id.server.", [HOST]),
    ],
)
async def test_chaos_answers(name: str, texts: list[bytes]) -> None:
    query = question(name, Type.TXT, qclass=Class.CH)
    answer = await chaos.wrap(CHAOS, NEXT, CONTEXT)(query)
    expected = {Record(query.qname, Type.TXT, 0, rdata.strings(t), Class.CH) for t in texts}
    assert set(answer.answer) == expected
    assert len(answer.answer) == len(texts)
    assert (answer.authoritative, answer.plugin) == (False, "chaos")


@pytest.mark.parametrize(
    ("name", "qtype", "qclass"),
    [
        ("version.bind.", Type.TXT, Class.IN),
        ("version.bind.", Type.A, Class.CH),
        ("x.version.bind.", Type.TXT, Class.CH),
        (".", Type.TXT, Class.CH),
    ],
)
async def test_chaos_passes_the_rest_on(name: str, qtype: int, qclass: int) -> None:
    answer = await chaos.wrap(CHAOS, NEXT, CONTEXT)(question(name, qtype, qclass=qclass))
    assert answer.plugin == "next"


def test_chaos_has_a_version_of_its_own() -> None:
    assert chaos.Settings().version == f"kdns-{__version__}".encode()


CNAME = Record(b"\1a\0", Type.CNAME, 5, b"\1b\0")
ADDRESSES = tuple(Record(b"\1b\0", Type.A, 5, bytes((10, 0, 0, n))) for n in range(3))
EXCHANGES = tuple(Record(b"\1b\0", Type.MX, 5, rdata.mx(n, b"\0")) for n in range(2))


async def test_loadbalance_rotates_mail_exchanges_and_nothing_else() -> None:
    """Addresses rotate in the reply."""
    reply = Answer(answer=(*EXCHANGES, CNAME), authority=ADDRESSES, additional=ADDRESSES)
    stage = loadbalance.wrap(loadbalance.Settings(), says(reply), CONTEXT)
    seen = Counter[tuple[Record, ...]]()
    for _ in range(6):
        answer = await stage(question("a.", Type.MX))
        assert (answer.authority, answer.additional) == (ADDRESSES, ADDRESSES)
        assert answer.answer[0] == CNAME
        seen[tuple(answer.answer[1:])] += 1
    assert seen == {EXCHANGES: 3, EXCHANGES[::-1]: 3}


@pytest.mark.parametrize(
    ("reply", "qtype"),
    [
        (Answer(answer=(*ADDRESSES, *EXCHANGES)), Type.AXFR),
        (Answer(answer=(*EXCHANGES, CNAME, *ADDRESSES)), Type.A),
        (Answer(Rcode.NXDOMAIN, answer=(CNAME, *ADDRESSES)), Type.A),
        (Answer(answer=ADDRESSES[:1]), Type.A),
        (Answer(), Type.A),
    ],
    ids=["transfer", "address", "error", "single", "empty"],
)
async def test_loadbalance_leaves_the_rest_alone(reply: Answer, qtype: int) -> None:
    stage = loadbalance.wrap(loadbalance.Settings(), says(reply), CONTEXT)
    assert [await stage(question("a.", qtype)) for _ in range(2)] == [reply, reply]


class TestReady:
    DOWN = ready.Problem("kubernetes", "services: forbidden")

    def test_who_was_ready_once_stays_ready(self) -> None:
        readiness = ready.Readiness(ready.Settings())
        assert readiness.problems([("kubernetes", self.DOWN.reason)]) == [self.DOWN]
        assert readiness.problems([("kubernetes", None)]) == []
        assert readiness.problems([("kubernetes", self.DOWN.reason)]) == []

    def test_unless_it_is_watched_continuously(self) -> None:
        readiness = ready.Readiness(ready.Settings(continuously=True))
        assert readiness.problems([("kubernetes", None)]) == []
        assert readiness.problems([("kubernetes", self.DOWN.reason)]) == [self.DOWN]

    def test_a_plugin_in_two_blocks_is_ready_when_both_are(self) -> None:
        readiness = ready.Readiness(ready.Settings())
        assert readiness.problems([("file", None), ("file", "x"), ("auto", "y")]) == [
            ready.Problem("auto", "y"),
            ready.Problem("file", "x"),
        ]

    def test_stopping_is_said_whatever_else_there_is(self) -> None:
        readiness = ready.Readiness(ready.Settings())
        readiness.stop()
        assert readiness.problems([("kubernetes", None)]) == [ready.Problem("Shutting down")]

    def test_only_changes_are_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        readiness = ready.Readiness(ready.Settings())
        for reason in ("x", "x", "y", None, None):
            readiness.problems([("kubernetes", reason)])
        assert caplog.messages == [
            'plugin/ready: Plugins not ready: "kubernetes"',
            "plugin/ready: All plugins are ready",
        ]
