"""From a request's octets to the reply's: the server block, its chain, the encoding, the counting.

A chain that has its answer in memory finishes at the first step of its coroutine, and then the reply is
returned at once. One that must wait (for an upstream) is resumed from the callbacks of what it waits for
(``Later``): neither costs a task.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Coroutine, Iterable
from functools import partial
from itertools import count, islice
from random import randrange
from time import monotonic, perf_counter
from typing import Final, cast

from msgspec import Struct
from msgspec.structs import replace

from kdns.answers.denials import Denial
from kdns.answers.entry import Entry
from kdns.answers.exchange_options import with_options
from kdns.answers.later import Later
from kdns.answers.reply_cache import ReplyCache
from kdns.metrics import Metrics, families
from kdns.metrics.meters import DROPPED, labels_of, origin_of
from kdns.plugins.blocks import Blocks, Served
from kdns.plugins.interface import Observer
from kdns.wire import cookies, padding
from kdns.wire.constants import Class, EdnsOption, ErrorCode, Opcode, Rcode, type_name
from kdns.wire.encode import encode, encode_error, question_section, reply
from kdns.wire.encoded import Encoded
from kdns.wire.message import Answer, Query, Reply, Transfer, Transport
from kdns.wire.names import to_text
from kdns.wire.question import Rejected, parse
from kdns.wire.reasons import because
from kdns.wire.windows import windows

logger: Final = logging.getLogger("kdns.responder")


REFRESHED: Final = "kubernetes"
"""The directive whose answers are refreshed after a change: from memory, at the cost of a look-up."""

MAX_REFRESHED: Final = 16
"""Replies refreshed after one change: a name's few types, not all of a namespace."""

MAX_REFRESH: Final = 0.001
"""Seconds after which no further one is begun, since queries wait meanwhile."""

MAX_START: Final = 1 << 16
"""Of the first record that is sent, where not all are: more than any answer has."""


class Request(Struct, frozen=True, gc=False):
    """What came in, from where to which address and port, and when (``time.perf_counter``)."""

    data: bytes
    client: str
    port: int
    transport: Transport
    server: tuple[str, int]
    started: float
    is_refresh: bool = False
    """No client waits, but one may send it again soon: nothing is counted, nothing sent."""


