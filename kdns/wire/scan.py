"""One pass over a reply as nearly every server sends it, which finds where things are and copies nothing.

It takes only what can be relayed as it is (``relayed``). ``responses`` reads all else record by record, and
has the last word on whether it is well-formed.
"""

from __future__ import annotations

from array import array
from struct import error as struct_error
from typing import Final, TypeAlias

from kdns.wire.constants import Class, Flag, Type
from kdns.wire.layouts import HEADER, QUESTION, RECORD
from kdns.wire.names import MAX_LABEL, MAX_NAME
from kdns.wire.reader import MAX_TTL, Reader
from kdns.wire.record_types import COMPRESSED, check
from kdns.wire.relayed import Relayed

_FIXED: Final = RECORD.unpack_from

# Plain numbers: comparing with a member of an IntEnum costs as much as reading a field.
_IN, _CNAME, _SOA, _OPT = (int(number) for number in (Class.IN, Type.CNAME, Type.SOA, Type.OPT))

_POINTER: Final = 0xC0
_AT_QUESTION: Final = HEADER.size

_ADDRESSES: Final[dict[int, int]] = {Type.A: 4, Type.AAAA: 16}
_SIGNATURES: Final = frozenset({Type.TSIG, Type.SIG})  # SIG(0)

Scanned: TypeAlias = tuple[int, int, Relayed, int, bytes]
"""Message ID and flags of a reply, its records, and of its OPT record the TTL field and the RDATA."""


def scan(data: bytes) -> Scanned | None:
    """Read a reply to one question; None for one that is not well-formed or in some way unusual."""
    try:
        message_id, flags, questions, answers, authorities, additionals = HEADER.unpack_from(data)
        if not flags & Flag.QR or questions != 1:
            return None
        return message_id, flags, *_records(data, answers, authorities, additionals)
    except (ValueError, IndexError, struct_error):
        return None


def _question_end(data: bytes) -> int:
    at = _AT_QUESTION
    while size := data[at]:
        if size > MAX_LABEL:
            raise ValueError("a label has an unknown type")
        at += size + 1
    if at >= _AT_QUESTION + MAX_NAME:
        raise ValueError("a name is longer than 255 octets")
    return at + 1 + QUESTION.size


def _records(  # noqa: C901, PLR0912, PLR0915 - a call for each step would double what a record costs
    data: bytes, answers: int, authorities: int, additionals: int
) -> tuple[Relayed, int, bytes]:
    at = start = _question_end(data)
    names: _Names | None = None
    qtype = data[start - 4] << 8 | data[start - 3]
    total, unpack, addresses, size = (
        answers + authorities + additionals,
        _FIXED,
        _ADDRESSES,
        len(data),
    )
    ttls: list[int] = []
    values: list[int] = []
    sought, answered, soa, minimum, opt_ttl, options = _AT_QUESTION, False, -1, 0, 0, b""
    for number in range(total):
        if data[at] == _POINTER and data[at + 1] == _AT_QUESTION:
            owner, fixed = _AT_QUESTION, at + 2
        else:
            names = names or _Names(data, start)
            owner, fixed = names.owner(at, number < answers)
        rtype, rclass, ttl, length = unpack(data, fixed)
        rdata = fixed + 10
        end = rdata + length
        if end > size:
            raise ValueError("a record runs past the end")
        if rtype == _OPT:
            if number != total - 1 or not additionals or rdata - at != 11 or data[at]:
                raise ValueError("an OPT record is not at the end, or has an owner")
            opt_ttl, options, additionals = ttl, data[rdata:end], additionals - 1
            break
        if ttl > MAX_TTL:
            raise ValueError("the TTL counts as 0")
        if length != addresses.get(rtype) or rclass != _IN:
            names = names or _Names(data, start)
            target = names.rdata(rtype, rclass, rdata, end)
            if rtype == _CNAME and owner == sought and qtype != _CNAME:
                sought = target
            elif rtype == _SOA and soa < 0 and 0 <= number - answers < authorities:
                soa, minimum = number, int.from_bytes(data[end - 4 : end])
        if rtype == qtype and owner == sought and number < answers:
            answered = True
        ttls.append(fixed + 4 - start)
        values.append(ttl)
        at = end
    message = Relayed(
        data[_AT_QUESTION:start],
        data[start:at],
        (answers, authorities, additionals),
        array("H", ttls),
        min(values) if values else 0,
        max(values) if values else 0,
        answered,
        soa,
        minimum,
    )
    return message, opt_ttl, options


class _Names:
    """The names of a message. Methods raise for what is not well-formed or unusual."""

    __slots__ = ("_data", "_reader", "_sizes", "_start")

    def __init__(self, data: bytes, start: int) -> None:
        self._data, self._start = data, start
        self._reader: Reader | None = None
        self._sizes: dict[int, int] = {}
        """Octets, uncompressed, of every name and end of a name that was read, by its offset."""

    def owner(self, at: int, in_answer: bool) -> tuple[int, int]:
        """Where the name at ``at`` stands, which may be elsewhere, and where it ends here."""
        found, data = self._name(at), self._data
        size = self._start - QUESTION.size - _AT_QUESTION
        if in_answer and size > 1 and found[0] == at and self._sizes.get(at) == size:
            name = data[_AT_QUESTION : _AT_QUESTION + size]
            self._reader = self._reader or Reader(data, at)  # one for all: it reads each name once
            self._reader.at = at
            if self._reader.name().lower() == name.lower():
                raise ValueError("the question's name is spelt out, in the case of one client")
        return found

    def rdata(self, rtype: int, rclass: int, at: int, end: int) -> int:
        """Check it and return where the name stands that it begins with, if it does so."""
        place = at
        if rtype in COMPRESSED:
            octets, count, after = COMPRESSED[rtype]
            at += octets
            for number in range(count):
                found, at = self._name(at)
                place = place if number else found
            if at + after != end:
                raise ValueError("the data of a record have a wrong length")
        elif rtype in _SIGNATURES:
            raise ValueError("it is signed")
        else:
            check(rtype, self._data[at:end], rclass)
            if rtype == Type.SRV and rclass == Class.IN:
                self._name(at + 6)  # others may point to it
        return place

    def _name(self, at: int) -> tuple[int, int]:
        data, sizes, start = self._data, self._sizes or self._of_question(), at
        while 0 < (size := data[at]) <= MAX_LABEL:
            at += size + 1
        rest, end, place = 1, at + 1, start
        if size:
            pointer = (size << 8 | data[at + 1]) - (_POINTER << 8)
            if pointer not in sizes:
                raise ValueError("a pointer leads to what is not known as a name")
            rest, end = sizes[pointer], at + 2
            if at == start:
                return pointer, end
        if at - start + rest > MAX_NAME:
            raise ValueError("a name is longer than 255 octets")
        label = start
        while label < at:
            sizes[label] = at - label + rest
            label += data[label] + 1
        return place, end

    def _of_question(self) -> dict[int, int]:
        at, end, sizes = _AT_QUESTION, self._start - QUESTION.size, self._sizes
        while at < end:
            sizes[at] = end - at
            at += self._data[at] + 1
        return sizes
