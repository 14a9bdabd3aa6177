"""How current an answer from a cluster's objects is: what is said of that, how long it may be kept."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import Final

from kdns.status import SourceStatus
from kdns.wire.constants import ErrorCode
from kdns.wire.message import FOREVER, ExtendedError, Query, Record
from kdns.wire.reasons import because

STALE_AFTER: Final = 5.0
"""Seconds without a connection before answers are called stale: a watch that is taken up again at
once is nothing that an asker should hear about."""

STALE_KEPT: Final = 1.0
"""Seconds that an answer is kept which says that it is stale."""


def staleness(query: Query, status: SourceStatus, now: float) -> tuple[ExtendedError, ...]:
    """RFC 8914 section 4.4, with the moment and not the age: a kept answer stays true."""
    if not query.wants_reason:
        return ()
    age = status.age(now)
    if age < STALE_AFTER:
        return ()
    what = "not reached, this is the snapshot of" if status.restored else "not reachable since"
    since = datetime.fromtimestamp(now - age, UTC)
    text = f"{status.name} {what} {since:%Y-%m-%dT%H:%M:%SZ}"
    return because(query, ErrorCode.STALE_ANSWER, text)


def keep_until(status: SourceStatus, *, stale: bool) -> float:
    """One that is called stale is not kept for ever: the API server's return changes no object."""
    if not status.synced:
        return 0.0
    return monotonic() + STALE_KEPT if stale else FOREVER


def serial_until(soa: Record) -> float:
    """Monotonic time until which a negative answer is cached that shows ``soa``.

    Its serial moves with every change in the cluster, and to drop all negative answers each time would
    cost more than it is worth: a resolver shows the serial for the negative TTL too (RFC 2308 section 5),
    as does CoreDNS's ``cache``. So the serial lags by that at most, or by a second, which is its unit.
    """
    return monotonic() + max(soa.ttl, 1)


def not_synced(query: Query, status: SourceStatus) -> tuple[ExtendedError, ...]:
    """Why nothing is denied yet (RFC 8914 section 4.15)."""
    return because(query, ErrorCode.NOT_READY, f"not synced yet: {status.problem}")
