"""Several upstreams as one: which is asked, when another one is, and one exchange per question.

Upstreams are asked in the order of the policy, those that are down not at all and suspects last. The
next one is asked when one fails, when its rcode is one to fail over at, or when it takes longer than it
usually does (a hedge: the first reply counts). Questions that are the same share one exchange.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from time import monotonic
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from kdns.metrics import Metrics, families
from kdns.upstream import client
from kdns.upstream.client import LocalError, Target, UpstreamError
from kdns.upstream.health import Health
from kdns.upstream.probes import Check, Probe
from kdns.upstream.streams import Connections, Limits
from kdns.wire.constants import Flag, rcode_name
from kdns.wire.message import Query
from kdns.wire.requests import passed_options
from kdns.wire.responses import Response

logger: Final = logging.getLogger("kdns.upstream")

DEADLINE: Final = 5.0
"""Seconds that a question may take over all upstreams; CoreDNS's."""

MAX_IN_FLIGHT: Final = 4096
"""Exchanges at one time without ``max_concurrent``: memory and sockets must not grow with what is asked."""

ATTEMPTS_EACH: Final = 2
"""Attempts at one question, for each upstream; CoreDNS's."""

HEDGE_FLOOR: Final = 0.005
"""Seconds that an upstream is given at the least before another one is asked too."""

PROXY: Final = "forward"

Policy: TypeAlias = Literal["random", "round_robin", "sequential"]


class Options(Struct, frozen=True):
    """How upstreams are asked. Times are seconds."""

    policy: Policy = "random"
    read_timeout: float = 2.0
    max_fails: int = 2
    max_connect_attempts: int | None = None
    """Attempts at one question; 0 for any number, None for two per upstream."""
    max_concurrent: int = 0
    """Exchanges at one time; 0 for ``MAX_IN_FLIGHT``."""
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


class OverloadError(UpstreamError):
    """More questions are under way than may be."""


class Upstream:
    """One of the servers of a pool."""

    def __init__(
        self, target: Target, options: Options, tls: ssl.SSLContext | None, metrics: Metrics
    ) -> None:
        self.target, self.options, self.metrics = target, options, metrics
        self.name = str(target)
        self.health = Health()
        self._protocol = "tcp-tls" if target.tls else "tcp"
        self.streams = Connections(
            target, options.limits, options.source, tls if target.tls else None, self._stream_used
        )
        self.probe = Probe(self.name, self.health, options.check, options.max_fails, self._sick)

    async def ask(self, query: Query) -> Response:
        """One attempt, within ``read_timeout``. Raises ``UpstreamError``."""
        started = monotonic()
        try:
            async with asyncio.timeout(self.options.read_timeout):
                response = await self.exchange(query)
        except TimeoutError:
            self._failed()
            raise UpstreamError(
                f"{self.name}: no reply in {self.options.read_timeout:g}s"
            ) from None
        except LocalError:
            raise
        except UpstreamError as error:
            self._failed()
            raise UpstreamError(f"{self.name}: {error}") from error
        except asyncio.CancelledError:
            self.health.latency.observe(monotonic() - started)  # so long at the least
            raise
        seconds = monotonic() - started
        self.health.replied()
        self.health.latency.observe(seconds)
        labels = (PROXY, self.name, rcode_name(response.rcode))
        self.metrics.record(families.PROXY_DURATION, seconds, *labels)
        return response

    async def exchange(self, query: Query) -> Response:
        """Ask over the right transport; what came truncated over UDP, over TCP again."""
        options = self.options
        by_tcp = query.transport in {"tcp", "tls"} and not options.prefer_udp
        if self.target.tls or options.force_tcp or by_tcp:
            return await self.streams.ask(query)
        self.metrics.count(families.PROXY_OPENED, PROXY, self.name, "udp")
        response = await client.ask(self.target.address, query, options.source)
        if not response.truncated:
            return response
        try:
            return await self.streams.ask(query)
        except UpstreamError as error:
            logger.debug("%s: truncated, and no TCP: %s", self.name, error)
            return response

    def _stream_used(self, kept: bool) -> None:
        family = families.PROXY_KEPT if kept else families.PROXY_OPENED
        self.metrics.count(family, PROXY, self.name, self._protocol)

    def _failed(self) -> None:
        self.health.failed(monotonic())
        self.probe.start(self.exchange)

    def _sick(self) -> None:
        self.metrics.count(families.PROXY_CHECK_FAILURES, PROXY, self.name)

    def close(self) -> None:
        self.probe.close()
        self.streams.close()


