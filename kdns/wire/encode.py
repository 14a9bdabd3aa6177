"""From an Answer to the bytes of a reply, compressed and cut to what the asker takes.

Records are in wire form already, so encoding is joining: owners become pointers to names that stand
earlier in the message (RFC 1035 section 4.1.4), as do the names inside the RDATA of the types that
RFC 3597 section 4 allows it for. The message ID is left out: a kept reply serves any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from kdns.wire.constants import EdnsOption, Flag, Rcode, Type
from kdns.wire.message import Answer, ExtendedError, Query, Record
from kdns.wire.names import end_of
from kdns.wire.relayed import Relayed, Run, spliced

MIN_UDP: Final = 512
"""Octets that every asker takes (RFC 1035 section 2.3.4)."""

MAX_MESSAGE: Final = 65535

MAX_UDP: Final = 65507
"""Octets of the largest datagram that IPv4 carries: a longer one is not sent at all."""

_HEADER: Final = Layout("!HHHHH")
_FIXED: Final = Layout("!HHIH")
_QUESTION: Final = Layout("!HH")
_MAX_POINTER: Final = 0x3FFF
_TRANSFER_OCTETS: Final = 16 * 1024
"""Of a message of a zone transfer: as far as pointers reach, so that all names are compressed."""
_KEPT_FLAGS: Final = 0x7800 | Flag.RD | Flag.CD  # opcode and the asker's own bits are sent back

_WHOLE_NAME: Final = frozenset({Type.NS, Type.CNAME, Type.PTR})
_ROTATING: Final = frozenset({Type.A, Type.AAAA})


class Encoded(Struct, frozen=True, gc=False):
    """A reply without its message ID."""

    body: bytes
    run: Run | None = None

    def rotations(self, most: int) -> list[bytes]:
        """Up to ``most`` bodies with the addresses in turn first; one when there is no choice."""
        if self.run is None:
            return [self.body]
        start, size, count = self.run.start, self.run.size, self.run.count
        head, tail = self.body[:start], self.body[start + size * count :]
        records = self.body[start : start + size * count]
        step = max(1, count // most)
        turns = [at * size for at in range(0, count, step)][:most]
        return [head + records[at:] + records[:at] + tail for at in turns]


class _Writer:
    """The message so far and where its names stand."""

    def __init__(self, query: Query | None, before: int = 12) -> None:
        self.out = bytearray(before)
        self.names: dict[bytes, int] = {}
        if query is not None:
            self.name(query.qname)
            self.out += _QUESTION.pack(query.qtype, query.qclass)

    def name(self, wire: bytes) -> None:
        """Append a name, its longest known suffix as a pointer. Letter case is kept, so it counts."""
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
            names.setdefault(wire[at:], offset + at)
            at += wire[at] + 1

    def record(self, record: Record) -> None:
        self.name(record.owner)
        out, rdata = self.out, record.rdata
        start = len(out) + 8
        out += _FIXED.pack(record.rtype, record.rclass, record.ttl, len(rdata))
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
        for record in records:
            before = len(self.out)
            self.record(record)
            if len(self.out) > room:
                del self.out[before:]  # names noted in there are never met: it was the last one
                break
            ends.append(len(self.out))
        return ends


def encode(query: Query, answer: Answer) -> Encoded:
    """The reply to ``query``, at most as long as the asker takes over its transport.

    What does not fit is left out and TC set, but not for additional records alone (RFC 2181
    section 9). The OPT record (RFC 6891 section 6.1.1) is there exactly when the request had one.
    """
    payload = _payload(query, answer)
    limit = MAX_MESSAGE if query.transport != "udp" else payload
    opt = _opt(query, answer, limit, payload)
    room = limit - len(opt)
    message = spliced(query, answer)
    if message is not None:
        return _relayed(query, answer, message, opt, room)
    if not answer.answer and (body := _negative(query, answer, opt, room)) is not None:
        return Encoded(body)
    writer = _Writer(query)
    start = len(writer.out)
    ends = writer.records(answer.answer, room)
    cut = len(ends) < len(answer.answer)
    authorities = 0 if cut else len(writer.records(answer.authority, room))
    cut = cut or authorities < len(answer.authority)
    additionals = 0 if cut else len(writer.records(answer.additional, room))
    flags = _flags(query, answer) | (Flag.TC if cut else 0)
    header = _HEADER.pack(flags, 1, len(ends), authorities, additionals + bool(opt))
    body = b"".join((header, writer.out[12:], opt))
    return Encoded(body, _run(answer.answer, start, ends))


def _relayed(query: Query, answer: Answer, whole: Relayed, opt: bytes, room: int) -> Encoded:
    """A reply with another server's records as they came, those that fit."""
    question = query.qname + _QUESTION.pack(query.qtype, query.qclass)
    message = whole.cut_to(room - 12 - len(question))
    answers, authorities, additionals = message.counts
    flags = _flags(query, answer)
    if message is not whole and message.counts[:2] != whole.counts[:2]:
        flags |= Flag.TC
    header = _HEADER.pack(flags, 1, answers, authorities, additionals + bool(opt))
    run = message.addresses()
    if run is not None:
        run = Run(run.start + len(header) + len(question), run.size, run.count)
    return Encoded(b"".join((header, question, message.body, opt)), run)


