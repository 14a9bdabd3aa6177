"""From a request's bytes to the reply's: the server block, its chain, the encoding, the counting.

A chain that has its answer in memory finishes at the first step of its coroutine, and then the reply is
there at once, without a task. One that must wait (an upstream) is handed back as an awaitable.
"""

from __future__ import annotations

import logging
import secrets
from asyncio import TimerHandle, get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from functools import partial
from itertools import islice
from random import randrange
from time import monotonic, perf_counter, time
from types import coroutine
from typing import Final, cast

from msgspec import Struct
from msgspec.structs import replace

from kdns.metrics import Metrics, families
from kdns.metrics.meters import DROPPED, QueryClass
from kdns.packet_cache import MAX_ROTATIONS, Entry, PacketCache
from kdns.plugins.blocks import Blocks, Served
from kdns.plugins.interface import Observer
from kdns.wire import cookies
from kdns.wire.constants import Class, EdnsOption, ErrorCode, Opcode, Rcode, type_name
from kdns.wire.encode import Encoded, encode, encode_error
from kdns.wire.message import FOREVER, Answer, Query, Reply, Transfer, Transport
from kdns.wire.names import Name, to_text
from kdns.wire.question import Rejected, parse
from kdns.wire.reasons import because
from kdns.wire.windows import windows

logger: Final = logging.getLogger("kdns.responder")


TCP_IDLE: Final = 100
"""Tenths of a second that an idle TCP connection is kept: what RFC 7828 lets an asker know."""

RENEWED: Final = "kubernetes"
"""The directive whose answers are made anew after a change: from memory, at the cost of a look-up."""

MAX_RENEWED: Final = 16
"""Replies made anew after one change: a name's few types and spellings, not all of a namespace."""

MAX_RENEWAL: Final = 0.001
"""Seconds after which no further one is begun, since questions wait meanwhile."""

MAX_START: Final = 1 << 16
"""Of the first record that is sent, where not all are: more than any answer has."""


class Request(Struct, frozen=True, gc=False):
    """What came in, and when (``time.perf_counter``)."""

    data: bytes
    client: str
    port: int
    transport: Transport
    started: float
    renewal: bool = False
    """Nobody asks, but somebody may ask again soon: nothing is counted, nothing sent."""


