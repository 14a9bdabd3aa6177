"""Supervision of what runs as long as the server does: whatever it raises is reported, and it is restarted.

Every feed (API server, manifests, zone and text files, certificates, snapshots, secondaries, health checks)
runs through ``supervise``. A feed handles the failures that it knows by itself; here is what nobody expected.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable
from time import monotonic
from typing import Final, Protocol

from kdns.status import ResourceStatus, SourceStatus

logger: Final = logging.getLogger("kdns.supervisor")

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0
"""Seconds before a restart; doubled with each failure in a row."""

SETTLED: Final = 3.0
"""Seconds after which a restarted feed counts as running, or twice as long as it ran before it failed."""

RECURRING: Final = 300.0
"""A failure after so many seconds is a new one, not the one before again."""


class Feed(Protocol):
    """What is supervised."""

    @property
    def name(self) -> str:
        """For people, such as ``hosts /etc/hosts``."""

    async def run(self) -> None:
        """Run until cancelled. Called again after a failure; a return ends the supervision."""

    def failed(self, problem: str) -> None:
        """Record that ``run`` raised and is going to be called again."""

    def settled(self) -> None:
        """Record that it has been running well for a while after a failure."""


class Service:
    """A feed without a state of its own: a coroutine function, and the status that shows its failures."""

    def __init__(
        self, name: str, run: Callable[[], Coroutine[None, None, object]], kind: str = "service"
    ) -> None:
        """``name`` begins with the directive that is not ready while it fails; ``kind`` is a label."""
        self.status = SourceStatus(name, {kind: ResourceStatus(synced=True)})
        self._run = run

    @property
    def name(self) -> str:
        return self.status.name

    async def run(self) -> None:
        await self._run()

    def failed(self, problem: str) -> None:
        self.status.failed(problem)

    def settled(self) -> None:
        self.status.settled()


async def supervise(feed: Feed) -> None:
    """Run a feed until it returns or this is cancelled; restart it with backoff whenever it raises."""
    record = _Record(feed)
    while True:
        record.started()
        try:
            await feed.run()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            pause = record.failure(error)  # a library's own, not for us
        except Exception as error:
            pause = record.failure(error)
        else:
            return
        finally:
            record.ended()
        await asyncio.sleep(pause)


class _Record:
    """The failures in a row of one feed, and what was logged of them."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._failures = 0
        self._logged = ""
        self._since = self._settling = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def started(self) -> None:
        self._since = monotonic()
        if self._failures:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._settling, self._settled)

    def ended(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def failure(self, error: BaseException) -> float:
        """Report it, with the traceback where it is another one than before; seconds to wait."""
        problem = f"{type(error).__name__}: {error}"
        if problem != self._logged:
            self._logged = problem
            logger.error("%s failed, restarting: %s", self._feed.name, problem, exc_info=error)
        self._feed.failed(f"internal error: {problem}")
        ran = monotonic() - self._since
        self._settling = max(SETTLED, 2 * ran) if ran < RECURRING else SETTLED
        pause = FIRST_PAUSE * 2.0 ** min(self._failures, 20)
        self._failures += 1
        return min(pause, LONGEST_PAUSE) * random.uniform(0.5, 1.0)

    def _settled(self) -> None:
        logger.info("%s is running again after %d failures", self._feed.name, self._failures)
        self._failures, self._logged = 0, ""
        self._feed.settled()


def call_all(observers: Iterable[Callable[[], object]]) -> None:
    """Call each, whatever the ones before raised; then raise that: no observer misses what another does."""
    errors: list[Exception] = []
    for observer in observers:
        try:
            observer()
        except Exception as error:
            errors.append(error)
    if len(errors) > 1:
        raise ExceptionGroup("several observers failed", errors)
    if errors:
        raise errors[0]
