"""One upstream: how it is queried, and what is noted of each attempt.

An attempt over UDP takes a callback and no task; one over TCP or TLS is a task. A reply that came truncated
over UDP is fetched over TCP.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from time import monotonic
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.metrics import Metrics, families
from kdns.metrics.meters import Histogram
from kdns.upstream.client import Target
from kdns.upstream.deadlines import Deadlines
from kdns.upstream.errors import LocalError, UpstreamError, broken
from kdns.upstream.health import Health
from kdns.upstream.probes import Check, Probe
from kdns.upstream.replies import read
from kdns.upstream.sockets import Socket, Sockets
from kdns.upstream.streams import Connections, Limits
from kdns.wire.constants import rcode_name
from kdns.wire.layouts import HEADER_AFTER_ID, QUESTION
from kdns.wire.message import Query
from kdns.wire.requests import body, passed_options
from kdns.wire.responses import Response, Unreadable

logger: Final = logging.getLogger("kdns.upstream")

PROXY: Final = "forward"
"""Who asks, for the label ``proxy_name``."""

Policy: TypeAlias = Literal["random", "round_robin", "sequential"]


class Options(Struct, frozen=True):
    """How upstreams are asked. Times are seconds."""

    policy: Policy = "random"
    read_timeout: float = 2.0
    max_fails: int = 2
    max_connect_attempts: int | None = None
    """Attempts at one query; 0 for any number, None for two per upstream."""
    max_concurrent: int = 0
    """Exchanges at one time; 0 for ``pool.MAX_IN_FLIGHT``."""
    check: Check = Check()
    limits: Limits = Limits()
    force_tcp: bool = False
    prefer_udp: bool = False
    failfast: bool = False
    """Whether nothing is asked while all upstreams are down."""
    failover: frozenset[int] = frozenset()
    """Rcodes at which the next upstream is asked."""
    source: str = ""
    """Our address to ask from; "" for what the system chooses."""


Outcome: TypeAlias = Response | UpstreamError
"""A reply, or why there is none. The error is a value and was not raised: a traceback holds frames that hold
the attempt, garbage that only a full collection finds, during which no query is answered."""


class Request:
    """A query as upstreams get it."""

    __slots__ = ("body", "has_options", "query", "question")

    def __init__(self, query: Query) -> None:
        self.query, self.body = query, body(query)
        self.question = self.body[HEADER_AFTER_ID.size :][: len(query.qname) + QUESTION.size]
        self.has_options = bool(query.edns and query.edns.options and passed_options(query))


class Attempt:
    """A request that was sent to one upstream; ``ended`` is called with its outcome, once."""

    __slots__ = (
        *("_ended", "_message_id", "_problem", "_socket", "_task", "_truncated"),
        *("request", "started", "upstream"),
    )

    def __init__(
        self, upstream: Upstream, request: Request, ended: Callable[[Attempt, Outcome], None]
    ) -> None:
        self.upstream, self.request, self._ended = upstream, request, ended
        self.started = monotonic()
        self._problem = ""
        """What was wrong with a reply that could not be read."""
        self._message_id = 0
        self._socket: Socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._truncated: Response | None = None

    def start(self) -> None:
        """Send it over the right transport. Raises ``UpstreamError`` where that fails at once."""
        upstream = self.upstream
        if upstream.by_stream(self.request.query):
            self._use_stream()
            return
        sent = upstream.sockets.send(self.request.body, self, self.started)
        self._socket, self._message_id, kept = sent
        upstream.count_datagram(kept)

    def received(self, data: bytes) -> None:
        """A datagram with the message ID has come.

        What cannot be read may be forged or damaged: the good reply may follow.
        """
        reply = read(data, self.request.question)
        if reply is None:
            return
        if isinstance(reply, Unreadable):
            self._problem = f"unreadable reply: {reply.reason}; "
            return
        self._forget()
        if reply.truncated:
            self._truncated = reply
            self._use_stream()
        else:
            self._ended(self, reply)

    def lost(self, error: OSError) -> None:
        """The upstream cannot be reached."""
        if self._socket is not None:
            self._socket = None
            self._ended(self, broken(error))

    def expire(self) -> None:
        """Its time is over. A truncated reply is better than none."""
        self.cancel()
        text = f"{self._problem}no reply in {self.upstream.options.read_timeout:g}s: i/o timeout"
        self._ended(self, self._truncated or UpstreamError(text))

    def cancel(self) -> None:
        """End it; ``ended`` is not called."""
        self._forget()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _forget(self) -> None:
        if self._socket is not None:
            self._socket.forget(self._message_id, self)
            self._socket = None

    def _use_stream(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._ask_by_stream())

    async def _ask_by_stream(self) -> None:
        outcome: Outcome
        try:
            outcome = await self.upstream.streams.ask(self.request.query)
        except UpstreamError as error:
            outcome = self._truncated or type(error)(str(error))
            if self._truncated:
                logger.debug("%s: truncated, and no TCP: %s", self.upstream.name, error)
        self._task = None
        self._ended(self, outcome)


class Upstream:
    """One of the servers of a pool."""

    def __init__(
        self, target: Target, options: Options, tls: ssl.SSLContext | None, metrics: Metrics
    ) -> None:
        self.target, self.options, self.metrics = target, options, metrics
        self.name = str(target)
        self.health = Health()
        self.deadlines: Deadlines[Attempt] = Deadlines(Attempt.expire)
        self._protocol = "tcp-tls" if target.tls else "tcp"
        self.sockets = Sockets(target.address, options.source)
        self.streams = Connections(
            target, options.limits, options.source, tls if target.tls else None, self._stream_used
        )
        self.probe = Probe(self.name, self.health, options.check, options.max_fails, self._sick)
        self._durations: dict[int, Histogram] = {}
        self._datagram_labels = (PROXY, self.name, "udp")
        self._sockets_kept = metrics.counts(families.PROXY_KEPT)
        self._sockets_opened = metrics.counts(families.PROXY_OPENED)

    def start(self, request: Request, ended: Callable[[Attempt, Outcome], None]) -> Attempt:
        """Start an attempt that has ``read_timeout``. Raises ``UpstreamError`` if it fails at once."""
        attempt = Attempt(self, request, ended)
        attempt.start()
        self.deadlines.add(attempt, attempt.started + self.options.read_timeout)
        return attempt

    def note(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Learn from an attempt that has ended. Returns the outcome as the pool reports it."""
        self.deadlines.discard(attempt)
        if isinstance(outcome, UpstreamError):
            return self.note_failure(attempt.request, outcome)
        seconds = monotonic() - attempt.started
        self.health.replied()
        self.health.latency.observe(seconds)
        durations = self._durations.get(outcome.rcode)
        if durations is None:
            labels = (PROXY, self.name, rcode_name(outcome.rcode))
            durations = self.metrics.histogram(families.PROXY_DURATION, *labels)
            self._durations[outcome.rcode] = durations
        durations.observe(seconds)
        return replace(outcome, upstream=self.name)

    def note_failure(self, request: Request, error: UpstreamError) -> UpstreamError:
        """The same for an attempt that failed, maybe at once.

        The words are those of Go's library, which patterns of ``consolidate`` and readers of logs know.
        """
        if isinstance(error, LocalError):
            return error
        self.health.failed(monotonic())
        self.probe.start(self.exchange)
        transport = "tcp" if self.by_stream(request.query) else "udp"
        return UpstreamError(f"read {transport} {self.name}: {error}")

    def note_loser(self, attempt: Attempt) -> None:
        """Learn from an attempt that another one was faster than."""
        self.deadlines.discard(attempt)
        attempt.cancel()
        self.health.latency.observe(monotonic() - attempt.started)  # at least

    def by_stream(self, query: Query) -> bool:
        """Whether the query goes over TCP or TLS at once."""
        options = self.options
        by_tcp = query.transport in {"tcp", "tls"} and not options.prefer_udp
        return self.target.tls or options.force_tcp or by_tcp

    async def exchange(self, query: Query) -> Response:
        """The reply, however long it takes, of which nothing is noted. Raises ``UpstreamError``."""
        reply: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def ended(_: Attempt, outcome: Outcome) -> None:
            if not reply.done():
                reply.set_result(outcome)

        attempt = Attempt(self, Request(query), ended)
        try:
            attempt.start()
            outcome = await reply
        finally:
            attempt.cancel()
        if isinstance(outcome, UpstreamError):
            raise outcome
        return outcome

    def count_datagram(self, kept: bool) -> None:
        counts = self._sockets_kept if kept else self._sockets_opened
        counts[self._datagram_labels] += 1

    def _stream_used(self, kept: bool) -> None:
        family = families.PROXY_KEPT if kept else families.PROXY_OPENED
        self.metrics.count(family, PROXY, self.name, self._protocol)

    def _sick(self) -> None:
        self.metrics.count(families.PROXY_CHECK_FAILURES, PROXY, self.name)

    def sweep(self) -> None:
        """Close connections and sockets that are not used any more."""
        self.streams.sweep()
        self.sockets.sweep(monotonic())

    def close(self) -> None:
        """End what runs by itself; attempts under way go on."""
        self.probe.close()
        self.streams.close()
        self.sockets.close()