class Responder(Blocks):
    """Answers what arrives at one address."""

    def __init__(self, server: str, zones: dict[Name, Served], metrics: Metrics) -> None:
        super().__init__(zones)
        self.server, self.metrics = server, metrics
        self.dropped = metrics.meter(server, DROPPED)
        self.address: tuple[str, int] = ("", 0)
        """Where it is asked, once that is bound."""
        self.caches: dict[Transport, PacketCache] = {}
        self.secret = secrets.token_bytes(16)
        self._timers: dict[PacketCache, tuple[float, TimerHandle]] = {}

    def respond(self, data: bytes, client: str, port: int, transport: Transport) -> Reply:
        """The reply to a request; None for silence; an awaitable of them when it takes waiting."""
        started = perf_counter()
        parsed = parse(data, client, port, transport, self.address)
        if parsed is None:
            self.metrics.count(
                families.DROPPED_DATAGRAMS, "short" if len(data) < 12 else "response"
            )
            return None
        if isinstance(parsed, Rejected):
            return self._reject(parsed, Request(data, client, port, transport, started))
        request = Request(data, client, port, transport, started)
        served, by_asker = self.find(parsed)
        if served is None:
            return self._finish(parsed, request, None, _refused(parsed, by_asker))
        if parsed.opcode == Opcode.NOTIFY:
            return self._finish(parsed, request, served, served.take_notice(parsed))
        if parsed.qclass != Class.IN and not served.other_classes:
            answer = Answer(Rcode.REFUSED, authoritative=False)
            return self._finish(parsed, request, served, _kept(answer, by_asker))
        running = cast("Coroutine[object, None, Answer]", served.handler(parsed))
        try:
            waits_for = running.send(None)
        except StopIteration as done:
            return self._finish(parsed, request, served, _kept(done.value, by_asker))
        except Exception as error:
            return self._finish(parsed, request, served, self._failed(parsed, error))
        return self._finish_later(parsed, request, served, _resume(running, waits_for))

    def renew(self, dropped: Iterable[Entry], transport: Transport) -> None:
        """Make replies anew that a change has dropped, some of them: who asks next need not wait for it.

        What has just changed is asked for soon, mostly by who waited for the change.
        """
        end = perf_counter() + MAX_RENEWAL
        for entry in islice(dropped, MAX_RENEWED):
            request = Request(
                b"\0\0" + entry.request, entry.asker or "", 0, transport, 0.0, renewal=True
            )
            query = parse(request.data, request.client, request.port, transport, self.address)
            if isinstance(query, Query):
                self._renew(query, request)
            if perf_counter() > end:
                break

    def _renew(self, query: Query, request: Request) -> None:
        served, by_asker = self.find(query)
        if served is None or by_asker:
            return
        running = cast("Coroutine[object, None, Answer]", served.handler(query))
        try:
            running.send(None)
        except StopIteration as done:
            self._finish(query, request, served, done.value)
        except Exception as error:  # whoever asks will be told
            logger.debug("%s not made anew: %r", to_text(query.name), error)
        else:
            running.close()  # it would take an upstream

    async def resolve(self, query: Query) -> Answer:
        """Answer a question that the server asks itself, through the same blocks."""
        served, by_asker = self.find(query)
        if served is None:
            return _kept(Answer(Rcode.REFUSED, authoritative=False, handled=False), by_asker)
        return _kept(await served.handler(query), by_asker)

    async def _finish_later(
        self, query: Query, request: Request, served: Served, rest: Awaitable[Answer]
    ) -> bytes | None:
        try:
            answer = await rest
        except Exception as error:
            answer = self._failed(query, error)
        # What it depends on may have changed while it waited, unnoticed: nothing was kept to drop.
        return self._finish(query, request, served, replace(answer, keep_until=0.0))

    def _finish(
        self, query: Query, request: Request, served: Served | None, answer: Answer
    ) -> bytes | None:
        """Encode, count, tell observers, keep."""
        if answer.silent:
            self.metrics.count(families.DROPPED_DATAGRAMS, "policy")
            return None
        options = self._options(query)
        if options:
            answer = replace(answer, options=(*answer.options, *options), keep_until=0.0)
        if served is not None and served.recursion_available and not answer.recursion_available:
            answer = replace(answer, recursion_available=True)
        parts = windows(answer, randrange(MAX_START), monotonic()) if answer.at_most else []
        answer, encoded = self._encode(query, parts[0] if parts else answer)
        meter = served.meter if served else self.dropped
        size = len(encoded.body) + 2
        query_class = meter.classify(query, answer, len(request.data), size)
        if not request.renewal:
            query_class.observe(perf_counter() - request.started)
        observers = served.observers if served else ()
        if not _told(observers, query, request, answer, size) and answer.keep_until:
            turns = served is not None and served.rotates and not answer.ordered
            bodies = partial(_bodies, query, encoded, parts, turns)
            self._keep(request, answer, query_class, bodies)
        return _reply(request.data[:2] + encoded.body, answer)

    def _encode(self, query: Query, answer: Answer) -> tuple[Answer, Encoded]:
        try:
            return answer, encode(query, answer)
        except Exception as error:  # a stage made a record that no message can hold
            answer = self._failed(query, error)
            return answer, encode(query, answer)

    def _keep(
        self,
        request: Request,
        answer: Answer,
        query_class: QueryClass,
        bodies: Callable[[], list[bytes]],
    ) -> None:
        cache = self.caches.get(request.transport)
        key = request.data[2:]
        if cache is None or not cache.admits(key):
            return
        query_class.replayed = answer.replayed
        entry = Entry(key, bodies(), answer.keys, query_class)
        entry.renewed = request.renewal
        if answer.plugin == RENEWED:
            entry.asker = request.client
        cache.keep(entry, answer.keep_until)
        if answer.keep_until != FOREVER:
            self._expire_later(cache, answer.keep_until)

    def _expire_later(self, cache: PacketCache, until: float) -> None:
        """One timer per cache, for the entry that ends first."""
        running = self._timers.get(cache)
        if running is not None:
            if running[0] <= until:
                return
            running[1].cancel()
        timer = get_running_loop().call_later(until - monotonic(), self._expire, cache)
        self._timers[cache] = (until, timer)

    def _expire(self, cache: PacketCache) -> None:
        del self._timers[cache]
        until = cache.expire(monotonic())
        if until is not None:
            self._expire_later(cache, until)

    def _options(self, query: Query) -> list[tuple[int, bytes]]:
        """EDNS options that belong to the exchange and not to the answer."""
        if query.edns is None or not query.edns.options:
            return []
        options: list[tuple[int, bytes]] = []
        for code, value in query.edns.options:
            if code == EdnsOption.COOKIE:
                ours = cookies.respond(value, query.client, time(), self.secret)
                options.append((EdnsOption.COOKIE, ours))
            elif code == EdnsOption.TCP_KEEPALIVE and query.transport != "udp":
                options.append((EdnsOption.TCP_KEEPALIVE, TCP_IDLE.to_bytes(2, "big")))
        return options

    def _reject(self, rejected: Rejected, request: Request) -> bytes:
        query = rejected.query or Query(
            b"\0", (), 0, transport=request.transport, client=request.client
        )
        answer = Answer(rejected.rcode, authoritative=False)
        reply = encode_error(rejected.query, request.data, rejected.rcode)
        query_class = self.dropped.classify(query, answer, len(request.data), len(reply))
        query_class.observe(perf_counter() - request.started)
        return reply

    def _failed(self, query: Query, error: Exception) -> Answer:
        """A stage raised: a mistake of ours, which costs this answer and nothing else."""
        self.metrics.count(families.PANICS)
        logger.error(
            "%s %s: %r", to_text(query.name), type_name(query.qtype), error, exc_info=error
        )
        text = "internal error; the server's log has it"
        errors = because(query, ErrorCode.OTHER, text)
        return Answer(Rcode.SERVFAIL, authoritative=False, errors=errors, keep_until=0.0)


