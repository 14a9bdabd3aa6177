"""Sequences of records that are made when they are read.

A Service may have 10,000 endpoints while a datagram holds 70 addresses: what is not sent is never made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Generic, TypeVar, overload

from kdns.wire.message import Record

K = TypeVar("K")


class LazyRecords(Sequence[Record], ABC):
    """Records of one TTL that are made at each access; equal to any sequence of equal records."""

    __slots__ = ("ttl",)

    def __init__(self, ttl: int) -> None:
        self.ttl = ttl

    @abstractmethod
    def _at(self, number: int) -> Record:
        """The record at an index from 0 to the length, exclusive."""

    def of(self, owners: Collection[bytes]) -> Sequence[Record]:
        """Those of some owners."""
        return [record for record in self if record.owner in owners]

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, at: int | slice) -> Record | tuple[Record, ...]:
        chosen = range(len(self))[at]
        return self._at(chosen) if isinstance(chosen, int) else tuple(map(self._at, chosen))

    def __iter__(self) -> Iterator[Record]:
        return map(self._at, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


class AddressRecords(LazyRecords):
    """A or AAAA records of one owner, from their addresses one after the other in network order."""

    __slots__ = ("octets", "owner", "rtype", "width")

    def __init__(self, owner: bytes, ttl: int, octets: bytes, width: int, rtype: int) -> None:
        """``width`` is the octets of an address: 4, or 16 where ``rtype`` is AAAA."""
        super().__init__(ttl)
        self.owner, self.octets, self.width, self.rtype = owner, octets, width, rtype

    def __len__(self) -> int:
        return len(self.octets) // self.width

    def _at(self, number: int) -> Record:
        start = number * self.width
        return Record(self.owner, self.rtype, self.ttl, self.octets[start : start + self.width])

    def turned(self, turn: int) -> AddressRecords:
        """The same addresses, beginning with another one; ``turn`` may be any number."""
        start = turn % (len(self) or 1) * self.width
        octets = self.octets[start:] + self.octets[:start]
        return AddressRecords(self.owner, self.ttl, octets, self.width, self.rtype)


class MadeRecords(LazyRecords, Generic[K]):
    """Records made from keys, which are not collected either until the first access."""

    __slots__ = ("_collect", "_keys", "_make")

    def __init__(
        self, ttl: int, collect: Callable[[], Sequence[K]], make: Callable[[K], Record]
    ) -> None:
        super().__init__(ttl)
        self._collect, self._make = collect, make
        self._keys: Sequence[K] | None = None

    @property
    def keys(self) -> Sequence[K]:
        if self._keys is None:
            self._keys = self._collect()
        return self._keys

    def __len__(self) -> int:
        return len(self.keys)

    def _at(self, number: int) -> Record:
        return self._make(self.keys[number])

    def __iter__(self) -> Iterator[Record]:
        return map(self._make, self.keys)
