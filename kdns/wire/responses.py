"""What another server replied: from its bytes to Records in wire form, names inside RDATA decompressed.

A reply is whatever somebody sent. Anything that is no well-formed DNS message becomes ``Unreadable``,
and the work is linear in the message's size: each place that a name can begin at is read once, however
many pointers lead there (RFC 1035 section 4.1.4).
"""

from __future__ import annotations

import struct
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from kdns.wire.constants import EdnsOption, Flag, Type
from kdns.wire.message import ExtendedError, Record
from kdns.wire.names import MAX_LABEL, MAX_NAME
from kdns.wire.question import edns_options
from kdns.wire.record_types import DECOMPRESSED, check

_HEADER: Final = Layout("!HHHHHH")
_QUESTION: Final = Layout("!HH")
_FIXED: Final = Layout("!HHIH")

MAX_LABELS: Final = 127
"""A name has no more (RFC 1035 section 2.3.4), so there is no use for more pointers."""

_HOP_BY_HOP: Final = frozenset({Type.OPT, Type.TSIG, 24})  # 24: SIG(0), a transaction signature too

_STRINGS_IN_NAPTR: Final = 3

MAX_REASON: Final = 1024
"""Octets taken of an Extended DNS Error's text, which are words for people."""

_CONTROL: Final = dict.fromkeys((*range(32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}")


class Unreadable(Struct, frozen=True):
    """Bytes that are no reply; why, for people."""

    reason: str


class Response(Struct, frozen=True):
    """A reply to one question, its OPT and signatures of the transport taken off."""

    message_id: int
    flags: int
    rcode: int
    """With the upper bits that an OPT holds (RFC 6891 section 6.1.3)."""
    qname: bytes
    """Uncompressed wire form, letter case as sent; "" in a reply that repeats no question."""
    qtype: int
    qclass: int
    answer: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    errors: tuple[ExtendedError, ...] = ()
    upstream: str = ""
    """Who sent it, once that is known."""

    @property
    def truncated(self) -> bool:
        return bool(self.flags & Flag.TC)

    def answers(self, message_id: int, qname: bytes, qtype: int, qclass: int) -> bool:
        """Whether it is for this question; letter case does not count."""
        return (
            self.message_id == message_id
            and (self.qtype, self.qclass) == (qtype, qclass)
            and self.qname.lower() == qname.lower()
        )


def decode(data: bytes) -> Response | Unreadable:
    """Read a reply. Never raises."""
    try:
        return _Reader(data).response()
    except (ValueError, IndexError, struct.error) as error:
        return Unreadable(str(error))


class _Reader:
    """A message and how far it was read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 12
        self.names: dict[int, bytes] = {}
        self.extended_rcode = 0
        self.errors: tuple[ExtendedError, ...] = ()

    def response(self) -> Response:
        message_id, flags, questions, *counts = _HEADER.unpack_from(self.data)
        if not flags & Flag.QR:
            raise ValueError("it is a question")
        if questions > 1:
            raise ValueError(f"it has {questions} questions")
        qname, qtype, qclass = b"", 0, 0
        if questions:
            qname = self.name()
            qtype, qclass = self.unpack(_QUESTION)
        answer, authority, additional = (self.records(count) for count in counts)
        rcode = flags & 0xF | self.extended_rcode << 4
        sections = (answer, authority, additional)
        return Response(message_id, flags, rcode, qname, qtype, qclass, *sections, self.errors)

    def unpack(self, layout: Layout) -> tuple[int, ...]:
        values = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return values

    def name(self) -> bytes:
        """The name that stands here, uncompressed."""
        wire, self.at = self._name(self.at)
        return wire

    def _name(self, start: int, hops: int = 0) -> tuple[bytes, int]:
        """The name at ``start`` and where it ends there. A pointer must lead backwards: no circles."""
        data, at = self.data, start
        while 0 < (size := data[at]) <= MAX_LABEL and at - start < MAX_NAME:
            at += size + 1
        rest, end = (self._pointed(at, start, hops), at + 2) if size else (b"\0", at + 1)
        wire = data[start:at] + rest
        if len(wire) > MAX_NAME:
            raise ValueError("a name is longer than 255 octets")
        place = start
        while place < at:
            self.names[place] = wire[place - start :]
            place += data[place] + 1
        self.names[start] = wire
        return wire, end

    def _pointed(self, at: int, start: int, hops: int) -> bytes:
        """The name that the pointer at ``at`` leads to."""
        pointer = int.from_bytes(self.data[at : at + 2], "big")
        if pointer < 0xC000 or at + 2 > len(self.data):
            raise ValueError("a label has an unknown type")
        place = pointer & 0x3FFF
        if place >= start or hops == MAX_LABELS:
            raise ValueError("a compression pointer leads forwards, or too many lead on")
        return self.names.get(place) or self._name(place, hops + 1)[0]

    def records(self, count: int) -> tuple[Record, ...]:
        found = []
        for _ in range(count):
            owner = self.name()
            rtype, rclass, ttl, length = self.unpack(_FIXED)
            end = self.at + length
            if end > len(self.data):
                raise ValueError("a record runs past the end")
            if rtype == Type.OPT:
                self._opt(ttl, self.data[self.at : end])
            elif rtype not in _HOP_BY_HOP:
                # RFC 2181 section 8: a TTL with the most significant bit set is to be taken as 0
                ttl = ttl if ttl < 1 << 31 else 0
                found.append(Record(owner, rtype, ttl, self._rdata(rtype, end), rclass))
            self.at = end
        return tuple(found)

    def _opt(self, ttl: int, options: bytes) -> None:
        self.extended_rcode = ttl >> 24
        self.errors = tuple(
            ExtendedError(int.from_bytes(value[:2], "big"), _words(value[2:]))
            for code, value in edns_options(options) or ()
            if code == EdnsOption.EXTENDED_ERROR and len(value) >= 2
        )

    def _rdata(self, rtype: int, end: int) -> bytes:
        start = self.at
        if rtype == Type.NAPTR:
            self.at += 4
            for _ in range(_STRINGS_IN_NAPTR):
                self.at += self.data[self.at] + 1
            count = 1
        elif rtype in DECOMPRESSED:
            octets, count, _ = DECOMPRESSED[rtype]
            self.at += octets
        else:
            rdata = self.data[start:end]
            check(rtype, rdata)
            return rdata
        rdata = self.data[start : self.at] + b"".join([self.name() for _ in range(count)])
        if self.at > end:
            raise ValueError("the data of a record run past its end")
        rdata += self.data[self.at : end]
        check(rtype, rdata)
        return rdata


def _words(text: bytes) -> str:
    """A reason from elsewhere, which goes to logs and terminals: one line, of a bounded length."""
    return text[:MAX_REASON].decode("utf-8", "replace").translate(_CONTROL)
