"""Records one after the other in a message, their names compressed (RFC 1035 section 4.1.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from kdns.wire.constants import Flag, Type
from kdns.wire.layouts import HEADER_AFTER_ID, MAX_MESSAGE, OWNED, RECORD
from kdns.wire.message import Record
from kdns.wire.names import end_of

_MAX_POINTER: Final = 0x3FFF
_TRANSFER_OCTETS: Final = 16 * 1024
"""Of a message of a zone transfer: as far as pointers reach, so that all names are compressed."""

_WHOLE_NAME: Final = frozenset({Type.NS, Type.CNAME, Type.PTR})
_WITH_NAMES: Final = _WHOLE_NAME | {Type.SOA, Type.MX}
"""Names in the data of these types are compressed (RFC 3597 section 4)."""


class Writer:
    """The message so far and where its names are."""

    def __init__(self, qname: bytes = b"", before: int = 12) -> None:
        self.out = bytearray(before)
        self.names: dict[bytes, int] = {}
        if qname:
            self.name(qname)
            self.out += b"\0\0\0\0"  # type and class

    def name(self, wire: bytes) -> None:
        """Append a name, its longest known suffix as a pointer. Letter case matters, since it stays."""
        at, names, out = 0, self.names, self.out
        while wire[at]:
            suffix = wire[at:]
            known = names.get(suffix)
            if known is not None:
                out += (0xC000 | known).to_bytes(2, "big")
                return
            if len(out) <= _MAX_POINTER:
                names[suffix] = len(out)
            end = at + wire[at] + 1
            out += wire[at:end]
            at = end
        out.append(0)

    def note(self, wire: bytes, offset: int) -> None:
        """Remember where a name stands that is spelt out."""
        at, names = 0, self.names
        while wire[at] and offset + at <= _MAX_POINTER:
            suffix = wire[at:]
            if suffix in names:  # then what follows is known too
                return
            names[suffix] = offset + at
            at += wire[at] + 1

    def record(self, record: Record) -> None:
        self.name(record.owner)
        out, rdata = self.out, record.rdata
        start = len(out) + 8
        out += RECORD.pack(record.rtype, record.rclass, record.ttl, len(rdata))
        if record.rtype in _WHOLE_NAME:
            self.name(rdata)
        elif record.rtype == Type.SOA:
            middle, end = end_of(rdata), len(rdata) - 20
            self.name(rdata[:middle])
            self.name(rdata[middle:end])
            out += rdata[end:]
        elif record.rtype == Type.MX:
            out += rdata[:2]
            self.name(rdata[2:])
        else:
            if record.rtype == Type.SRV:  # not compressed itself (RFC 2782), but others point to it
                self.note(rdata[6:], len(out) + 6)
            out += rdata
            return
        out[start : start + 2] = (len(out) - start - 2).to_bytes(2, "big")

    def records(self, records: Iterable[Record], room: int) -> list[int]:
        """Append what fits into ``room`` octets in all and return where each record ends."""
        ends: list[int] = []
        names, out = self.names, self.out
        for record in records:
            before = len(out)
            known = names.get(record.owner)
            if known is None or record.rtype in _WITH_NAMES:
                self.record(record)
            else:  # ``record`` at once, since most are such: addresses, and thousands of SRV
                rdata = record.rdata
                fixed = OWNED.pack(
                    0xC000 | known, record.rtype, record.rclass, record.ttl, len(rdata)
                )
                if record.rtype == Type.SRV:
                    self.note(rdata[6:], before + 18)
                out += fixed
                out += rdata
            if len(out) > room:
                del out[before:]  # names noted in there are never met: it was the last one
                break
            ends.append(len(out))
        return ends


def encode_following(records: Iterable[Record]) -> Iterator[bytes]:
    """The messages of a zone transfer after the first, without their IDs, while ``records`` are read.

    RFC 5936 section 2.2: the question section may be empty in them.
    """
    writer, count = Writer(), 0
    for record in records:
        end = len(writer.out) + len(record.owner) + RECORD.size + len(record.rdata)
        if count and (len(writer.out) >= _TRANSFER_OCTETS or end > MAX_MESSAGE):
            yield _following(writer, count)
            writer, count = Writer(), 0
        writer.record(record)
        count += 1
    if count:
        yield _following(writer, count)


def _following(writer: Writer, count: int) -> bytes:
    return HEADER_AFTER_ID.pack(Flag.QR | Flag.AA, 0, count, 0, 0) + writer.out[12:]
