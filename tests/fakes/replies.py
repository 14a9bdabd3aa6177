"""Replies as listeners get them: cached ones, and ones that are not there yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import cycle
from math import inf
from time import monotonic

from kdns.answers.repeats import Repeats
from kdns.answers.reply_cache import ReplyCache
from kdns.answers.responder import Responder
from kdns.metrics.meters import Meter, QueryClass
from kdns.wire.message import PendingReply, Transport


def repeats(*, is_stream: bool = False) -> Repeats:
    """With nothing in it."""
    return Repeats(ReplyCache(), ("tcp" if is_stream else "udp", "1"), is_stream=is_stream)


def cached(known: Repeats, request: bytes, *bodies: bytes) -> QueryClass:
    """Have the bodies sent in turn for a request (both without IDs); returns what counts its hits."""
    meter = Meter("dns://:53", ".")
    use = meter.classify(known.origin, ("A", "NOERROR", "", False), len(request), len(bodies[0]))
    known.entries[request] = cycle(bodies).__next__, use, inf
    return use


class Address:
    """A responder with its reply cache, queried as its listeners do."""

    def __init__(self, responder: Responder) -> None:
        self.responder = responder
        self.cache = responder.cache = ReplyCache()
        self.listeners: dict[Transport, Repeats] = {
            "udp": Repeats(self.cache, ("udp", "1")),
            "tcp": Repeats(self.cache, ("tcp", "1"), is_stream=True),
        }

    def hit(
        self, data: bytes, transport: Transport = "udp", client: str = "192.0.2.1"
    ) -> bytes | None:
        """The cached reply."""
        listener = self.listeners[transport]
        repeated = listener.entries.get(data[2:])
        if repeated is not None and repeated[2] > monotonic():
            next_body, use, _ = repeated
            use.hits += 1
            return data[:2] + next_body()
        body = listener.find(data[2:], lambda _: client)
        return None if body is None else data[:2] + body

    def ask(self, data: bytes, transport: Transport = "udp", client: str = "192.0.2.1") -> bytes:
        """The reply, cached or not, which must not take waiting."""
        reply = self.hit(data, transport, client)
        if reply is None:
            made = self.responder.respond(data, client, 5353, transport, "127.0.0.1")
            assert isinstance(made, bytes)
            return made
        return reply


class Pending:
    """A reply that a coroutine makes."""

    def __init__(self, work: Coroutine[object, object, bytes | None]) -> None:
        self.task = asyncio.ensure_future(work)

    def on_done(self, callback: Callable[[PendingReply, bytes | None], None]) -> None:
        def done(task: asyncio.Future[bytes | None]) -> None:
            if not task.cancelled():
                callback(self, task.result())

        self.task.add_done_callback(done)

    def close(self) -> None:
        self.task.cancel()
