"""From an Answer to the octets of a reply, compressed and cut to what the client accepts.

Records are in wire form already, so encoding is joining: owners become pointers to names that stand
earlier in the message (RFC 1035 section 4.1.4), as do the names inside the RDATA of the types that
RFC 3597 section 4 allows it for.

``encode`` makes what does not depend on the client (``Encoded``), ``Encoded.reply`` the reply to one
client: its own question section (letter case), EDNS size, cookie, and whatever of the sections fits.
Pointers into the question stay right for every letter case, so one ``Encoded`` serves them all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from kdns.wire.address_records import AddressRecords
from kdns.wire.constants import Class, EdnsOption, Flag, Rcode, Type
from kdns.wire.message import Answer, ExtendedError, Query, Record
from kdns.wire.names import end_of
from kdns.wire.relayed import Run, spliced

MIN_UDP: Final = 512
"""Octets that every client accepts (RFC 1035 section 2.3.4)."""

MAX_UDP: Final = 1232
"""Octets of the largest datagram unless ``bufsize`` says otherwise: it arrives unfragmented nearly
everywhere (DNS flag day 2020), and a forged source address gains no more than it by asking us."""

MAX_BUFSIZE: Final = 4096
"""Octets that ``bufsize`` may allow at the most; CoreDNS's bound."""

MAX_MESSAGE: Final = 65535

_HEADER: Final = Layout("!HHHHH")
_FIXED: Final = Layout("!HHIH")
_OWNED: Final = Layout("!HHHIH")
"""The same behind a pointer to the owner."""
_QUESTION: Final = Layout("!HH")
_MAX_POINTER: Final = 0x3FFF
_TRANSFER_OCTETS: Final = 16 * 1024
"""Of a message of a zone transfer: as far as pointers reach, so that all names are compressed."""
_ECHOED_FLAGS: Final = 0x7800 | Flag.RD | Flag.CD  # opcode and the client's own bits are sent back

_COOKIE_HEADER: Final = int(EdnsOption.COOKIE).to_bytes(2, "big")
_OPT: Final = b"\0\0\x29"
"""Owner and type of the OPT record."""
_OPT_OCTETS: Final = 11
_OPTION_OCTETS: Final = 4
"""Octets of the OPT record, and of an option in it, without their data."""

_WHOLE_NAME: Final = frozenset({Type.NS, Type.CNAME, Type.PTR})
_WITH_NAMES: Final = _WHOLE_NAME | {Type.SOA, Type.MX}
"""Names in the data of these types are compressed."""
_NEVER_CUT: Final = 128
"""Octets of sections that fit behind any question, with an OPT record and a cookie, in ``MIN_UDP``."""
_QNAME: Final = 0xC00C
"""A pointer to the name in the question section."""
_ROTATING: Final = frozenset({Type.A, Type.AAAA})