class Responder(Blocks):
    """Answers what arrives at one address."""

    def __init__(self, server: str, metrics: Metrics, served: Iterable[Served] = ()) -> None:
        super().__init__(served)
        self.server, self.metrics = server, metrics
        self.dropped = metrics.meter(server, DROPPED)
        self.address: tuple[str, int] = ("", 0)
        """What is listened on, once that is bound; the address may be a wildcard."""
        self.cache: ReplyCache | None = None
        self._secret = cookies.new_secret()
        self._turns = count(1)

    def respond(
        self, data: bytes, client: str, port: int, transport: Transport, local: str
    ) -> Reply:
        """The reply to a request; None for silence; ``Later`` when it takes waiting. Never raises."""
        server = local, self.address[1]
        request = Request(data, client, port, transport, server, perf_counter())
        try:
            return self._respond(request)
        except Exception as error:
            self._panic("a request that was answered SERVFAIL", error)
            return encode_error(None, data, Rcode.SERVFAIL)

    def _respond(self, request: Request) -> Reply:
        data = request.data
        query = parse(data, request.client, request.port, request.transport, request.server)
        if query is None:
            self.metrics.count(
                families.DROPPED_DATAGRAMS, "short" if len(data) < 12 else "response"
            )
            return None
        if isinstance(query, Rejected):
            return self._reject(query, request)
        served, by_client = self.find(query)
        if served is None:
            return self._finish(query, request, None, _refused(query, by_client))
        if query.opcode == Opcode.NOTIFY:
            return self._finish(query, request, served, served.take_notice(query))
        if query.qclass != Class.IN and not served.other_classes:
            answer = Answer(Rcode.REFUSED, authoritative=False)
            return self._finish(query, request, served, _for_client(answer, by_client))
        running = cast("Coroutine[object, None, Answer]", served.handler(query))
        try:
            waits_for = running.send(None)
        except StopIteration as done:
            return self._finish(query, request, served, _for_client(done.value, by_client))
        except (Exception, CancelledError) as error:
            return self._finish(query, request, served, self._failed(query, error))
        finish = partial(self._finish_later, query, request, served)
        return Later(running, waits_for, finish, in_task=served.needs_task)

    def refresh(self, dropped: Iterable[Entry]) -> None:
        """Make some of the replies again that a change has dropped, so that the next client need not wait.

        What has just changed is queried soon, mostly by clients that waited for the change.
        """
        end = perf_counter() + MAX_REFRESH
        for entry in islice(dropped, MAX_REFRESHED):
            data = b"\0\0" + entry.request
            client = entry.client or ""
            request = Request(data, client, 0, "tcp", self.address, 0.0, is_refresh=True)
            query = parse(data, client, 0, "tcp", self.address)
            if isinstance(query, Query):
                self._refresh(query, request)
            if perf_counter() > end:
                break

    def _refresh(self, query: Query, request: Request) -> None:
        served, by_client = self.find(query)
        if served is None or by_client:
            return
        running = cast("Coroutine[object, None, Answer]", served.handler(query))
        try:
            running.send(None)
        except StopIteration as done:
            self._finish(query, request, served, done.value)
        except Exception as error:  # the next client will get it
            logger.debug("%s not refreshed: %r", to_text(query.name), error)
        else:
            running.close()  # it would take an upstream

    async def resolve(self, query: Query) -> Answer:
        """Answer a query of the server's own, through the same blocks."""
        served, by_client = self.find(query)
        if served is None:
            answer = Answer(Rcode.REFUSED, authoritative=False, handled=False)
            return _for_client(answer, by_client)
        return _for_client(await served.handler(query), by_client)

    def _finish_later(
        self, query: Query, request: Request, served: Served, answer: Answer | BaseException
    ) -> bytes | None:
        if isinstance(answer, BaseException):
            answer = self._failed(query, answer)
        try:
            if answer.keep_until:
                # What it depends on may have changed while it waited, unnoticed: it was not cached yet.
                answer = replace(answer, keep_until=0.0)
            return self._finish(query, request, served, answer)
        except Exception as error:
            self._panic(f"{to_text(query.name)} {type_name(query.qtype)}", error)
            return encode_error(None, request.data, Rcode.SERVFAIL)

    def _finish(
        self, query: Query, request: Request, served: Served | None, answer: Answer
    ) -> bytes | None:
        """Encode, count, notify observers, cache."""
        if answer.silent:
            self.metrics.count(families.DROPPED_DATAGRAMS, "policy")
            return None
        cookie = b""
        if query.edns is not None and query.edns.options:
            secret = self._secret if self.cache is None else self.cache.secret
            cookie, answer = with_options(query, answer, secret)
        parts = windows(answer, randrange(MAX_START), monotonic()) if answer.at_most else []
        if parts:
            answer = parts[0]
        answer, encoded = self._encode(query, served, answer)
        turn = next(self._turns) if encoded.run is not None and _rotates(served, answer) else 0
        body = reply(query, encoded, cookie, turn)
        if padding.is_wanted(query):
            answer, body = self._padded(query, served, answer, cookie, len(body) + 2)
        observed = self._record(query, request, served, answer, len(body) + 2)
        if answer.keep_until and not observed and self.cache is not None:
            self._cache(self.cache, query, request, served, [answer, *parts[1:]], encoded)
        message = request.data[:2] + body
        return Transfer(message, answer.following) if answer.following else message

    def _encode(
        self, query: Query, served: Served | None, answer: Answer
    ) -> tuple[Answer, Encoded]:
        recursion = served is not None and served.recursion_available
        try:
            return answer, encode(query, answer, recursion_available=recursion)
        except Exception as error:  # a stage made a record that no message can hold
            answer = self._failed(query, error)
            return answer, encode(query, answer, recursion_available=recursion)

    def _padded(
        self, query: Query, served: Served | None, answer: Answer, cookie: bytes, size: int
    ) -> tuple[Answer, bytes]:
        """The answer and the reply with the padding that makes up for its size; not cached."""
        if option := padding.padding(size):
            options = (*answer.options, (int(EdnsOption.PADDING), option[4:]))
            answer = replace(answer, options=options, keep_until=0.0)
        return answer, reply(query, self._encode(query, served, answer)[1], cookie)

    def _record(
        self, query: Query, request: Request, served: Served | None, answer: Answer, size: int
    ) -> bool:
        """Count the reply, and notify observers; returns whether any of these wants each such reply."""
        if not request.is_refresh:
            meter = served.meter if served is not None else self.dropped
            seconds = perf_counter() - request.started
            origin, labels = origin_of(request.transport, request.client), labels_of(query, answer)
            meter.observe(origin, labels, len(request.data), size, seconds)
        if served is None or not served.observers:
            return False
        if served.recursion_available:
            answer = replace(answer, recursion_available=True)
        return self._observe(served.observers, query, request, answer, size)

    def _cache(
        self,
        cache: ReplyCache,
        query: Query,
        request: Request,
        served: Served | None,
        parts: list[Answer],
        encoded: Encoded,
    ) -> None:
        """Cache what was just made; ``parts`` are sent in turn, ``encoded`` is the first of them."""
        data = request.data[2:]
        missed, meant = cache.missed
        if missed != data:
            meant = cache.meaning(data)
        if meant is None or data[10 : meant[1]] != question_section(query):
            return  # of unusual shape
        if parts[0].absence is not None and served is not None:
            self._deny_siblings(cache, meant[0], query, served, parts[0])
        if not cache.admits(meant[0]):
            return
        recursion = served is not None and served.recursion_available
        encode_whole = partial(encode, query, whole=True, recursion_available=recursion)
        whole = encode_whole(parts[0]) if encoded.is_cut else encoded
        encodings = [whole, *map(encode_whole, parts[1:])]
        answer, meter = parts[0], served.meter if served else self.dropped
        entry = Entry(data, encodings, answer.keys, meter, labels_of(query, answer))
        entry.until = answer.keep_until
        if len(encodings) > 1 or (whole.run is not None and _rotates(served, answer)):
            entry.rotates()
        entry.replayed = answer.replayed
        entry.is_refreshed = request.is_refresh
        if answer.plugin == REFRESHED:
            entry.client = request.client
        cache.store(entry, meant[0])

    def _deny_siblings(
        self, cache: ReplyCache, key: bytes, query: Query, served: Served, answer: Answer
    ) -> None:
        """Have names beside the one queried denied without asking the chain, where it answers them alike."""
        absence = answer.absence
        if absence is None or not self.answers_alike(query.name[1:], served):
            return
        answer = replace(answer, errors=())
        parent = query.qname[1 + query.qname[0] :]

        def encode_for(size: int) -> Encoded:
            qname = bytes((size,)) + b"x" * size + parent
            sibling = replace(query, qname=qname, name=("x" * size, *query.name[1:]), spelling=b"")
            return self._encode(sibling, served, answer)[1]

        labels = labels_of(query, answer)
        denial = Denial(
            *(absence, answer.keep_until, encode_for, served.meter, labels, answer.replayed)
        )
        cache.denials.store(key, denial, answer.keys - absence.apart)

    def _reject(self, rejected: Rejected, request: Request) -> bytes:
        query = rejected.query or Query(
            b"\0", (), 0, transport=request.transport, client=request.client
        )
        answer = Answer(rejected.rcode, authoritative=False)
        message = encode_error(rejected.query, request.data, rejected.rcode)
        seconds = perf_counter() - request.started
        origin, labels = origin_of(request.transport, request.client), labels_of(query, answer)
        self.dropped.observe(origin, labels, len(request.data), len(message), seconds)
        return message

    def _failed(self, query: Query, error: BaseException) -> Answer:
        """A stage raised: a mistake of ours, which costs this answer and nothing else."""
        self._panic(f"{to_text(query.name)} {type_name(query.qtype)}", error)
        text = "internal error; the server's log has it"
        errors = because(query, ErrorCode.OTHER, text)
        return Answer(Rcode.SERVFAIL, authoritative=False, errors=errors, keep_until=0.0)

    def _panic(self, what: str, error: BaseException) -> None:
        self.metrics.count(families.PANICS)
        logger.error("%s: %r", what, error, exc_info=error)

    def _observe(
        self,
        observers: tuple[Observer, ...],
        query: Query,
        request: Request,
        answer: Answer,
        size: int,
    ) -> bool:
        """Notify the observers; whether there are any that want each of these."""
        wanted = False
        for observer in observers:
            try:
                if observer.wants(query, answer):
                    wanted = True
                    if not request.is_refresh:
                        observer(query, answer, size, perf_counter() - request.started)
            except Exception as error:
                self._panic(f"an observer of {to_text(query.name)}", error)
        return wanted


def _rotates(served: Served | None, answer: Answer) -> bool:
    """Whether the addresses of an answer take turns in being the first (``loadbalance``)."""
    return served is not None and served.rotates and not answer.ordered


def _for_client(answer: Answer, by_client: bool) -> Answer:
    """An answer that another client may not get is not cached."""
    return replace(answer, keep_until=0.0) if by_client else answer


def _refused(query: Query, by_client: bool) -> Answer:
    """No server block has the name: RFC 8914 section 4.21."""
    text = "no server block here is for this name"
    errors = because(query, ErrorCode.NOT_AUTHORITATIVE, text)
    return _for_client(Answer(Rcode.REFUSED, authoritative=False, errors=errors), by_client)
