"""Cache of encoded replies, by the meaning of the query and bounded in octets.

Two levels:

- ``ReplyCache`` has one entry for each question, with the few bits of the query that shape its answer.
  A client's letter case, EDNS size, cookie and transport are not among them: the reply is put together
  from the client's question section, the cached sections and a fresh OPT record. One cache serves all
  transports of an address.
- ``Repeats`` has finished replies to requests whose octets repeat, message ID apart: most of what stub
  resolvers send. It belongs to one listener, and what it has to entries of the first level.

An entry depends on the keys of its Answer and is removed the moment one of them changes; nothing here is
ever guessed to be fresh. Where an answer is good for a time only, that is on a monotonic clock.

Memory is bounded by ``MAX_OCTETS``. While little of it is in use every answer is cached; after that only
the answers to queries that came before, so that names which are queried once, however many, push nothing
out. The oldest entry without a hit since its last turn makes room (second chance).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import count, cycle, repeat
from time import monotonic, time
from typing import Final, TypeAlias

from kdns.answers.denials import Denials
from kdns.metrics.meters import Labels, Meter, Origin, QueryClass
from kdns.wire import cookies
from kdns.wire.constants import EdnsOption
from kdns.wire.encode import MAX_MESSAGE, Encoded
from kdns.wire.message import FOREVER, Key

MAX_OCTETS: Final = 32 * 1024 * 1024
"""Octets of all that is cached, with what Python needs for it."""

FREE_OCTETS: Final = MAX_OCTETS // 16
"""While no more are in use, every answer is cached."""

ENTRY_OCTETS: Final = 1500
"""What an entry takes besides its sections: its object, its counters, its places in the tables."""

KEY_OCTETS: Final = 350
"""What it takes for each key that it depends on."""

REPEAT_OCTETS: Final = 400
"""The same for a finished reply."""

MAX_REPEATS: Final = 32
"""Finished replies of one entry: as many as there are kinds of stub resolvers, not as many spellings."""

MAX_TURNS: Final = 8192
"""Octets of finished replies that are made beforehand where they rotate; else each is put together."""

MAX_CHANCES: Final = 16
"""Entries spared in one search for room, so that an insertion costs no more than this."""

MAX_UNLINKED: Final = 256
"""Removed entries that are taken out of all tables at a time: more would hold up the queries."""

MAX_USES: Final = 64
"""Combinations of message sizes that an entry counts its hits by; further ones are taken for the last."""

MAX_SHAPES: Final = 1024
"""OPT records without options whose meaning is remembered. There are few in practice."""

NOTED: Final = 1 << 18
"""Queries told apart by ``SeenBefore``, an octet each."""

REMEMBERED: Final = NOTED // 16
"""Queries it remembers: one that never came is taken for one of them in 3 of 100 cases on average."""

SAMPLED: Final = 0x7F
"""Of the hits that are counted together, every 128th is timed: two clock readings cost a third of a hit."""

_GONE: Final = -1.0
"""``Entry.until`` of one that was removed."""

Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
Sender: TypeAlias = Callable[[int], Address]

Meaning: TypeAlias = tuple[bytes, int, int, bytes]
Shape: TypeAlias = tuple[bytes, int, int]

_OPT_OCTETS: Final = 11
_SHAPE_OCTETS: Final = 15
"""Octets of an OPT record without options, and of one with the head of its first option."""
_COOKIE: Final = int(EdnsOption.COOKIE).to_bytes(2, "big")


class Entry:
    """The cached answer to one question."""

    __slots__ = (
        "client",
        "encodings",
        "is_refreshed",
        "key",
        "keys",
        "labels",
        "meter",
        "octets",
        "repeats",
        "replayed",
        "request",
        "seen",
        "turns",
        "until",
        "uses",
    )

    def __init__(
        self,
        request: bytes,
        encodings: list[Encoded],
        keys: frozenset[Key],
        meter: Meter,
        labels: Labels,
    ) -> None:
        self.request = request
        """One that it answers, without the message ID."""
        self.encodings, self.keys, self.meter, self.labels = encodings, keys, meter, labels
        self.key = b""
        self.until = FOREVER
        """Monotonic time until which it is good."""
        self.turns: Iterator[int] | None = None
        """Numbers the replies, where they differ in turn."""
        self.replayed: tuple[Callable[[int], None], ...] = ()
        """The counters of directives, called with numbers of hits."""
        self.client: str | None = None
        """A client that sent ``request``, where the answer may be refreshed before the next one does."""
        self.is_refreshed = False
        self.seen = 0
        self.repeats: list[tuple[Repeats, bytes]] = []
        """Finished replies made of it: the listener that has one, and the request."""
        self.uses: dict[tuple[int, int, int], QueryClass] = {}
        self.octets = ENTRY_OCTETS + KEY_OCTETS * len(keys) + 2 * len(request)
        self.octets += sum(len(each.sections) for each in encodings)

    def rotates(self) -> None:
        """Have the replies differ in turn: by the address that comes first, or by part."""
        self.turns = count(1)

    @property
    def hits(self) -> int:
        return sum([use.hits for use in self.uses.values()])

    def use(self, request_size: int, response_size: int, listener: Repeats) -> QueryClass:
        """The counters of hits of such messages; sizes in octets without their IDs."""
        key = (request_size, response_size, listener.number)
        found = self.uses.get(key)
        if found is None:
            if len(self.uses) >= MAX_USES:
                return next(reversed(self.uses.values()))
            sizes = request_size + 2, response_size + 2
            found = self.meter.classify(listener.origin, self.labels, *sizes)
            found.replayed = self.replayed
            self.uses[key] = found
        return found

    def reply(self, question: bytes, payload_size: int, cookie: bytes, listener: Repeats) -> bytes:
        """The next reply without its ID, to a client with this question section and EDNS size."""
        encoded, turn = self.encodings[0], 0
        if self.turns is not None:
            turn = next(self.turns)
            encoded = self.encodings[turn % len(self.encodings)]
        size = encoded.limit(payload_size)
        return encoded.reply(
            question, MAX_MESSAGE if listener.is_stream else size, size, cookie, turn
        )

    def bodies(
        self, question: bytes, payload_size: int, listener: Repeats
    ) -> tuple[Callable[[], bytes], int]:
        """Gives the replies to a request that repeats, one after the other; and octets taken by that."""
        make = partial(self.reply, question, payload_size, b"", listener)
        first = make()
        if self.turns is None:
            return repeat(first).__next__, len(first)
        run = self.encodings[0].run
        period = len(self.encodings) if run is None else run.count
        if (len(self.encodings) > 1 and run is not None) or period * len(first) > MAX_TURNS:
            return make, 0
        found = [first, *[make() for _ in range(period - 1)]]
        return cycle(found).__next__, period * len(first)


class SeenBefore:
    """Remembers roughly which queries came lately, in little and fixed memory.

    They are told apart by their hash (which nobody outside can foresee): two that fall together are
    taken for one, which admits one early.
    """

    def __init__(self) -> None:
        self._noted, self._count = bytearray(NOTED), 0

    def note(self, query: bytes) -> bool:
        """Whether it was noted before; from now on it is, until enough others were."""
        at = hash(query) % NOTED
        if self._noted[at]:
            return True
        self._noted[at] = 1
        self._count += 1
        if self._count > REMEMBERED:
            self._noted, self._count = bytearray(NOTED), 0
        return False


class ReplyCache:
    """The replies of one address, for all of its listeners."""

    def __init__(self, max_octets: int = MAX_OCTETS) -> None:
        self.max_octets = max_octets
        self.free_octets = max_octets // (MAX_OCTETS // FREE_OCTETS)
        self.octets = 0
        self.entries: dict[bytes, Entry] = {}
        self.listeners: list[Repeats] = []
        self.is_covered = False
        """Whether listeners are to find nothing (see ``cover``)."""
        self.drops = self.evictions = self._hits = 0
        self.secret = cookies.new_secret()
        self._dependents: dict[Key, dict[bytes, Entry]] = {}
        self._turns: deque[Entry] = deque()
        self._removed: deque[Entry] = deque()
        self.denials = Denials()
        self._seen = SeenBefore()
        self._shapes: dict[bytes, Shape] = {}
        self.missed: tuple[bytes, Meaning | None] = (b"", None)
        """The last request that was not found, and its meaning, which the responder needs again."""

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def hits(self) -> int:
        return (
            self._hits
            + self.denials.hits
            + sum(
                use.hits - use.reported
                for entry in self.entries.values()
                for use in entry.uses.values()
            )
        )

    @property
    def misses(self) -> int:
        return sum(listener.misses for listener in self.listeners)

    # ---- finding

    def meaning(self, request: bytes) -> Meaning | None:
        """What of a request, given without its ID, shapes the answer: first the key of its entry.

        Also where its question section ends, its EDNS payload size, and the data of its COOKIE option.
        None where the request is of unusual shape. Equal octets are parsed equally, so nothing is checked
        here: the name is taken to end at the first zero octet, and where that is inside of a label, no
        query that was ever answered has the same key. The type must not be folded: HTTPS is 65, "A".
        """
        end = request.find(b"\0", 10) + 5
        key = request[:10] + request[10 : end - 4].lower() + request[end - 4 : end]
        opt = request[end:]
        if not opt:
            return key, end, 0, b""
        shape = self._shapes.get(opt[:_SHAPE_OCTETS]) or self._read_shape(opt)
        if shape is None:
            return None
        meaning, size, cookie = shape
        if cookie:
            return (key + meaning, end, size, opt[15:]) if len(opt) == cookie else None
        return key + meaning + opt[_OPT_OCTETS:], end, size, b""

    def _read_shape(self, opt: bytes) -> Shape | None:
        """What an OPT record means, its payload size, and its length where a cookie is its only option."""
        length = int.from_bytes(opt[9:_OPT_OCTETS], "big")
        if len(opt) != _OPT_OCTETS + length or opt[:3] != b"\0\0\x29":
            return None
        size, meaning = int.from_bytes(opt[3:5], "big"), opt[5:9]
        cookie = opt[_SHAPE_OCTETS:]
        is_cookie = opt[_OPT_OCTETS:_SHAPE_OCTETS] == _COOKIE + len(cookie).to_bytes(2, "big")
        shape = meaning, size, len(opt) if is_cookie and cookies.is_well_formed(cookie) else 0
        if shape[2] or not length:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            self._shapes[opt[:_SHAPE_OCTETS]] = shape
        return shape

    def find(self, request: bytes) -> Entry | None:
        """The entry that answers a request, given without its ID, covered or not."""
        meant = self.meaning(request)
        entry = self.entries.get(meant[0]) if meant is not None else None
        return entry if entry is not None and entry.until > monotonic() else None

    def cover(self) -> None:
        """Have listeners find nothing, so that every query is passed on; entries stay.

        So observing costs nothing while nobody does: a hit's few steps have no question whether.
        """
        self.is_covered = True
        for entry in self.entries.values():
            _forget_repeats(entry)

    def uncover(self) -> None:
        """Have listeners find what is cached."""
        self.is_covered = False

    # ---- caching

    def admits(self, key: bytes) -> bool:
        """Whether the answer is worth caching: there is ample room, or the query came before lately."""
        return self.octets < self.free_octets or self._seen.note(key)

    def store(self, entry: Entry, key: bytes) -> None:
        """Cache an answer under a key that ``meaning`` gave.

        Not when there is no room and all entries that are looked at for it are in use.
        """
        entry.key = key
        old = self.entries.get(key)
        if old is not None and old.until != _GONE:
            self._remove(old)
        self._unlink()
        while self.octets + entry.octets > self.max_octets:
            if not self._evict():
                return
        self.entries[key] = entry
        self.octets += entry.octets
        self._turns.append(entry)
        for each in entry.keys:
            self._dependents.setdefault(each, {})[key] = entry

    def seen(self, key: bytes) -> bool:
        """Whether a query with this key came before lately; from now on it did."""
        return self._seen.note(key)

    def drop(self, keys: Collection[Key]) -> list[Entry]:
        """Remove every entry that depends on one of these; return those that may be refreshed.

        Of these only what was hit since it was made: a name is not refreshed more often than used.
        """
        refreshable: list[Entry] = []
        self.denials.drop(keys)
        for key in keys:
            for entry in self._dependents.pop(key, {}).values():
                if entry.until == _GONE:
                    continue
                self.drops += 1
                self._remove(entry)
                if entry.client is not None and (not entry.is_refreshed or entry.hits):
                    refreshable.append(entry)
        self._unlink()
        return refreshable

    def clear(self) -> None:
        """Remove all entries."""
        self.report()
        self.denials.clear()
        self.drops += len(self.entries)
        for entry in self.entries.values():
            entry.until = _GONE
            _forget_repeats(entry)
        for table in (self.entries, self._dependents, self._turns, self._removed):
            table.clear()
        self.octets = 0

    def _remove(self, entry: Entry) -> None:
        """Serve it no more, at once; the tables follow (``_unlink``)."""
        entry.until = _GONE
        if entry.repeats:
            _forget_repeats(entry)
        self._removed.append(entry)

    def _unlink(self) -> None:
        """Take removed entries out of the tables, some at a time."""
        removed = self._removed
        for _ in range(min(len(removed), MAX_UNLINKED)):
            entry = removed.popleft()
            self._report(entry)
            self.octets -= entry.octets
            if self.entries.get(entry.key) is entry:
                del self.entries[entry.key]
            for key in entry.keys:
                dependents = self._dependents.get(key)
                if dependents is not None and dependents.get(entry.key) is entry:
                    del dependents[entry.key]
                    if not dependents:
                        del self._dependents[key]
        if len(self._turns) > 2 * len(self.entries) + MAX_UNLINKED:
            self._turns = deque([entry for entry in self._turns if entry.until != _GONE])

    def _evict(self) -> bool:
        """Remove the first entry in turn without a hit since its last turn, if it is near."""
        for _ in range(MAX_CHANCES):
            if not self._turns:
                return False
            entry = self._turns.popleft()
            if entry.until == _GONE:
                continue
            if entry.hits == entry.seen or entry.until <= monotonic():
                self.evictions += 1
                self._remove(entry)
                self._unlink()
                return True
            entry.seen = entry.hits
            self._turns.append(entry)
        return False

    # ---- counting

    def report(self) -> None:
        """Report the hits since the last time."""
        self.denials.report()
        for entry in self.entries.values():
            self._report(entry)

    def _report(self, entry: Entry) -> None:
        for use in entry.uses.values():
            self._hits += use.report()

    def of_question(self, question: bytes, keys: Iterable[Key]) -> Iterator[Entry]:
        """The entries for a question section (lower-case) that depend on ``keys``.

        Looks only at those that share the rarest key, so it costs little however much is cached.
        """
        sharing = [self._dependents.get(key, {}) for key in keys]
        for entry in min(sharing, key=len, default={}).values():
            if entry.key[10 : 10 + len(question)] == question:
                yield entry


class Repeats:
    """Finished replies of one listener to requests whose octets repeat.

    The listener looks requests without their IDs up in ``entries``; for a hit it calls the first of the
    pair for the reply without its ID, and counts in the second. What is not there it looks up by
    ``find``, which counts by itself.
    """

    def __init__(self, cache: ReplyCache, origin: Origin, *, is_stream: bool = False) -> None:
        self.cache, self.origin, self.is_stream = cache, origin, is_stream
        self.number = len(cache.listeners)
        cache.listeners.append(self)
        self.entries: dict[bytes, tuple[Callable[[], bytes], QueryClass]] = {}
        self.misses = 0
        self._seen = SeenBefore()

    def find(
        self, request: bytes, sender: Sender, at: int = 0, *, uncovered: bool = False
    ) -> bytes | None:
        """The reply without its ID to a request without its ID; None when it is not cached.

        ``sender(at)`` gives the client's address, which only a cookie needs. ``uncovered`` looks also
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
        entry = cache.entries.get(key)
        if entry is None or entry.until <= monotonic():
            if cache.denials.entries and (body := self._denied(request, meant, sender, at)):
                return body
            self.misses += 1
            cache.missed = request, meant
            return None
        question = request[10:end]
        if cookie:
            cookie = cookies.respond(cookie, sender(at)[0], time(), cache.secret)
        body = entry.reply(question, size, cookie, self)
        use = entry.uses.get((len(request), len(body), self.number))
        if use is None:
            use = entry.use(len(request), len(body), self)
        use.hits += 1
        if not (cookie or uncovered) and entry.until == FOREVER and self._seen.note(request):
            self._repeat(request, entry, question, size, use)
        return body

    def _denied(self, request: bytes, meant: Meaning, sender: Sender, at: int) -> bytes | None:
        """The denial of a name that is queried for the first time; what comes again is worth an entry."""
        cache, (key, end, size, cookie) = self.cache, meant
        denial = cache.denials.find(key)
        if denial is None or cache.seen(key):
            return None
        label = key[11 : 11 + key[10]]
        encoded = denial.encoded(len(label))
        if cookie:
            cookie = cookies.respond(cookie, sender(at)[0], time(), cache.secret)
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
        if len(entry.repeats) >= MAX_REPEATS:
            return
        next_body, octets = entry.bodies(question, size, self)
        octets += REPEAT_OCTETS + len(request)
        if cache.octets + octets > cache.max_octets:
            return
        entry.octets += octets
        cache.octets += octets
        entry.repeats.append((self, request))
        self.entries[request] = next_body, use


def _forget_repeats(entry: Entry) -> None:
    for listener, request in entry.repeats:
        del listener.entries[request]
    entry.repeats.clear()