class Pool:
    """The upstreams of one ``forward``."""

    def __init__(self, options: Options, metrics: Metrics) -> None:
        self.options, self.metrics = options, metrics
        self.upstreams: list[Upstream] = []
        self.in_flight: dict[object, asyncio.Task[Response]] = {}
        self._turn = 0

    async def ask(self, query: Query) -> Response:
        """The reply of one of the upstreams. Raises ``UpstreamError``, ``OverloadError`` at once.

        May be called outside of a task: the waiting is done in one.
        """
        key = _identity(query)
        running = self.in_flight.get(key)
        if running is None:
            running = self._start(key, query)
        # Others may wait for the same: who gives up leaves it running.
        return await asyncio.shield(running)

    def _start(self, key: object, query: Query) -> asyncio.Task[Response]:
        most = self.options.max_concurrent or MAX_IN_FLIGHT
        if len(self.in_flight) >= most:
            self.metrics.count(families.FORWARD_REJECTS)
            raise OverloadError(f"concurrent queries exceeded maximum {most}")
        task = asyncio.ensure_future(self._ask(query))
        self.in_flight[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: object, task: asyncio.Task[Response]) -> None:
        del self.in_flight[key]
        if not task.cancelled():
            task.exception()  # taken note of, also where nobody waits any more

    async def _ask(self, query: Query) -> Response:
        try:
            async with asyncio.timeout(DEADLINE):
                return await _Race(self, query, self.order()).run()
        except TimeoutError:
            raise UpstreamError(f"no upstream replied in {DEADLINE:g}s") from None

    def order(self) -> list[Upstream]:
        """Who is to be asked, first to last. Raises ``UpstreamError`` when nobody is."""
        now, upstreams = monotonic(), self._by_policy()
        if not upstreams:
            raise UpstreamError("every upstream leads back here")
        up = [u for u in upstreams if not u.health.is_down(self.options.max_fails)]
        if not up:
            self.metrics.count(families.FORWARD_BROKEN)
            if self.options.failfast:
                raise UpstreamError("no healthy upstream")
            # Then the checks must be mistaken: ask anyone, as CoreDNS does.
            return random.sample(upstreams, len(upstreams))
        return sorted(up, key=lambda upstream: upstream.health.is_suspect(now))

    def _by_policy(self) -> list[Upstream]:
        upstreams = self.upstreams
        if len(upstreams) < 2 or self.options.policy == "sequential":
            return upstreams
        if self.options.policy == "random":
            return random.sample(upstreams, len(upstreams))
        self._turn = (self._turn + 1) % len(upstreams)
        return upstreams[self._turn :] + upstreams[: self._turn]

    def add(self, targets: Iterable[Target], tls: ssl.SSLContext | None = None) -> None:
        """Ask these as well; ``tls`` is for those that want it."""
        self.upstreams += [Upstream(each, self.options, tls, self.metrics) for each in targets]

    def remove(self, upstream: Upstream) -> None:
        """Never ask this one again."""
        self.upstreams = [other for other in self.upstreams if other is not upstream]
        upstream.close()

    async def run(self) -> None:
        """Close connections that are no longer used, until cancelled; then all of them."""
        try:
            while True:
                await asyncio.sleep(max(self.options.limits.expire, 1.0))
                for upstream in self.upstreams:
                    upstream.streams.sweep()
        finally:
            self.close()

    def close(self) -> None:
        """End everything that runs by itself. Questions under way are answered still."""
        for upstream in self.upstreams:
            upstream.close()


def _identity(query: Query) -> object:
    """What makes two questions the same to an upstream."""
    flags = query.flags & (Flag.RD | Flag.CD)
    dnssec_ok = query.edns.dnssec_ok if query.edns else None
    return (query.name, query.qtype, query.qclass, flags, dnssec_ok, passed_options(query))


class _Race:
    """One question, asked of one upstream after the other until there is an answer."""

    def __init__(self, pool: Pool, query: Query, order: list[Upstream]) -> None:
        self.pool, self.query, self.order = pool, query, order
        attempts = pool.options.max_connect_attempts
        if attempts is None:
            attempts = ATTEMPTS_EACH * len(order)
        self.next: Iterator[Upstream] = islice(cycle(order), attempts or None)
        self.running: set[asyncio.Task[Response]] = set()
        self.refused: Response | None = None
        """The last reply with an rcode to fail over at."""
        self.failovers = 0
        self.error = UpstreamError("no upstream was asked")

    async def run(self) -> Response:
        try:
            self._start()
            patience = self._patience()
            while self.running:
                done, _ = await asyncio.wait(
                    self.running, timeout=patience, return_when=asyncio.FIRST_COMPLETED
                )
                patience = None
                if not done:
                    self.pool.metrics.count(families.FORWARD_HEDGED)
                    self._start()
                for task in done:
                    if (response := self._take(task)) is not None:
                        return response
        finally:
            for task in self.running:
                task.cancel()
        if self.refused is not None:
            return self.refused
        raise self.error

    def _start(self) -> None:
        upstream = next(self.next, None)
        if upstream is not None:
            self.running.add(asyncio.ensure_future(upstream.ask(self.query)))

    def _patience(self) -> float | None:
        """Seconds after which a second upstream is asked too, if there is one to be trusted."""
        usual = self.order[0].health.latency.usual
        if usual is None or len(self.order) < 2 or self.order[1].health.is_suspect(monotonic()):
            return None
        return max(usual, HEDGE_FLOOR)

    def _take(self, task: asyncio.Task[Response]) -> Response | None:
        """The answer, if this is it; else the next upstream has been asked."""
        self.running.discard(task)
        try:
            response = task.result()
        except UpstreamError as error:
            self.error = error
        else:
            self.failovers += 1
            last = self.failovers == len(self.order)
            if response.rcode not in self.pool.options.failover or last:
                return response
            self.refused = response
        if not self.running:
            self._start()
        return None
