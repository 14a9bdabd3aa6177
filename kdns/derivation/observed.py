"""Questions as they are seen while somebody watches: collected, delivered several times a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter, time
from typing import Final

from kdns.answers.repeats import Repeats
from kdns.derivation.messages import Batch, Seen
from kdns.wire.message import PendingReply, Reply, Respond, Transport

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

    def respond(self, respond: Respond, repeats: Mapping[Transport, Repeats]) -> Respond:
        """``respond``, or the reply from the cache, which is covered; each query is seen."""

        def observed(
            data: bytes, client: str, port: int, transport: Transport, local: str
        ) -> Reply:
            started, now = perf_counter(), time()
            body = repeats[transport].find(data[2:], lambda _: client, uncovered=True)
            origin = client, port, transport
            reply = respond(data, *origin, local) if body is None else data[:2] + body
            seen = Seen(now, *origin, data, b"", 0, body is not None)
            if reply is not None and not isinstance(reply, bytes):
                return _Later(self, seen, reply)
            seen.reply, seen.seconds = _octets(reply), perf_counter() - started
            self.see(seen)
            return reply

        return observed

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

    def __init__(self, tap: Tap, seen: Seen, reply: PendingReply) -> None:
        self._tap, self._seen, self._pending = tap, seen, reply
        self._started = perf_counter()

    def on_done(self, callback: Callable[[PendingReply, bytes | None], None]) -> None:
        def done(_: PendingReply, reply: bytes | None) -> None:
            self._seen.reply, self._seen.seconds = _octets(reply), perf_counter() - self._started
            self._tap.see(self._seen)
            callback(self, reply)

        self._pending.on_done(done)

    def close(self) -> None:
        self._pending.close()


def _octets(reply: bytes | None) -> bytes:
    """Of a zone transfer its first message alone."""
    return bytes(reply or b"")
