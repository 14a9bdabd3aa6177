"""Where answers are kept: bounded, each until its end, the least recently used one making room.

Data are kept per name and type, the name's absence per name: after NXDOMAIN to one type no other is
asked for (RFC 8020 section 2), and data of any type end that. Where an upstream denies a name of which it
has just told the addresses, it is the denial that gives in and becomes "no such type".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from cachetools import TLRUCache
from msgspec import Struct
from msgspec.structs import replace

from kdns.plugins.cache.kinds import Keepable, Kind
from kdns.plugins.cache.settings import Settings
from kdns.wire.constants import Flag, Rcode, Type
from kdns.wire.message import Answer, Key, Query
from kdns.wire.names import Name
from kdns.wire.requests import passed_options

ADDRESSES: Final = (Type.A, Type.AAAA)

ANY_TYPE: Final = 0
"""Stands for the name itself. No question has this type: RFC 6895 section 3.1 reserves it."""

MAX_CHANGES: Final = 16384
"""Changed keys that are remembered one by one."""

Identity: TypeAlias = tuple[Name, int, int, int, bool, tuple[tuple[int, bytes], ...]]
"""Name, type, class, RD and CD, DO, EDNS options: what makes two questions the same."""


class Item(Struct):
    """An answer that is kept. Times are seconds of the clock that the stage goes by."""

    kind: Kind
    answer: Answer
    stored: int
    ends: float
    version: int
    """The number of changes before its question was passed on."""
    hits: int = 0
    """Questions since the last long pause."""
    asked: float = 0.0
    refreshing: bool = False
    retry: float = 0.0
    """No refresh before this."""
    shown: tuple[int, Answer] = (-1, Answer())
    """The answer at the age it was last asked for."""


class Found(Struct, frozen=True):
    """What there is to a question."""

    item: Item
    stale: bool = False


def identity(query: Query) -> Identity:
    edns = query.edns
    return (
        query.name,
        query.qtype,
        query.qclass,
        query.flags & (Flag.RD | Flag.CD),
        edns is not None and edns.dnssec_ok,
        passed_options(query),
    )


class _Kept(TLRUCache[Identity, Item]):
    """Answers of one kind."""

    def __init__(self, capacity: int, grace: float, clock: Callable[[], float]) -> None:
        super().__init__(capacity, lambda key, item, now: item.ends + grace, clock)
        self.evictions = 0

    def popitem(self) -> tuple[Identity, Item]:
        self.evictions += 1
        return super().popitem()


class Changes:
    """What changed since an answer was made, for those that depend on more than their TTLs."""

    def __init__(self) -> None:
        self.count = 0
        self._last: dict[Key, int] = {}
        self._forgotten = 0

    def note(self, keys: Iterable[Key]) -> None:
        self.count += 1
        self._last.update(dict.fromkeys(keys, self.count))
        if len(self._last) > MAX_CHANGES:
            self._last.clear()
            self._forgotten = self.count

    def holds(self, item: Item) -> bool:
        """Whether nothing changed that it depends on."""
        keys = item.answer.keys
        if not keys:
            return True
        return item.version >= self._forgotten and all(
            self._last.get(key, 0) <= item.version for key in keys
        )


class Store:
    """The answers of one ``cache``. ``clock`` is in seconds and never goes back."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.changes = Changes()
        self.stale_for = settings.stale.up_to if settings.stale else 0.0
        self._prefers_positive = bool(settings.stale and settings.stale.prefer_positive)
        self.success = _Kept(settings.success.capacity, self.stale_for, clock)
        self.denial = _Kept(settings.denial.capacity, 0.0, clock)

    def find(self, key: Identity) -> Found | None:
        """What there is to the question: fresh, or else stale where that is allowed."""
        positive = self._get(self.success, key)
        if positive is not None and self.clock() < positive.ends:
            return Found(positive)
        negative = self._get(self.denial, key) or self._get(self.denial, _whole_name(key))
        stale = Found(positive, stale=True) if positive is not None else None
        if negative is None:
            return stale
        if stale is not None and (negative.kind == "failure" or self._prefers_positive):
            return stale
        return Found(negative)

    def has_failed(self, key: Identity) -> bool:
        """Whether the last attempt at this question failed, a moment ago."""
        item = self.denial.get(key)
        return item is not None and item.kind == "failure"

    def _get(self, kept: _Kept, key: Identity) -> Item | None:
        item = kept.get(key)
        if item is None or self.changes.holds(item):
            return item
        kept.pop(key, None)
        return None

    def keep(self, key: Identity, found: Keepable, version: int) -> Item:
        """Keep it in the place of what was said before. ``version`` was the count of changes."""
        now = self.clock()
        answer = found.answer
        if found.kind == "denial" and answer.rcode == Rcode.NXDOMAIN and self._has_addresses(key):
            answer = replace(answer, rcode=Rcode.NOERROR)
        item = Item(found.kind, answer, int(now), int(now) + found.ttl, version)
        if found.kind == "success":
            self.success[key] = item
            self.denial.pop(key, None)
            self.denial.pop(_whole_name(key), None)
        else:
            self._deny(key, item)
        return item

    def _deny(self, key: Identity, item: Item) -> None:
        whole_name = item.answer.rcode == Rcode.NXDOMAIN and not item.answer.answer
        if item.kind == "denial" and not self._prefers_positive:
            for rtype in (key[1], *(ADDRESSES if whole_name else ())):
                self.success.pop(_of_type(key, rtype), None)
        self.denial[_whole_name(key) if whole_name else key] = item

    def _has_addresses(self, key: Identity) -> bool:
        found = (
            self._get(self.success, _of_type(key, rtype)) for rtype in ADDRESSES if rtype != key[1]
        )
        return any(item is not None and self.clock() < item.ends for item in found)


def _of_type(key: Identity, rtype: int) -> Identity:
    return (key[0], rtype, *key[2:])


def _whole_name(key: Identity) -> Identity:
    return _of_type(key, ANY_TYPE)
