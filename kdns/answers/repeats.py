"""Replies that are finished: most of what stub resolvers send are requests whose octets repeat."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time
from typing import Final, TypeAlias

from kdns.answers.entry import Entry
from kdns.answers.reply_cache import Meaning, ReplyCache
from kdns.answers.seen_before import SeenBefore
from kdns.metrics.meters import Origin, QueryClass
from kdns.wire import cookies
from kdns.wire.layouts import MAX_MESSAGE

REPEAT_OCTETS: Final = 400
"""What a finished reply takes besides its octets."""

LASTING: Final = 2.0
"""Seconds that a reply must be good for to be finished for requests that repeat."""

MAX_REPEATS: Final = 32
"""Finished replies of one entry: as many as there are kinds of stub resolvers, not as many spellings."""

SAMPLED: Final = 0x7F
"""Of the hits that are counted together, every 128th is timed: two clock readings cost a third of a hit."""

Host: TypeAlias = Callable[[int], str]
"""Gives the address of a client by its number in a batch."""

Repeated: TypeAlias = tuple[Callable[[], bytes], QueryClass, float]


class Repeats:
    """Finished replies of one listener to requests whose octets repeat.

    The listener looks requests without their IDs up in ``entries``. For a hit it calls the first of the
    three for the reply without its ID, and counts in the second; the third is the monotonic time until
    which it is one. What is not there it looks up by ``find``, which counts by itself.
    """

    def __init__(self, cache: ReplyCache, origin: Origin, *, is_stream: bool = False) -> None:
        self.cache, self.origin, self.is_stream = cache, origin, is_stream
        self.number = len(cache.listeners)
        cache.listeners.append(self)
        self.entries: dict[bytes, Repeated] = {}
        self.misses = 0
        self._seen = SeenBefore()

    def find(
        self, request: bytes, host: Host, at: int = 0, *, uncovered: bool = False
    ) -> bytes | None:
        """The reply without its ID to a request without its ID; None when it is not cached.

        ``host(at)`` gives the client's address, which only a cookie needs. ``uncovered`` looks also
        while the cache is covered.
        """
        cache = self.cache
        if cache.is_covered and not uncovered:
            return None
        meant = cache.meaning(request)
        if meant is None:
            self.misses += 1
            cache.missed = request, None
            return None
        key, end, size, cookie = meant
        entry, now = cache.entries.get(key), monotonic()
        if entry is None or entry.until <= now:
            if cache.denials.entries and (body := self._denied(request, meant, host, at)):
                return body
            self.misses += 1
            cache.missed = request, meant
            return None
        question = request[10:end]
        if cookie:
            cookie = cookies.respond(cookie, host(at), time(), cache.secret)
        body = entry.reply(question, size, cookie, self)
        use = entry.use(len(request), len(body), self)
        use.hits += 1
        lasts = entry.until > now + LASTING
        if lasts and not (cookie or uncovered) and self._seen.note(request):
            self._repeat(request, entry, question, size, use)
        return body

    def _denied(self, request: bytes, meant: Meaning, host: Host, at: int) -> bytes | None:
        """The denial of a name that is queried for the first time; what comes again is worth an entry."""
        cache, (key, end, size, cookie) = self.cache, meant
        denial = cache.denials.find(key)
        if denial is None or cache.seen(key):
            return None
        label = key[11 : 11 + key[10]]
        encoded = denial.encoded(len(label))
        if cookie:
            cookie = cookies.respond(cookie, host(at), time(), cache.secret)
        size = encoded.limit(size)
        limit = MAX_MESSAGE if self.is_stream else size
        errors = denial.errors(label.decode("latin-1"))
        body = encoded.reply(request[10:end], limit, size, cookie, 0, errors)
        denial.count(self.origin, len(request) + 2, len(body) + 2)
        return body

    def _repeat(
        self, request: bytes, entry: Entry, question: bytes, size: int, use: QueryClass
    ) -> None:
        cache = self.cache
        if entry.repeats is None:
            entry.repeats = []
        if len(entry.repeats) >= MAX_REPEATS:
            return
        next_body, octets = entry.bodies(question, size, self)
        octets += REPEAT_OCTETS + len(request)
        if cache.octets + octets > cache.max_octets:
            return
        entry.octets += octets
        cache.octets += octets
        entry.repeats.append((self, request))
        self.entries[request] = next_body, use, entry.until
