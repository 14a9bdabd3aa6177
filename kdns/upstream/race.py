"""When the next upstream is asked.

That is when one fails, when its rcode is one to fail over at, or when it takes longer than it usually
does: a hedge, and the first reply counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle, islice
from time import monotonic
from typing import Final

from kdns.metrics import Metrics, families
from kdns.upstream.client import UpstreamError
from kdns.upstream.upstream import Options, Upstream
from kdns.wire.message import Query
from kdns.wire.responses import Response

ATTEMPTS_EACH: Final = 2
"""Attempts at one question, for each upstream; CoreDNS's."""

HEDGE_FLOOR: Final = 0.005
"""Seconds that an upstream is given at the least before another one is asked too."""


class Race:
    """One question, asked of one upstream after the other until there is an answer."""

    def __init__(
        self, query: Query, order: list[Upstream], options: Options, metrics: Metrics
    ) -> None:
        self.query, self.order = query, order
        self.options, self.metrics = options, metrics
        attempts = options.max_connect_attempts
        if attempts is None:
            attempts = ATTEMPTS_EACH * len(order)
        if order[0].health.is_down(options.max_fails):
            attempts = 1  # all of them are: it is for the checks to find out when that ends
        self.next: Iterator[Upstream] = islice(cycle(order), attempts or None)
        self.running: set[asyncio.Task[Response]] = set()
        self.refused: Response | None = None
        """The last reply with an rcode to fail over at."""
        self.failovers = 0
        self.error = "no upstream was asked"
        """Words, for an exception that is kept keeps all that it came through."""

    async def run(self) -> Response:
        """The first answer. Raises ``UpstreamError`` when all attempts failed."""
        patience = self._patience()
        response = await (self._alone() if patience is None else self._hedged(patience))
        if response is not None:
            return response
        if self.refused is not None:
            return self.refused
        raise UpstreamError(self.error)

    async def _alone(self) -> Response | None:
        """One attempt after the other, which needs no tasks."""
        for upstream in self.next:
            try:
                response = self._judged(await upstream.ask(self.query))
            except UpstreamError as error:
                self.error = str(error)
            else:
                if response is not None:
                    return response
        return None

    async def _hedged(self, patience: float | None) -> Response | None:
        """The same, with a second one beside the first if that takes longer than usual."""
        try:
            self._start()
            while self.running:
                done, _ = await asyncio.wait(
                    self.running, timeout=patience, return_when=asyncio.FIRST_COMPLETED
                )
                patience = None
                if not done:
                    self.metrics.count(families.FORWARD_HEDGED)
                    self._start()
                for task in done:
                    if (response := self._take(task)) is not None:
                        return response
        finally:
            for task in self.running:
                task.cancel()
        return None

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
            response = self._judged(task.result())
        except UpstreamError as error:
            self.error, response = str(error), None
        if response is None and not self.running:
            self._start()
        return response

    def _judged(self, response: Response) -> Response | None:
        """The reply, unless its rcode is one to fail over at."""
        self.failovers += 1
        last = self.failovers == len(self.order)
        if response.rcode not in self.options.failover or last:
            return response
        self.refused = response
        return None