def _told(
    observers: tuple[Observer, ...], query: Query, request: Request, answer: Answer, size: int
) -> bool:
    """Tell those who want to know; whether there are any, who then want to know each time."""
    interested = [observer for observer in observers if observer.wants(query, answer)]
    for observer in () if request.renewal else interested:
        observer(query, answer, size, perf_counter() - request.started)
    return bool(interested)


def _bodies(query: Query, encoded: Encoded, parts: list[Answer], turns: bool) -> list[bytes]:
    """What is sent in turn: parts of the answer, or all of it with the addresses in turn."""
    if parts:
        return [encode(query, part).body for part in (*parts[1:], parts[0])]  # that one is sent now
    return encoded.rotations(MAX_ROTATIONS if turns else 1)


def _reply(first: bytes, answer: Answer) -> bytes:
    return Transfer(first, answer.following) if answer.following else first


def _kept(answer: Answer, by_asker: bool) -> Answer:
    """An answer that another asker may not get is made anew each time."""
    return replace(answer, keep_until=0.0) if by_asker else answer


def _refused(query: Query, by_asker: bool) -> Answer:
    """No server block has the name: RFC 8914 section 4.21."""
    text = "no server block here is for this name"
    errors = because(query, ErrorCode.NOT_AUTHORITATIVE, text)
    return _kept(Answer(Rcode.REFUSED, authoritative=False, errors=errors), by_asker)


@coroutine
def _resume(
    running: Coroutine[object, None, Answer], waits_for: object
) -> Generator[object, None, Answer]:
    """Go on, inside a task, with a coroutine that has taken its first step outside of one."""
    while True:
        try:
            yield waits_for
        except BaseException as error:  # a cancellation, mostly: it is the coroutine's to handle
            step = partial(running.throw, error)
        else:
            step = partial(running.send, None)
        try:
            waits_for = step()
        except StopIteration as done:
            return cast("Answer", done.value)
