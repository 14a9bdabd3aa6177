"""Where answers are kept: bounded, each until its end, the least recently used one making room.

Data are kept per name and type, the name's absence per name: after NXDOMAIN to one type the same upstream
is not asked for another (RFC 8020 section 2), and data of any type end that. Where an upstream denies a name
of which it has just told the addresses, it is the denial that gives in and becomes "no such type".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from cachetools import LRUCache
from msgspec import Struct
from msgspec.structs import replace

from kdns.plugins.cache.kinds import Keepable, Kind
from kdns.plugins.cache.settings import Settings
from kdns.wire.constants import Flag, Rcode, Type
from kdns.wire.message import Answer, Key, Query
from kdns.wire.names import Name
from kdns.wire.requests import passed_options

ADDRESSES: Final = (Type.A, Type.AAAA)

WHOLE_NAME: Final = -1
"""In the place of a type, stands for the name itself: every number from 0 to 65535 can be asked for."""

_META_TYPES: Final = frozenset({0, Type.OPT, *range(128, 255)})
"""Types that no record has (RFC 6895 section 3.1): what servers say of them says little about the name."""

MAX_CHANGES: Final = 16384
"""Changed keys that are remembered one by one."""

Identity: TypeAlias = tuple[Name, int, int, int, bool, tuple[tuple[int, bytes], ...]]
"""Name, type, class, RD and CD, DO, EDNS options: what makes two questions the same."""


class Item(Struct):
    """An answer that is kept. Times are seconds of the clock that the stage goes by."""

    kind: Kind
    answer: Answer
    qtype: int
    """The type that it was received for."""
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
    """The cached answer for a query."""

    item: Item
    stale: bool = False
    of_name: bool = False
    """A denial of the whole name, received for another type: only what its stage would say."""


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


class _Kept(LRUCache[Identity, Item]):
    """Answers of one kind. What has ended leaves when it is found or when its turn comes.

    So no insertion has to remove all that has ended meanwhile.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
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
        self.success = _Kept(settings.success.capacity)
        self.denial = _Kept(settings.denial.capacity)

    def find(self, key: Identity) -> Found | None:
        """The cached answer for the query: fresh, or else stale where that is allowed."""
        positive = self._get(self.success, key, self.stale_for)
        if positive is not None and self.clock() < positive.ends:
            return Found(positive)
        negative = self._negative(key)
        stale = Found(positive, stale=True) if positive is not None else None
        if negative is None:
            return stale
        if stale is not None and (negative.item.kind == "failure" or self._prefers_positive):
            return stale
        return negative

    def _negative(self, key: Identity) -> Found | None:
        item = self._get(self.denial, key)
        if item is not None:
            return Found(item)
        item = self._get(self.denial, _whole_name(key))
        return None if item is None else Found(item, of_name=item.qtype != key[1])

    def has_failed(self, key: Identity) -> bool:
        """Whether the last attempt at this question failed, a moment ago."""
        item = self._get(self.denial, key)
        return item is not None and item.kind == "failure"

    def _get(self, kept: _Kept, key: Identity, grace: float = 0.0) -> Item | None:
        """What is cached under the key, if nothing changed and it ended less than ``grace`` seconds ago."""
        item = kept.get(key)
        if item is None or (self.clock() < item.ends + grace and self.changes.holds(item)):
            return item
        del kept[key]
        return None

    def keep(self, key: Identity, found: Keepable, version: int) -> Item:
        """Keep it in the place of what was said before. ``version`` was the count of changes."""
        now = self.clock()
        answer = found.answer
        if found.kind == "denial" and answer.rcode == Rcode.NXDOMAIN and self._has_addresses(key):
            answer = replace(answer, rcode=Rcode.NOERROR)
        item = Item(found.kind, answer, key[1], int(now), int(now) + found.ttl, version)
        if found.kind == "success":
            self.success[key] = item
            self.denial.pop(key, None)
            self.denial.pop(_whole_name(key), None)
        else:
            self._deny(key, item)
        return item

    def _deny(self, key: Identity, item: Item) -> None:
        whole_name = _denies_name(key, item.answer)
        if item.kind == "denial" and not self._prefers_positive:
            for rtype in (key[1], *(ADDRESSES if whole_name else ())):
                self.success.pop(_of_type(key, rtype), None)
        self.denial[_whole_name(key) if whole_name else key] = item

    def _has_addresses(self, key: Identity) -> bool:
        found = (
            self._get(self.success, _of_type(key, rtype)) for rtype in ADDRESSES if rtype != key[1]
        )
        return any(item is not None and self.clock() < item.ends for item in found)


def _denies_name(key: Identity, answer: Answer) -> bool:
    """Whether it denies the name itself, and not the target of an alias or something unusual."""
    denial = answer.denial if answer.rcode == Rcode.NXDOMAIN and not answer.answer else None
    return denial is not None and denial.name == key[0] and key[1] not in _META_TYPES


def _of_type(key: Identity, rtype: int) -> Identity:
    return (key[0], rtype, *key[2:])


def _whole_name(key: Identity) -> Identity:
    return _of_type(key, WHOLE_NAME)
