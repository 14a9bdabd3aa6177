"""Cache of encoded replies, by the meaning of the query and bounded in octets.

Two levels:

- ``ReplyCache`` has one entry for each question, with the few bits of the query that shape its answer.
  A client's letter case, EDNS size, cookie and transport are not among them: the reply is put together
  from the client's question section, the cached sections and a fresh OPT record. One cache serves all
  transports of an address.
- ``Repeats`` (in ``repeats``) has finished replies to requests whose octets repeat, message ID apart: most
  of what stub resolvers send. It belongs to one listener, and what it has to entries of the first level.

An entry depends on the keys of its Answer and is removed the moment one of them changes; nothing here is
ever guessed to be fresh. Where an answer is good for a time only, that is on a monotonic clock.

Memory is bounded by ``MAX_OCTETS``. While little of it is in use every answer is cached; after that only
the answers to queries that came before, so that names which are queried once, however many, push nothing
out. The oldest entry without a hit since its last turn makes room (second chance).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeAlias

from kdns.answers.denials import Denials
from kdns.answers.entry import Entry
from kdns.answers.seen_before import SeenBefore
from kdns.wire import cookies
from kdns.wire.constants import EdnsOption
from kdns.wire.layouts import EMPTY_OPT, OPTION
from kdns.wire.message import Key

if TYPE_CHECKING:
    from kdns.answers.repeats import Repeats

MAX_OCTETS: Final = 48 * 1024 * 1024
"""Octets of all that is cached, with what Python needs for it."""

FREE_OCTETS: Final = MAX_OCTETS // 16
"""While no more are in use, every answer is cached."""

MAX_CHANCES: Final = 16
"""Entries spared in one search for room, so that an insertion costs no more than this."""

MAX_UNLINKED: Final = 256
"""Removed entries that are taken out of all tables at a time: more would hold up the queries."""

MAX_SHAPES: Final = 1024
"""OPT records whose meaning is remembered. There are few in practice."""

_GONE: Final = -1.0
"""``Entry.until`` of one that was removed."""

Meaning: TypeAlias = tuple[bytes, int, int, bytes]
Shape: TypeAlias = tuple[bytes, int, int]

_SHAPE_OCTETS: Final = EMPTY_OPT + OPTION.size
"""Octets of an OPT record with the head of its first option."""
_COOKIE: Final = int(EdnsOption.COOKIE).to_bytes(2, "big")


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
        self._dependents: dict[Key, Entry | dict[bytes, Entry]] = {}
        """The entries that depend on a key: mostly there is one, which needs no table."""
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
                for use in (entry.uses or {}).values()
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
        return key + meaning + opt[EMPTY_OPT:], end, size, b""

    def _read_shape(self, opt: bytes) -> Shape | None:
        """What an OPT record means, its payload size, and its length where a cookie is its only option."""
        length = int.from_bytes(opt[9:EMPTY_OPT], "big")
        if len(opt) != EMPTY_OPT + length or opt[:3] != b"\0\0\x29":
            return None
        size, meaning = int.from_bytes(opt[3:5], "big"), opt[5:9]
        cookie = opt[_SHAPE_OCTETS:]
        is_cookie = opt[EMPTY_OPT:_SHAPE_OCTETS] == _COOKIE + len(cookie).to_bytes(2, "big")
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
            entry.forget_repeats()

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
            known = self._dependents.get(each)
            if known is None:
                self._dependents[each] = entry
            elif isinstance(known, Entry):
                self._dependents[each] = {known.key: known, key: entry}
            else:
                known[key] = entry

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
            for entry in _entries(self._dependents.pop(key, {})):
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
            entry.forget_repeats()
        for table in (self.entries, self._dependents, self._turns, self._removed):
            table.clear()
        self.octets = 0

    def _remove(self, entry: Entry) -> None:
        """Serve it no more, at once; the tables follow (``_unlink``)."""
        entry.until = _GONE
        if entry.repeats:
            entry.forget_repeats()
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
                if dependents is entry:
                    del self._dependents[key]
                elif isinstance(dependents, dict) and dependents.get(entry.key) is entry:
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
        for use in (entry.uses or {}).values():
            self._hits += use.report()

    def of_question(self, question: bytes, keys: Iterable[Key]) -> Iterator[Entry]:
        """The entries for a question section (lower-case) that depend on ``keys``.

        Looks only at those that share the rarest key, so it costs little however much is cached.
        """
        sharing = [_entries(self._dependents.get(key, {})) for key in keys]
        for entry in min(sharing, key=len, default=()):
            if entry.key[10 : 10 + len(question)] == question:
                yield entry


def _entries(dependents: Entry | dict[bytes, Entry]) -> Collection[Entry]:
    return (dependents,) if isinstance(dependents, Entry) else dependents.values()
