"""Several upstreams as one: in which order they are tried, and one exchange for equal queries.

The order is the policy's, without those that are down and with suspects last; ``exchange`` has when the next
one is tried.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import Iterable
from time import monotonic
from typing import Final

from kdns.metrics import Metrics, families
from kdns.upstream.client import Target
from kdns.upstream.deadlines import Deadlines
from kdns.upstream.errors import UpstreamError
from kdns.upstream.exchange import DEADLINE, Exchange
from kdns.upstream.sockets import MAX_AGE
from kdns.upstream.upstream import Options, Request, Upstream
from kdns.wire.message import Query
from kdns.wire.requests import without_options
from kdns.wire.responses import Response

MAX_IN_FLIGHT: Final = 4096
"""Exchanges at one time without ``max_concurrent``: memory and sockets must not grow with what arrives."""

MAX_VARIANTS: Final = 8
"""Exchanges at one time for a question with EDNS options that differ. Further ones are sent without the
options: then at most twelve can differ, by RD, CD, DO and the presence of EDNS."""


class OverloadError(UpstreamError):
    """More exchanges are under way than may be."""


class Pool:
    """The upstreams of one ``forward``."""

    def __init__(self, options: Options, metrics: Metrics) -> None:
        self.options, self.metrics = options, metrics
        self.upstreams: list[Upstream] = []
        self.in_flight: dict[bytes, Exchange] = {}
        """Exchanges by the request's octets."""
        self._variants: Counter[bytes] = Counter()
        """Exchanges with EDNS options, by question."""
        self._deadlines: Deadlines[Exchange] = Deadlines(Exchange.expire)
        self._hedges: Deadlines[Exchange] = Deadlines(Exchange.hedge)
        self._turn = 0

    async def ask(self, query: Query) -> Response:
        """The reply of one of the upstreams. May be awaited outside of a task.

        Raises ``UpstreamError``, ``OverloadError`` at once.
        """
        request = Request(query)
        exchange = self.in_flight.get(request.body)
        if exchange is None:
            exchange = self._open(request)
        return await exchange.wait()

    def _open(self, request: Request) -> Exchange:
        """A new exchange, or one that runs where too many for the same question would differ by options."""
        if request.has_options and self._variants[request.question] >= MAX_VARIANTS:
            request = Request(without_options(request.query))
            if (exchange := self.in_flight.get(request.body)) is not None:
                return exchange
        most = self.options.max_concurrent or MAX_IN_FLIGHT
        if len(self.in_flight) >= most:
            self.metrics.count(families.FORWARD_REJECTS)
            raise OverloadError(f"concurrent queries exceeded maximum {most}")
        exchange = Exchange(request, self.order(), self.options, self.metrics, self._ended)
        self.in_flight[request.body] = exchange
        if request.has_options:
            self._variants[request.question] += 1
        now, patience = monotonic(), exchange.patience()
        self._deadlines.add(exchange, now + DEADLINE)
        if patience is not None:
            self._hedges.add(exchange, now + patience)
        return exchange

    def _ended(self, exchange: Exchange) -> None:
        self._deadlines.discard(exchange)
        self._hedges.discard(exchange)
        request = exchange.request
        del self.in_flight[request.body]
        if request.has_options:
            self._variants[request.question] -= 1
            if not self._variants[request.question]:
                del self._variants[request.question]

    def order(self) -> list[Upstream]:
        """The upstreams to try, first to last. Raises ``UpstreamError`` when there is none."""
        upstreams = self.upstreams
        if len(upstreams) == 1 and not upstreams[0].health.is_down(self.options.max_fails):
            return upstreams
        now, upstreams = monotonic(), self._by_policy()
        if not upstreams:
            raise UpstreamError("every upstream leads back here")
        up = [u for u in upstreams if not u.health.is_down(self.options.max_fails)]
        if not up:
            self.metrics.count(families.FORWARD_BROKEN)
            if self.options.failfast:
                raise UpstreamError("every upstream is down: no healthy proxies")
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
        """Add upstreams; ``tls`` is for those that want it."""
        self.upstreams = self.upstreams + [
            Upstream(each, self.options, tls, self.metrics) for each in targets
        ]

    def remove(self, upstream: Upstream) -> None:
        """Do not use this one any more."""
        self.upstreams = [other for other in self.upstreams if other is not upstream]
        upstream.close()

    async def run(self) -> None:
        """Close connections and sockets that are not used any more, until cancelled; then all of them."""
        try:
            while True:
                await asyncio.sleep(max(min(self.options.limits.expire, MAX_AGE), 1.0))
                for upstream in self.upstreams:
                    upstream.sweep()
        except asyncio.CancelledError:  # after any other end it is run again
            self.close()
            raise

    def close(self) -> None:
        """End everything that runs by itself. Exchanges under way go on."""
        for upstream in self.upstreams:
            upstream.close()