def _negative(query: Query, answer: Answer, opt: bytes, room: int) -> bytes | None:
    """A reply that has nothing but the SOA of a zone above the question; None if it has more.

    All names in it are pointers into the question or follow from the zone's, so that one rendering
    serves for all questions with as much before the zone: what a flood of random names costs.
    """
    if len(answer.authority) != 1 or answer.additional:
        return None
    soa = answer.authority[0]
    if soa.rtype != Type.SOA or not soa.owner[0] or not query.qname.endswith(soa.owner):
        return None
    section = _soa_below(soa, len(query.qname) - len(soa.owner))
    question = query.qname + _QUESTION.pack(query.qtype, query.qclass)
    if 12 + len(question) + len(section) > room:
        return None
    header = _HEADER.pack(_flags(query, answer), 1, 0, 1, bool(opt))
    return b"".join((header, question, section, opt))


@lru_cache(maxsize=1024)
def _soa_below(soa: Record, before: int) -> bytes:
    """The SOA in a message whose question has so many octets before the SOA's owner."""
    writer = _Writer(Query(soa.owner, (), Type.SOA), 12 + before)
    start = len(writer.out)
    writer.record(soa)
    return bytes(writer.out[start:])


def encode_following(records: Iterable[Record]) -> Iterator[bytes]:
    """The messages of a zone transfer after the first, without their IDs, while ``records`` are read.

    RFC 5936 section 2.2: the question section may be empty in them.
    """
    writer, count = _Writer(None), 0
    for record in records:
        end = len(writer.out) + len(record.owner) + _FIXED.size + len(record.rdata)
        if count and (len(writer.out) >= _TRANSFER_OCTETS or end > MAX_MESSAGE):
            yield _following(writer, count)
            writer, count = _Writer(None), 0
        writer.record(record)
        count += 1
    if count:
        yield _following(writer, count)


def _following(writer: _Writer, count: int) -> bytes:
    return _HEADER.pack(Flag.QR | Flag.AA, 0, count, 0, 0) + writer.out[12:]


def encode_error(query: Query | None, data: bytes, rcode: int) -> bytes:
    """The reply, with its ID, to a request that could not be served or not even be read."""
    if query is not None:
        encoded = encode(query, Answer(rcode, authoritative=False))
        return data[:2] + encoded.body
    flags = int.from_bytes(data[2:4], "big") & _KEPT_FLAGS | Flag.QR | rcode & 0xF
    return data[:2] + _HEADER.pack(flags, 0, 0, 0, 0)


def _payload(query: Query, answer: Answer) -> int:
    """Octets that a datagram to the asker may have."""
    if query.edns is None:
        return MIN_UDP
    return max(min(query.edns.payload_size, answer.payload_limit, MAX_UDP), MIN_UDP)


def _flags(query: Query, answer: Answer) -> int:
    # RFC 6891 section 6.1.3: without an OPT record there is no room for the upper bits.
    rcode = Rcode.SERVFAIL if answer.rcode > 0xF and query.edns is None else answer.rcode
    flags = Flag.QR | query.flags & _KEPT_FLAGS | rcode & 0xF
    if answer.recursion_desired is not None:
        flags = flags & ~Flag.RD | (Flag.RD if answer.recursion_desired else 0)
    if answer.authoritative:
        flags |= Flag.AA
    if answer.recursion_available:
        flags |= Flag.RA
    if answer.authenticated and _may_authenticate(query):
        flags |= Flag.AD
    if answer.truncated:
        flags |= Flag.TC
    return flags


def _may_authenticate(query: Query) -> bool:
    """RFC 6840 sections 5.7 and 5.8: AD is for who asked with DO or AD."""
    return bool(query.flags & Flag.AD) or (query.edns is not None and query.edns.dnssec_ok)


def _opt(query: Query, answer: Answer, limit: int, payload: int) -> bytes:
    if query.edns is None:
        return b""
    options = b"".join([_option(code, value) for code, value in answer.options])
    for error in answer.errors:
        explanation = _option(*_extended(error))
        if len(options) + len(explanation) <= limit // 2:  # it never pushes the answer out
            options += explanation
    do = 0x8000 if query.edns.dnssec_ok else 0
    ttl = (answer.rcode >> 4) << 24 | do
    # The size is the asker's own, as the peer has it: what both can take.
    fixed = _FIXED.pack(Type.OPT, payload, ttl, len(options))
    return b"\0" + fixed + options


def _option(code: int, value: bytes) -> bytes:
    return code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


def _extended(error: ExtendedError) -> tuple[int, bytes]:
    return EdnsOption.EXTENDED_ERROR, error.code.to_bytes(2, "big") + error.text.encode(
        errors="replace"
    )


def _run(records: Sequence[Record], start: int, ends: list[int]) -> Run | None:
    """The address records at the end of the answer section, if there are several of one size."""
    if len(ends) < 2 or records[len(ends) - 1].rtype not in _ROTATING:
        return None
    last = len(ends) - 1
    owner, rtype, size = records[last].owner, records[last].rtype, ends[last] - ends[last - 1]
    first = last
    while first and (records[first - 1].owner, records[first - 1].rtype) == (owner, rtype):
        first -= 1
    begin = ends[first] - size
    if first == last or begin != (ends[first - 1] if first else start):
        return None  # a single one, or the first of them spells its owner out
    return Run(begin - 2, size, last - first + 1)
