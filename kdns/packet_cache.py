"""Request bytes to reply bytes: the way of almost every question.

An entry is found by the whole request without its message ID, so everything that can shape the reply
(flags, letter case, EDNS) is part of the key. It depends on the keys of its Answer and goes the moment
one of them changes; nothing here is ever guessed to be fresh. One whose bytes are right for a time only
(a TTL counts down) goes at that time's end.

Bounded: the oldest entry that was not asked for again since its last turn makes room (second chance),
so a flood of names that are asked once passes through while what is in use stays. An insertion looks
at a few entries only; when these are all in use, nothing is kept that time.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count, cycle, repeat
from typing import Final, Protocol

from kdns.wire.message import FOREVER, Key

MAX_ENTRIES: Final = 32768
"""A kept reply and its bookkeeping take about 1 KiB, so this is some 32 MiB at the most."""

MAX_CHANCES: Final = 16
"""Entries spared in one search for room, so that an insertion costs no more than this."""

NOTED: Final = 1 << 18
"""Requests told apart where there is no room: an octet each."""

REMEMBERED: Final = NOTED // 16
"""So many are: one that was never asked for is taken for one of them in 3 of 100 cases on average."""

SPARE: Final = 1024
"""Forgotten entries held where few are kept, which spares looking through them at each change."""

MAX_ROTATIONS: Final = 8
"""Bodies kept of a reply with several addresses; they are sent in turn."""


SAMPLED: Final = 0x7F
"""Of the hits of an entry, every 128th is timed: reading the clock twice costs a third of a hit."""


class Tally(Protocol):
    """Who is told how often an entry was used, and of a sample of the uses how long they took."""

    def hits(self, count: int) -> None: ...
    def took(self, seconds: float) -> None: ...


class Entry:
    """A kept reply. A listener sends ``next_body()``, counts ``hits`` up, and does nothing else."""

    __slots__ = (
        "asker",
        "folded",
        "hits",
        "keys",
        "next_body",
        "renewed",
        "request",
        "seen",
        "tally",
    )

    def __init__(
        self, request: bytes, bodies: list[bytes], keys: frozenset[Key], tally: Tally
    ) -> None:
        self.request, self.keys = request, keys
        # Bodies of several addresses are sent in turn; both iterators step in C.
        self.next_body = (cycle(bodies) if len(bodies) > 1 else repeat(bodies[0])).__next__
        self.tally = tally
        self.hits = self.seen = self.folded = 0
        self.asker: str | None = None
        """Who asked, where the reply may be made anew before it is asked for again."""
        self.renewed = False


class AskedBefore:
    """Remembers roughly what was asked for lately, in little and fixed memory.

    Requests are told apart by their hash (which nobody outside can foresee): two that fall together
    are taken for one, which lets one in early.
    """

    def __init__(self) -> None:
        self._noted, self._count = bytearray(NOTED), 0

    def note(self, request: bytes) -> bool:
        """Whether it was noted before; from now on it is, until enough others were."""
        at = hash(request) % NOTED
        if self._noted[at]:
            return True
        self._noted[at] = 1
        self._count += 1
        if self._count > REMEMBERED:
            self._noted, self._count = bytearray(NOTED), 0
        return False


class PacketCache:
    """The replies of one listener. Its maker looks requests up in ``entries`` directly."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self.max_entries = max_entries
        self.entries: dict[bytes, Entry] = {}
        """What listeners look in: all that is kept, or nothing (see ``cover``)."""
        self._all = self.entries
        self.misses = self.drops = self.evictions = self._hits = 0
        self._dependents: dict[Key, dict[bytes, None]] = {}
        self._turns: deque[Entry] = deque()
        self._ends: list[tuple[float, int, Entry]] = []
        self._kept = count()
        self._asked = AskedBefore()

    @property
    def hits(self) -> int:
        return self._hits + sum(entry.hits - entry.folded for entry in self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def find(self, request: bytes) -> Entry | None:
        """The entry for a request, covered or not."""
        return self._all.get(request)

    def cover(self) -> None:
        """Have listeners find nothing, so that every question is passed on; what is kept stays.

        So watching costs nothing while nobody does: a hit's few steps have no question whether.
        """
        if self._all is self.entries:
            self._all = dict(self.entries)
            self.entries.clear()

    def uncover(self) -> None:
        """Have listeners find what is kept."""
        if self._all is not self.entries:
            self.entries.update(self._all)
            self._all = self.entries

    def admits(self, request: bytes) -> bool:
        """Whether its reply is worth keeping: there is room, or it was asked for before, not long ago.

        So names that are asked once, however many, push nothing out and cost no bookkeeping.
        """
        return len(self._all) < self.max_entries or self._asked.note(request)

    def keep(self, entry: Entry, until: float = FOREVER) -> None:
        """Keep a reply under its request, until ``expire`` is told of that time.

        Not when there is no room and all that is looked at for it is in use: what is asked again then
        comes again.
        """
        old = self._all.pop(entry.request, None)
        if old is not None:
            self._forget(old)
        self._tidy()
        if len(self._all) >= self.max_entries and not self._evict():
            return
        self._all[entry.request] = entry
        self._turns.append(entry)
        if until != FOREVER:
            heapq.heappush(self._ends, (until, next(self._kept), entry))
        for key in entry.keys:
            self._dependents.setdefault(key, {})[entry.request] = None

    def drop(self, keys: Iterable[Key]) -> list[Entry]:
        """Forget every reply that depends on one of these; return those that may be made anew.

        Of these only what was asked for since it was made: a name is not renewed more often than used.
        """
        renewable: list[Entry] = []
        dependents = self._dependents
        for key in keys:
            if key in dependents:
                for request in tuple(dependents[key]):
                    self.drops += 1
                    entry = self._all.pop(request)
                    self._forget(entry)
                    if entry.asker is not None and (entry.hits or not entry.renewed):
                        renewable.append(entry)
        self._tidy()
        return renewable

    def of_question(self, question: bytes, keys: Iterable[Key]) -> Iterator[Entry]:
        """The entries for a question (lower-case wire form, as in a message) that depend on ``keys``.

        Looks only at those that share the rarest key, so it costs little however much is kept.
        """
        sharing = [self._dependents.get(key, {}) for key in keys]
        for request in min(sharing, key=len, default={}):
            if request[10 : 10 + len(question)].lower() == question:
                yield self._all[request]

    def expire(self, now: float) -> float | None:
        """Forget what was kept until now or earlier; return when the next one ends."""
        ends = self._ends
        while ends and ends[0][0] <= now:
            entry = heapq.heappop(ends)[2]
            if self._all.get(entry.request) is entry:
                self._forget(self._all.pop(entry.request))
        self._tidy()
        return ends[0][0] if ends else None

    def _tidy(self) -> None:
        """Let go of forgotten entries that neither came to their turn nor to their end."""
        most = min(2 * len(self._all) + SPARE, 2 * self.max_entries)
        if len(self._turns) > most:
            find = self._all.get
            self._turns = deque([each for each in self._turns if find(each.request) is each])
        if len(self._ends) > most:
            self._ends = [end for end in self._ends if self._all.get(end[2].request) is end[2]]
            heapq.heapify(self._ends)

    def clear(self) -> None:
        """Forget all."""
        self.fold()
        self.drops += len(self._all)
        self._all.clear()
        self._dependents.clear()
        self._turns.clear()
        self._ends.clear()

    def fold(self) -> None:
        """Report the hits since the last time."""
        for entry in self._all.values():
            self._report(entry)

    def _report(self, entry: Entry) -> None:
        if fresh := entry.hits - entry.folded:
            entry.tally.hits(fresh)
            entry.folded = entry.hits
            self._hits += fresh

    def _evict(self) -> bool:
        """Forget the first entry in turn that was not used since its last turn, if it is near."""
        for _ in range(MAX_CHANCES):
            entry = self._turns.popleft()
            if self._all.get(entry.request) is not entry:
                continue  # dropped meanwhile
            if entry.hits == entry.seen:
                self.evictions += 1
                self._forget(self._all.pop(entry.request))
                return True
            entry.seen = entry.hits
            self._turns.append(entry)
        return False

    def _forget(self, entry: Entry) -> None:
        self._report(entry)
        for key in entry.keys:
            dependents = self._dependents[key]
            del dependents[entry.request]
            if not dependents:
                del self._dependents[key]
