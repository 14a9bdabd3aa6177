"""Where answers are kept: bounded, each until its end, the least recently used one making room.

Data are kept per name and type, the name's absence per name: after NXDOMAIN to one type the same upstream
is not asked for another (RFC 8020 section 2), and data of any type end that. Where an upstream denies a name
of which it has just told the addresses, it is the denial that gives in and becomes "no such type".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct as Layout
from typing import Final, TypeAlias

from cachetools import LRUCache
from msgspec import Struct
from msgspec.structs import replace

from kdns.plugins.cache.kinds import Cacheable, Kind
from kdns.plugins.cache.settings import Settings
from kdns.wire.constants import Flag, Rcode, Type
from kdns.wire.message import Answer, Key, Query
from kdns.wire.relayed import Relayed
from kdns.wire.requests import passed_options

ADDRESSES: Final = (Type.A, Type.AAAA)

MEAN_OCTETS: Final = 2048
"""An entry's share: octets that entries may take for each one of the capacity. Most take less than that."""

ENTRY_OCTETS: Final = 1100
"""Of an entry besides its records' octets: the Python objects and the three dictionaries it stands in."""

MAX_CHANGES: Final = 16384
"""Changed keys that are remembered one by one."""

Identity: TypeAlias = bytes
"""Type, class and bits, name, EDNS options: what makes two questions the same."""

_IDENTITY: Final = Layout("!HHH")
_FLAGS: Final = Flag.RD | Flag.CD
_DNSSEC_OK, _WHOLE_NAME = 1, 2
"""Bits beside RD and CD, which are others. The second one no query has: it stands for the name itself."""


class Item(Struct, gc=False):
    """A cached answer. Times are seconds of the clock that the stage goes by."""

    kind: Kind
    answer: Answer
    """Without its records."""
    message: Relayed
    """The records."""
    qtype: int
    """The type that it was received for."""
    stored: int
    ends: float
    version: int
    """The number of changes before its question was passed on."""
    tree: object | None = None
    """Of a denial of the whole name, who says so (``Denial.tree``)."""
    hits: int = 0
    """Questions since the last long pause."""
    asked: float = 0.0
    refreshing: bool = False
    retry: float = 0.0
    """No refresh before this."""


class Found(Struct, frozen=True):
    """The cached answer for a query."""

    item: Item
    stale: bool = False
    of_name: bool = False
    """A denial of the whole name, received for another type: only what its stage would say."""


def identity(query: Query) -> Identity:
    bits = query.flags & _FLAGS
    if query.edns is not None and query.edns.dnssec_ok:
        bits |= _DNSSEC_OK
    key = _IDENTITY.pack(query.qtype, query.qclass, bits) + query.qname.lower()
    options = passed_options(query)
    return key + repr(options).encode() if options else key


def _type(key: Identity) -> int:
    return int.from_bytes(key[:2])


def _of_type(key: Identity, rtype: int) -> Identity:
    return rtype.to_bytes(2) + key[2:]


def _whole_name(key: Identity) -> Identity:
    bits = int.from_bytes(key[4:6]) | _WHOLE_NAME
    return b"\0\0" + key[2:4] + bits.to_bytes(2) + key[6:]


class _Entries(LRUCache[Identity, Item]):
    """Cached answers of one kind. What has ended leaves when it is found or when its turn comes.

    So no insertion has to remove all that has ended meanwhile.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity * MEAN_OCTETS, _size)
        self.evictions = 0

    def popitem(self) -> tuple[Identity, Item]:
        self.evictions += 1
        return super().popitem()


def _size(item: Item) -> int:
    """Octets of an entry, but at least its share, so that there are no more entries than the capacity."""
    message = item.message
    return max(ENTRY_OCTETS + len(message.body) + 2 * len(message.ttls), MEAN_OCTETS)


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
        self.success = _Entries(settings.success.capacity)
        self.denial = _Entries(settings.denial.capacity)

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
        return None if item is None else Found(item, of_name=item.qtype != _type(key))

    def has_failed(self, key: Identity) -> bool:
        """Whether the last attempt at this question failed, a moment ago."""
        item = self._get(self.denial, key)
        return item is not None and item.kind == "failure"

    def _get(self, entries: _Entries, key: Identity, grace: float = 0.0) -> Item | None:
        """What is cached under the key, if nothing changed and it ended less than ``grace`` seconds ago."""
        item = entries.get(key)
        if item is None or (self.clock() < item.ends + grace and self.changes.holds(item)):
            return item
        del entries[key]
        return None

    def keep(self, key: Identity, answer: Answer, found: Cacheable, version: int) -> Item:
        """Cache the records of ``found``, and of ``answer`` all else, instead of what was said before.

        ``version`` was the count of changes.
        """
        now = int(self.clock())
        tree = found.tree
        if tree is not None and self._has_addresses(key):
            answer, tree = replace(answer, rcode=Rcode.NOERROR), None
        ends = now + found.ttl
        item = Item(found.kind, answer, found.message, _type(key), now, ends, version, tree)
        self._place(key, item)
        return item

    def _place(self, key: Identity, item: Item) -> None:
        if item.kind == "success":
            self.success[key] = item
            if self.denial:
                self.denial.pop(key, None)
                self.denial.pop(_whole_name(key), None)
            return
        if item.kind == "denial" and not self._prefers_positive:
            self.success.pop(key, None)
            if item.tree is not None and self.stale_for:  # no address is served stale any more
                for rtype in ADDRESSES:
                    self.success.pop(_of_type(key, rtype), None)
        self.denial[key if item.tree is None else _whole_name(key)] = item

    def _has_addresses(self, key: Identity) -> bool:
        own = _type(key)
        for rtype in ADDRESSES:
            if rtype != own:
                item = self._get(self.success, _of_type(key, rtype), self.stale_for)
                if item is not None and self.clock() < item.ends:
                    return True
        return False
