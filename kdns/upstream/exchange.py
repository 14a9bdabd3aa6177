"""One query to the upstreams of a pool, and the clients that wait for its reply.

The next upstream is tried when one fails, when its rcode is one to fail over at, or when it takes longer
than it usually does: a hedge, and the first reply counts. All of this happens in callbacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from math import inf
from time import monotonic
from typing import Final, TypeAlias

from kdns.metrics import Metrics, families
from kdns.upstream.deadlines import in_portions
from kdns.upstream.errors import UpstreamError
from kdns.upstream.upstream import Attempt, Options, Outcome, Request, Upstream
from kdns.wire.responses import Response

DEADLINE: Final = 5.0
"""Seconds that a query may take over all upstreams; CoreDNS's."""

ATTEMPTS_EACH: Final = 2
"""Attempts at one query, for each upstream; CoreDNS's."""

PAUSE: Final = 0.05
"""Seconds between further rounds of attempts (``max_connect_attempts``), which may fail at once each time."""

HEDGE_FLOOR: Final = 0.005
"""Seconds that an upstream is given at the least before another one is tried too."""

Result: TypeAlias = Response | str
"""A reply, or why there is none."""


class Exchange:
    """A request, tried at one upstream after the other until there is an answer."""

    __slots__ = (
        *("_attempts", "_ended", "_failovers", "_made", "_pause", "_refused", "_round"),
        *("error", "metrics", "options", "order", "request", "running", "waiters"),
    )

    def __init__(
        self,
        request: Request,
        order: list[Upstream],
        options: Options,
        metrics: Metrics,
        ended: Callable[[Exchange], None],
    ) -> None:
        self.request, self.order, self.options, self.metrics = request, order, options, metrics
        self._ended = ended
        self.waiters: list[asyncio.Future[Result]] = []
        self.running: list[Attempt] = []
        self._attempts = self._most()
        self._made = 0
        self._round = ATTEMPTS_EACH * len(order)
        """Attempts that may be made before the next pause."""
        self._pause: asyncio.TimerHandle | None = None
        self._refused: Response | None = None
        """The last reply with an rcode to fail over at."""
        self._failovers = 0
        self.error = ""
        """Why the last attempt failed."""

    def _most(self) -> float:
        if self.order[0].health.is_down(self.options.max_fails):
            return 1  # all of them are: it is for the checks to find out when that ends
        attempts = self.options.max_connect_attempts
        if attempts is None:
            return ATTEMPTS_EACH * len(self.order)
        return attempts or inf

    async def wait(self) -> Response:
        """The answer; the first one to wait starts the exchange. Raises ``UpstreamError``.

        May be awaited outside of a task.
        """
        waiter: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        if not self._made:
            self.advance()
        try:
            result = await waiter
        except BaseException:  # cancelled, or closed
            self._leave(waiter)
            raise
        if isinstance(result, str):
            raise UpstreamError(result)
        return result

    def _leave(self, waiter: asyncio.Future[Result]) -> None:
        """A client has gone: the others still wait, and without any the exchange has no purpose."""
        if waiter in self.waiters:
            self.waiters.remove(waiter)
            if not self.waiters:
                self._finish(self.error)

    def patience(self) -> float | None:
        """Seconds after which a second upstream is tried too, if there is one to be trusted."""
        if len(self.order) < 2:
            return None
        usual = self.order[0].health.latency.usual
        if usual is None or self.order[1].health.is_suspect(monotonic()):
            return None
        return max(usual, HEDGE_FLOOR)

    def hedge(self) -> None:
        """The first upstream is slower than usual."""
        if self._made == 1 < self._attempts:
            self.metrics.count(families.FORWARD_HEDGED)
            self.advance()

    def advance(self) -> None:
        """Start the next attempt; without any left, end once none is running."""
        while self._made < self._attempts:
            if self._made >= self._round:
                self._pause = asyncio.get_running_loop().call_later(PAUSE, self._resume)
                return
            upstream = self.order[self._made % len(self.order)]
            self._made += 1
            try:
                self.running.append(upstream.start(self.request, self._attempted))
            except UpstreamError as error:
                self.error = str(upstream.note_failure(self.request, error))
            else:
                return
        if not self.running:
            self._finish(self._refused or self.error)

    def _resume(self) -> None:
        self._pause = None
        self._round += len(self.order)
        self.advance()

    def _attempted(self, attempt: Attempt, outcome: Outcome) -> None:
        self.running.remove(attempt)
        outcome = attempt.upstream.note(attempt, outcome)
        if isinstance(outcome, UpstreamError):
            self.error = str(outcome)
        elif self._is_answer(outcome):
            self._finish(outcome)
            return
        if not self.running and not self._pause:
            self.advance()

    def _is_answer(self, response: Response) -> bool:
        """Whether the rcode is none to fail over at, or no upstream is left to fail over to."""
        self._failovers += 1
        if response.rcode not in self.options.failover or self._failovers == len(self.order):
            return True
        self._refused = response
        return False

    def expire(self) -> None:
        """No upstream has answered in time."""
        self._finish(
            self._refused or self.error or f"no upstream replied in {DEADLINE:g}s: i/o timeout"
        )

    def _finish(self, result: Result) -> None:
        for attempt in self.running:
            attempt.upstream.note_loser(attempt)
        self.running.clear()
        if self._pause is not None:
            self._pause.cancel()
        self._ended(self)
        waiters, self.waiters = self.waiters, []
        in_portions(waiters, partial(_notify, result))


def _notify(result: Result, waiter: asyncio.Future[Result]) -> None:
    if not waiter.done():
        waiter.set_result(result)
