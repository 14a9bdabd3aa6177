"""Names and records of a message, uncompressed.

The work is linear in the message's size: each place that a name can begin at is read once, however many
pointers lead there (RFC 1035 section 4.1.4).
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final

from kdns.wire.constants import Class, Type
from kdns.wire.layouts import RECORD
from kdns.wire.message import Record
from kdns.wire.names import MAX_LABEL, MAX_NAME
from kdns.wire.record_types import DECOMPRESSED, INTERNET

MAX_LABELS: Final = 127
"""A name has no more (RFC 1035 section 2.3.4), so there is no use for more pointers."""

MAX_TTL: Final = 0x7FFFFFFF
"""RFC 2181 section 8: a TTL above, with the most significant bit set, counts as 0."""

_STRINGS_IN_NAPTR: Final = 3


class Reader:
    """A message and how far it was read. Methods raise ``ValueError``, ``IndexError`` or ``struct.error``."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self._names: dict[int, bytes] = {}

    def unpack(self, layout: Layout) -> tuple[int, ...]:
        values = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return values

    def name(self) -> bytes:
        """The name that stands here, uncompressed."""
        wire, self.at = self._name(self.at, len(self.data))
        return wire

    def record(self) -> Record:
        """The record that stands here."""
        owner = self.name()
        rtype, rclass, ttl, length = self.unpack(RECORD)
        end = self.at + length
        if end > len(self.data):
            raise ValueError("a record runs past the end")
        if rtype != Type.OPT and ttl > MAX_TTL:
            ttl = 0
        record = Record(owner, rtype, ttl, self._rdata(rtype, rclass, end), rclass)
        self.at = end
        return record

    def _name(self, start: int, limit: int, hops: int = 0) -> tuple[bytes, int]:
        """The name at ``start`` and where it ends there, which is at most at ``limit``."""
        data, at = self.data, start
        while 0 < (size := data[at]) <= MAX_LABEL and at - start < MAX_NAME:
            at += size + 1
        rest, end = (self._pointed(at, start, hops), at + 2) if size else (b"\0", at + 1)
        wire = data[start:at] + rest
        if len(wire) > MAX_NAME or end > limit:
            raise ValueError("a name is longer than 255 octets, or runs into one that points to it")
        place = start
        while place < at:
            self._names[place] = wire[place - start :]
            place += data[place] + 1
        self._names[start] = wire
        return wire, end

    def _pointed(self, at: int, start: int, hops: int) -> bytes:
        """The name that the pointer at ``at`` leads to, all of it before ``start``: no circles."""
        pointer = int.from_bytes(self.data[at : at + 2], "big")
        if pointer < 0xC000 or at + 2 > len(self.data):
            raise ValueError("a label has an unknown type")
        place = pointer & 0x3FFF
        if place >= start or hops == MAX_LABELS:
            raise ValueError("a compression pointer leads forwards, or too many lead on")
        return self._names.get(place) or self._name(place, start, hops + 1)[0]

    def _rdata(self, rtype: int, rclass: int, end: int) -> bytes:
        start = self.at
        if rtype in INTERNET and rclass != Class.IN:
            return self.data[start:end]
        if rtype == Type.NAPTR:
            self.at += 4
            for _ in range(_STRINGS_IN_NAPTR):
                self.at += self.data[self.at] + 1
            count = 1
        elif rtype in DECOMPRESSED:
            octets, count, _ = DECOMPRESSED[rtype]
            self.at += octets
        else:
            return self.data[start:end]
        rdata = self.data[start : self.at] + b"".join([self.name() for _ in range(count)])
        if self.at > end:
            raise ValueError("the data of a record run past its end")
        return rdata + self.data[self.at : end]
