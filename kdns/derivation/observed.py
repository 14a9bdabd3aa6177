"""Questions as they are seen while somebody watches: collected, delivered several times a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from time import perf_counter, time
from typing import Final

from kdns.derivation.messages import Batch, Seen
from kdns.packet_cache import PacketCache
from kdns.wire.message import Reply, Respond, Transport

MAX_WAITING: Final = 8192
"""Questions kept for the watchers between two deliveries; further ones are counted and not told."""

MAX_OCTETS: Final = 8 * 1024 * 1024
"""Likewise, of their requests and replies: over TCP each may have 64 KiB."""

DELIVERY: Final = 0.1
"""Seconds between two deliveries."""


class Tap:
    """Collects what is seen and delivers it, several times a second."""

    def __init__(self, deliver: Callable[[Batch], None], describe: Callable[[Batch], None]) -> None:
        self._deliver, self._describe = deliver, describe
        self._seen: list[Seen] = []
        self._missed = self._octets = 0
        self._timer: asyncio.TimerHandle | None = None

    def respond(self, respond: Respond, caches: Mapping[Transport, PacketCache]) -> Respond:
        """``respond`` with what is kept in the caches, which are covered; each question is seen."""

        def watched(data: bytes, client: str, port: int, transport: Transport) -> Reply:
            started, now = perf_counter(), time()
            cache = caches[transport]
            entry = cache.find(data[2:])
            if entry is None:
                reply = respond(data, client, port, transport)
            else:
                cache.misses -= 1  # the listener found nothing, since what is kept is covered
                entry.hits += 1
                reply = data[:2] + entry.next_body()
            if reply is not None and not isinstance(reply, bytes):
                return _Later(self, Seen(now, client, port, transport, data, b"", 0, False), reply)
            seconds = perf_counter() - started
            kept = entry is not None
            self.see(Seen(now, client, port, transport, data, _octets(reply), seconds, kept))
            return reply

        return watched

    def see(self, seen: Seen) -> None:
        if len(self._seen) >= MAX_WAITING or self._octets > MAX_OCTETS:
            self._missed += 1
            return
        self._octets += len(seen.request) + len(seen.reply)
        self._seen.append(seen)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELIVERY, self._flush)

    def _flush(self) -> None:
        self._timer = None
        seen, self._seen = self._seen, []
        missed, self._missed = self._missed, 0
        self._octets = 0
        batch = Batch(seen, missed)
        self._describe(batch)
        self._deliver(batch)

    def close(self) -> None:
        """See nothing any more."""
        if self._timer is not None:
            self._timer.cancel()


class _Later:
    """A reply that takes waiting, seen when it is there."""

    def __init__(self, tap: Tap, seen: Seen, reply: Awaitable[bytes | None]) -> None:
        self._tap, self._seen, self._reply = tap, seen, reply
        self._started = perf_counter()

    def __await__(self) -> Generator[object, None, bytes | None]:
        reply = yield from self._reply.__await__()
        self._seen.reply, self._seen.seconds = _octets(reply), perf_counter() - self._started
        self._tap.see(self._seen)
        return reply

    def close(self) -> None:
        """Nobody is going to wait for it."""
        close = getattr(self._reply, "close", None)
        if close is not None:
            close()


def _octets(reply: bytes | None) -> bytes:
    """Of a zone transfer its first message alone."""
    return bytes(reply or b"")
