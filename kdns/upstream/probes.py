"""Asking after the health of an upstream that failed, again and again until it replies.

Any reply is a sign of health, also REFUSED or SERVFAIL, as in CoreDNS.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from msgspec import Struct

from kdns.supervisor import Service, supervise
from kdns.upstream.errors import LocalError, UpstreamError
from kdns.upstream.health import Health
from kdns.wire.constants import Flag, Type
from kdns.wire.message import Query
from kdns.wire.names import from_wire
from kdns.wire.responses import Response

logger: Final = logging.getLogger("kdns.upstream")

TIMEOUT: Final = 1.0
"""Seconds that a health check may take."""

Ask = Callable[[Query], Awaitable[Response]]


class Check(Struct, frozen=True):
    """How an upstream's health is asked after: by the NS records of ``domain``."""

    interval: float = 0.5
    """Seconds between two."""
    recursion_desired: bool = True
    domain: bytes = b"\0"
    """In wire form."""

    def query(self) -> Query:
        flags = Flag.RD if self.recursion_desired else 0
        return Query(
            self.domain, from_wire(self.domain), Type.NS, flags=flags, transport="internal"
        )


class Probe:
    """The health checks of one upstream, running only while it is ill."""

    def __init__(
        self, name: str, health: Health, check: Check, max_fails: int, failed: Callable[[], None]
    ) -> None:
        self.name, self.health, self.check, self.max_fails = name, health, check, max_fails
        self._failed = failed
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def start(self, ask: Ask) -> None:
        """Check from now on, if that is not being done and is wanted at all (``max_fails``)."""
        if self._task is None and self.max_fails and not self._closed:
            checks = Service(f"health checks of {self.name}", partial(self._run, ask))
            self._task = asyncio.ensure_future(supervise(checks))
            self._task.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._task = None

    async def _run(self, ask: Ask) -> None:
        well = await self._once(ask)
        while not well:
            await asyncio.sleep(self.check.interval)
            well = await self._once(ask)

    async def _once(self, ask: Ask) -> bool:
        """Whether it is well again."""
        was_down = self.health.is_down(self.max_fails)
        try:
            async with asyncio.timeout(TIMEOUT):
                await ask(self.check.query())
        except LocalError:
            return False
        except (UpstreamError, TimeoutError) as error:
            self.health.failed_checks += 1
            self._failed()
            if self.health.is_down(self.max_fails) and not was_down:
                reason = str(error) or f"no reply in {TIMEOUT:g}s"
                logger.warning("upstream %s is down: %s", self.name, reason)
            return False
        self.health.replied()
        if was_down:
            logger.info("upstream %s is up again", self.name)
        return True

    def close(self) -> None:
        """Check no more."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
