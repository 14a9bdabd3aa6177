"""Several upstreams as one: in which order they are asked, and one exchange per question.

The order is the policy's, those that are down not at all and suspects last; ``race`` has when the next
one is asked. Questions that are the same share one exchange.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Iterable
from time import monotonic
from typing import Final, TypeAlias

from kdns.metrics import Metrics, families
from kdns.upstream.client import Target, UpstreamError
from kdns.upstream.deadlines import Deadlines
from kdns.upstream.race import Race
from kdns.upstream.upstream import Options, Upstream
from kdns.wire.constants import Flag
from kdns.wire.message import Query
from kdns.wire.requests import passed_options
from kdns.wire.responses import Response

DEADLINE: Final = 5.0
"""Seconds that a question may take over all upstreams; CoreDNS's."""

MAX_IN_FLIGHT: Final = 4096
"""Exchanges at one time without ``max_concurrent``: memory and sockets must not grow with what is asked."""


Outcome: TypeAlias = Response | str
"""A reply, or why there is none: an exception of a task would hold the frames that hold the task, garbage
that only a full collection finds, during which nothing is answered."""


class OverloadError(UpstreamError):
    """More questions are under way than may be."""


class Pool:
    """The upstreams of one ``forward``."""

    def __init__(self, options: Options, metrics: Metrics) -> None:
        self.options, self.metrics = options, metrics
        self.upstreams: list[Upstream] = []
        self.in_flight: dict[object, asyncio.Task[Outcome]] = {}
        self._deadlines = Deadlines(DEADLINE)
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
        outcome = await asyncio.shield(running)
        if isinstance(outcome, str):
            raise UpstreamError(outcome)
        return outcome

    def _start(self, key: object, query: Query) -> asyncio.Task[Outcome]:
        most = self.options.max_concurrent or MAX_IN_FLIGHT
        if len(self.in_flight) >= most:
            self.metrics.count(families.FORWARD_REJECTS)
            raise OverloadError(f"concurrent queries exceeded maximum {most}")
        task = asyncio.ensure_future(self._ask(query))
        self.in_flight[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: object, task: asyncio.Task[Outcome]) -> None:
        del self.in_flight[key]
        if not task.cancelled():
            task.exception()  # taken note of, also where nobody waits any more

    async def _ask(self, query: Query) -> Outcome:
        try:
            race = Race(query, self.order(), self.options, self.metrics)
            return await self._deadlines.within(race.run())
        except TimeoutError:
            return f"no upstream replied in {DEADLINE:g}s: i/o timeout"
        except UpstreamError as error:
            return str(error)

    def order(self) -> list[Upstream]:
        """Who is to be asked, first to last. Raises ``UpstreamError`` when nobody is."""
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
        except asyncio.CancelledError:  # after any other end it is run again
            self.close()
            raise

    def close(self) -> None:
        """End everything that runs by itself. Questions under way are answered still."""
        for upstream in self.upstreams:
            upstream.close()


def _identity(query: Query) -> object:
    """What makes two questions the same to an upstream."""
    flags = query.flags & (Flag.RD | Flag.CD)
    dnssec_ok = query.edns.dnssec_ok if query.edns else None
    return (query.name, query.qtype, query.qclass, flags, dnssec_ok, passed_options(query))
