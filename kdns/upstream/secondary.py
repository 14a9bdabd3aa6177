"""A zone that another server has, fetched and kept as its SOA says (RFC 1034 section 4.3.5)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from time import monotonic
from typing import Final

from kdns.config.addresses import Address
from kdns.records.zone import Zone, ZoneError
from kdns.upstream.client import ask
from kdns.upstream.errors import UpstreamError
from kdns.upstream.transfer import transfer
from kdns.wire.constants import Type, rcode_name
from kdns.wire.message import Query, Record
from kdns.wire.names import Name, to_text, to_wire
from kdns.wire.serials import is_newer, serial_of

logger: Final = logging.getLogger("kdns.secondary")

FIRST_RETRY: Final = 10.0
"""Seconds between two attempts while there are no data at all; the peer's."""

SHORTEST: Final = 1.0
"""Seconds between two looks at least, whatever the SOA says and however many notices come: their
senders' addresses can be forged."""

PATIENCE: Final = 5.0
"""Seconds for the question for the serial."""

WHOLE: Final = 600.0
"""Seconds for a transfer."""

_REFRESH_JITTER: Final = 5.0
_RETRY_JITTER: Final = 2.0


class Fetched:
    """``zone`` is what there is now; ``changed`` is called with the name after each change of it."""

    def __init__(
        self, origin: Name, primaries: tuple[Address, ...], changed: Callable[[Name], None]
    ) -> None:
        self.origin, self.primaries = origin, primaries
        self.zone: Zone | None = None
        self._changed = changed
        self._noticed = asyncio.Event()
        self._fresh_at = 0.0
        self._problem = ""

    def notify(self, client: str) -> bool:
        """Look at once; False from an address that is none of the primaries'."""
        if client not in {address.host for address in self.primaries}:
            return False
        self._noticed.set()
        return True

    async def run(self) -> None:
        """Fetch, and look again when it is time, until cancelled."""
        while True:
            self._noticed.clear()
            seconds = await self._look()
            await asyncio.sleep(SHORTEST)
            try:
                async with asyncio.timeout(max(seconds - SHORTEST, 0.0)):
                    await self._noticed.wait()
            except TimeoutError:
                pass

    async def _look(self) -> float:
        """Bring the zone up to date, and say after how many seconds to look again."""
        problems = []
        for primary in self.primaries:
            try:
                await self._refresh(primary)
            except (UpstreamError, ZoneError) as error:
                problems.append(f"{primary}: {error}")
            else:
                self._fresh_at = monotonic()
                self._say("")
                return self._timer(0) + random.uniform(0, _REFRESH_JITTER)
        self._say("; ".join(problems))
        if self.zone is None:
            return FIRST_RETRY
        if monotonic() - self._fresh_at > self._timer(2):
            logger.error("zone %s has expired: %s", to_text(self.origin), self._problem)
            self._take(None)
            return FIRST_RETRY
        return self._timer(1) + random.uniform(0, _RETRY_JITTER)

    def _timer(self, which: int) -> float:
        """Refresh, retry, expire: the SOA's seconds (RFC 1035 section 3.3.13)."""
        assert self.zone is not None
        at = -16 + 4 * which
        return float(int.from_bytes(self.zone.soa.rdata[at : at + 4]))

    def _say(self, problem: str) -> None:
        """Once per state, not per attempt."""
        if problem and problem != self._problem:
            logger.warning("zone %s is not fetched: %s", to_text(self.origin), problem)
        self._problem = problem

    async def _refresh(self, primary: Address) -> None:
        if self.zone is not None and not is_newer(await self._serial(primary), self.zone.serial):
            return
        try:
            async with asyncio.timeout(WHOLE):
                records = [record async for record in transfer(primary, to_wire(self.origin))]
        except TimeoutError:
            raise UpstreamError(f"the transfer was not over after {WHOLE:g} s") from None
        zone = await asyncio.to_thread(Zone.build, self.origin, records, str(primary))
        logger.info(
            "zone %s serial %d from %s: %d records",
            *(to_text(self.origin), zone.serial, primary, len(zone)),
        )
        self._take(zone)

    async def _serial(self, primary: Address) -> int:
        query = Query(to_wire(self.origin), self.origin, Type.SOA)
        try:
            async with asyncio.timeout(PATIENCE):
                response = await ask(primary, query)
        except TimeoutError:
            raise UpstreamError(f"nothing came for {PATIENCE:g} s") from None
        soas = [record for record in response.answer if _is_soa(record, self.origin)]
        if not soas:
            raise UpstreamError(f"no SOA in its answer ({rcode_name(response.rcode)})")
        return serial_of(soas[0])

    def _take(self, zone: Zone | None) -> None:
        self.zone = zone
        self._changed(self.origin)


def _is_soa(record: Record, origin: Name) -> bool:
    return record.rtype == Type.SOA and record.owner.lower() == to_wire(origin)