class Encoded(Struct, frozen=True, gc=False):
    """A reply without what is one client's own: ID, letter case, EDNS size, cookie."""

    flags: int
    """The header's second word, TC only where the answer is truncated for every client."""
    counts: tuple[int, int, int]
    """Records in the answer, authority and additional section; no OPT."""
    sections: bytes
    """The three sections, which follow the question section in the message."""
    ends: tuple[int, ...] = ()
    """Where in ``sections`` each record ends, those of ``run`` left out."""
    run: Run | None = None
    payload_limit: int = MAX_UDP
    """Octets of a reply over UDP at the most."""
    opt_ttl: bytes = b""
    """Extended rcode, version and DO bit of the OPT record; b"" without one."""
    options: bytes = b""
    """EDNS options without cookie and Extended DNS Errors."""
    errors: bytes = b""
    """Extended DNS Errors as EDNS options."""
    head: bytes = b""
    """The header of a reply that fits whole."""
    is_cut: bool = False
    """Whether records were left out because even the largest reply asked for has no room for them."""

    def limit(self, payload_size: int) -> int:
        """Octets of a reply over UDP to a client that accepts ``payload_size``; 0 without EDNS."""
        return max(min(payload_size, self.payload_limit), MIN_UDP)

    def reply(
        self,
        question: bytes,
        limit: int,
        payload_size: int = 0,
        cookie: bytes = b"",
        turn: int = 0,
        errors: bytes | None = None,
    ) -> bytes:
        """The message without its ID, at most ``limit`` octets with it.

        ``question`` is the client's question section, ``payload_size`` what the OPT record tells the
        client, ``cookie`` the data of a COOKIE option, ``turn`` the number of the address that comes first,
        ``errors`` takes the place of the Extended DNS Errors.

        What does not fit is left out and TC set, but not for additional records alone (RFC 2181
        section 9). Extended DNS Errors never push a record out: they are shortened or left out.
        """
        sections, opt_ttl = self.sections, self.opt_ttl
        room = limit - 12 - len(question) - len(sections)
        if not opt_ttl:
            if room >= 0 and not turn:
                return self.head + question + sections
            return self._reply(question, room, b"", b"", turn, b"")
        options = self.options
        if cookie:
            options += _COOKIE_HEADER + len(cookie).to_bytes(2, "big") + cookie
        room -= _OPT_OCTETS + len(options)
        payload = payload_size.to_bytes(2, "big")
        if errors is None:
            errors = self.errors
        if room < len(errors) or turn:
            return self._reply(question, room, options, payload, turn, errors)
        options += errors
        length = len(options).to_bytes(2, "big")
        return b"".join((self.head, question, sections, _OPT, payload, opt_ttl, length, options))

    def _reply(
        self,
        question: bytes,
        room: int,
        options: bytes,
        payload: bytes,
        turn: int,
        errors: bytes,
    ) -> bytes:
        """One that does not fit whole, which is so where ``room`` is negative, or whose addresses rotate."""
        head, sections = self.head, self.sections
        if room < 0:
            flags, counts, sections = self._cut(len(sections) + room, turn)
            room += len(self.sections) - len(sections)
            head = _HEADER.pack(flags, 1, *counts[:2], counts[2] + bool(self.opt_ttl))
        elif turn and self.run is not None:
            sections = self._rotated(turn)
        opt = b""
        if self.opt_ttl:
            options += _fitting(errors, room)
            opt = b"".join((_OPT, payload, self.opt_ttl, len(options).to_bytes(2, "big"), options))
        return b"".join((head, question, sections, opt))

    def _rotated(self, turn: int) -> bytes:
        run = self.run
        assert run is not None
        at = run.start + turn % run.count * run.size
        end = run.start + run.size * run.count
        sections = self.sections
        return b"".join(
            (sections[: run.start], sections[at:end], sections[run.start : at], sections[end:])
        )

    def _cut(self, room: int, turn: int) -> tuple[int, tuple[int, int, int], bytes]:
        """Flags, counts and sections of what fits into ``room`` octets."""
        answers, authorities, _ = self.counts
        run, truncated = self.run, self.flags | Flag.TC
        if run is not None and run.start + run.size * run.count > room >= run.start:
            fits = (room - run.start) // run.size
            sections = self._rotated(turn)[: run.start + fits * run.size]
            return truncated, (answers - run.count + fits, 0, 0), sections
        before = bisect_right(self.ends, room)  # without the run, which fits or is far behind
        end = self.ends[before - 1] if before else 0
        count = before
        if run is not None and room >= run.start + run.size * run.count:
            end = max(end, run.start + run.size * run.count)
            count += run.count
        sections = (self._rotated(turn) if turn and run else self.sections)[:end]
        if count < answers:
            return truncated, (count, 0, 0), sections
        if count < answers + authorities:
            return truncated, (answers, count - answers, 0), sections
        return self.flags, (answers, authorities, count - answers - authorities), sections


def _fitting(errors: bytes, room: int) -> bytes:
    """Extended DNS Errors as EDNS options, the last that fits shortened to ``room`` octets in all."""
    fitting, at = b"", 0
    while at < len(errors) and (left := room - len(fitting)) >= _OPTION_OCTETS + 2:
        end = at + _OPTION_OCTETS + int.from_bytes(errors[at + 2 : at + 4], "big")
        error, at = errors[at:end], end
        if len(error) > left:
            text = error[6:left].decode(errors="ignore").encode()
            error = _option(EdnsOption.EXTENDED_ERROR, error[4:6] + text)
        fitting += error
    return fitting


class _Writer:
    """The message so far and where its names are."""

    def __init__(self, qname: bytes = b"", before: int = 12) -> None:
        self.out = bytearray(before)
        self.names: dict[bytes, int] = {}
        if qname:
            self.name(qname)
            self.out += b"\0\0\0\0"  # type and class

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
            suffix = wire[at:]
            if suffix in names:  # then what follows is known too
                return
            names[suffix] = offset + at
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
        names, out = self.names, self.out
        for record in records:
            before = len(out)
            known = names.get(record.owner)
            if known is None or record.rtype in _WITH_NAMES:
                self.record(record)
            else:  # ``record`` at once, since most are such: addresses, and thousands of SRV
                rdata = record.rdata
                fixed = _OWNED.pack(
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


def encode(
    query: Query, answer: Answer, *, whole: bool = False, recursion_available: bool = False
) -> Encoded:
    """The reply to ``query`` without what is one client's own.

    Over UDP only as many records are encoded as the client accepts octets, unless ``whole``: then, as
    over TCP, as many as any message holds. ``recursion_available`` sets RA whatever the answer says.
    """
    payload_limit = min(answer.payload_limit or MAX_UDP, MAX_BUFSIZE)
    room = MAX_MESSAGE
    if query.transport == "udp" and not whole:
        size = query.edns.payload_size if query.edns else 0
        room = max(min(size, payload_limit), MIN_UDP)
    room -= 12 + len(query.qname) + _QUESTION.size
    sections, counts, ends, run, is_cut = (
        _only_addresses(query, answer)
        or _relayed(query, answer)  # before what looks at records, which would be made for it
        or _only_soa(query, answer)
        or _sections(query, answer, room)
    )
    flags = _flags(query, answer) | (Flag.RA if recursion_available else 0)
    if is_cut and counts[:2] != (len(answer.answer), len(answer.authority)):
        flags |= Flag.TC
    opt_ttl = options = b""
    errors = b""
    if query.edns is not None:
        do = b"\x80\0" if query.edns.dnssec_ok else b"\0\0"
        opt_ttl = bytes((answer.rcode >> 4 & 0xFF, 0)) + do
        options = b"".join([_option(code, value) for code, value in answer.options])
        errors = b"".join(map(error_option, answer.errors))
    answers = min(counts[0], MAX_MESSAGE)  # so many never fit, and each reply has its own head then
    head = _HEADER.pack(flags, 1, answers, counts[1], counts[2] + bool(opt_ttl))
    return Encoded(
        *(flags, counts, sections, ends, run, payload_limit, opt_ttl, options, errors, head, is_cut)
    )


def reply(query: Query, encoded: Encoded, cookie: bytes = b"", turn: int = 0) -> bytes:
    """The message without its ID to the client that sent ``query``, over its transport."""
    size = encoded.limit(query.edns.payload_size) if query.edns else MIN_UDP
    limit = size if query.transport == "udp" else MAX_MESSAGE
    return encoded.reply(question_section(query), limit, size, cookie, turn)


def question_section(query: Query) -> bytes:
    """In the client's letter case."""
    return (query.spelling or query.qname) + _QUESTION.pack(query.qtype, query.qclass)


_Sections = tuple[bytes, tuple[int, int, int], tuple[int, ...], Run | None, bool]


def _sections(query: Query, answer: Answer, room: int) -> _Sections:
    """The sections, their counts, where records end, the addresses at the answer's end, and whether cut."""
    writer = _Writer(query.qname)
    before = len(writer.out)
    room += before
    answers = writer.records(answer.answer, room)
    authorities: list[int] = []
    additionals: list[int] = []
    is_cut = len(answers) < len(answer.answer)
    if not is_cut:
        authorities = writer.records(answer.authority, room)
        is_cut = len(authorities) < len(answer.authority)
    if not is_cut:
        additionals = writer.records(answer.additional, room)
        is_cut = len(additionals) < len(answer.additional)
    counts = (len(answers), len(authorities), len(additionals))
    run = _run(answer.answer, before, answers)
    if run is not None:
        run = Run(run.start - before, run.size, run.count)
        del answers[len(answers) - run.count :]
    ends = tuple([end - before for end in (*answers, *authorities, *additionals)])
    return bytes(writer.out[before:]), counts, ends, run, is_cut


def _relayed(query: Query, answer: Answer) -> _Sections | None:
    """Sections with another server's records as they came; None where a stage changed them."""
    message = spliced(query, answer)
    if message is None:
        return None
    body, run, ends = message.body, message.addresses(), list[int]()
    if len(body) > _NEVER_CUT:
        ends = [message.end_of(number) for number in range(sum(message.counts))]
    if ends and run is not None:
        del ends[message.counts[0] - run.count : message.counts[0]]
    return body, message.counts, tuple(ends), run, False


def _only_addresses(query: Query, answer: Answer) -> _Sections | None:
    """Sections that have nothing but addresses of the name queried; None if they have more.

    All of them, for each reply has others where they rotate.
    """
    records = answer.answer
    if not isinstance(records, AddressRecords) or records.owner != query.qname:
        return None
    if answer.authority or answer.additional or not records.owner[0] or not records:
        return None
    width, octets, count = records.width, records.octets, len(records)
    fixed = _OWNED.pack(_QNAME, records.rtype, Class.IN, records.ttl, width)
    if count == 1:
        sections = fixed + octets
        return sections, (1, 0, 0), (len(sections),), None, False
    size = len(fixed) + width
    block = bytearray((fixed + bytes(width)) * count)
    for at in range(width):
        block[len(fixed) + at :: size] = octets[at::width]
    return bytes(block), (count, 0, 0), (), Run(0, size, count), False


def _only_soa(query: Query, answer: Answer) -> _Sections | None:
    """Sections that have nothing but the SOA of a zone above the question; None if they have more.

    All names in it are pointers into the question or follow from the zone's, so that one rendering
    serves for all questions with as much before the zone: what a flood of random names costs.
    """
    if answer.answer or len(answer.authority) != 1 or answer.additional:
        return None
    soa = answer.authority[0]
    if soa.rtype != Type.SOA or not soa.owner[0] or not query.qname.endswith(soa.owner):
        return None
    sections = _soa_below(soa, len(query.qname) - len(soa.owner))
    return sections, (0, 1, 0), (len(sections),), None, False


@lru_cache(maxsize=1024)
def _soa_below(soa: Record, before: int) -> bytes:
    """The SOA in a message whose question has so many octets before the SOA's owner."""
    writer = _Writer(soa.owner, 12 + before)
    start = len(writer.out)
    writer.record(soa)
    return bytes(writer.out[start:])


def encode_following(records: Iterable[Record]) -> Iterator[bytes]:
    """The messages of a zone transfer after the first, without their IDs, while ``records`` are read.

    RFC 5936 section 2.2: the question section may be empty in them.
    """
    writer, count = _Writer(), 0
    for record in records:
        end = len(writer.out) + len(record.owner) + _FIXED.size + len(record.rdata)
        if count and (len(writer.out) >= _TRANSFER_OCTETS or end > MAX_MESSAGE):
            yield _following(writer, count)
            writer, count = _Writer(), 0
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
        return data[:2] + reply(query, encoded)
    flags = int.from_bytes(data[2:4], "big") & _ECHOED_FLAGS | Flag.QR | rcode & 0xF
    return data[:2] + _HEADER.pack(flags, 0, 0, 0, 0)


def _flags(query: Query, answer: Answer) -> int:
    # RFC 6891 section 6.1.3: without an OPT record there is no room for the upper bits.
    rcode = Rcode.SERVFAIL if answer.rcode > 0xF and query.edns is None else answer.rcode
    flags = Flag.QR | query.flags & _ECHOED_FLAGS | rcode & 0xF
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
    """RFC 6840 sections 5.7 and 5.8: AD is for clients that sent DO or AD."""
    return bool(query.flags & Flag.AD) or (query.edns is not None and query.edns.dnssec_ok)


def _option(code: int, value: bytes) -> bytes:
    return code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value


def error_option(error: ExtendedError) -> bytes:
    """An Extended DNS Error as an EDNS option."""
    text = error.text.encode(errors="replace")
    return _option(EdnsOption.EXTENDED_ERROR, error.code.to_bytes(2, "big") + text)


def _run(records: Sequence[Record], start: int, ends: list[int]) -> Run | None:
    """The address records at the end of the answer section, if there are several of one size."""
    if len(ends) < 2 or records[len(ends) - 1].rtype not in _ROTATING:
        return None
    last = len(ends) - 1
    owner, rtype, size = records[last].owner, records[last].rtype, ends[last] - ends[last - 1]
    first = 0 if isinstance(records, AddressRecords) else last
    while first and (records[first - 1].owner, records[first - 1].rtype) == (owner, rtype):
        first -= 1
    begin = ends[first] - size
    if first == last or begin != (ends[first - 1] if first else start):
        return None  # a single one, or the first of them spells its owner out
    return Run(begin, size, last - first + 1)
