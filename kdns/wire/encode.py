"""From an Answer to the octets of a reply, compressed and cut to what the client accepts.

Records are in wire form already, so encoding is joining: owners become pointers to names that stand
earlier in the message, as do the names inside the RDATA of some types (``writer``). ``encode`` makes what
does not depend on the client (``encoded``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from kdns.wire.address_records import AddressRecords
from kdns.wire.constants import Class, Flag, Rcode, Type
from kdns.wire.encoded import (
    MAX_BUFSIZE,
    MAX_UDP,
    MIN_UDP,
    Encoded,
    error_option,
)
from kdns.wire.layouts import HEADER, HEADER_AFTER_ID, MAX_MESSAGE, OWNED, QUESTION, option
from kdns.wire.message import Answer, Query, Record
from kdns.wire.relayed import Run, spliced
from kdns.wire.writer import Writer

_ECHOED_FLAGS: Final = 0x7800 | Flag.RD | Flag.CD  # opcode and the client's own bits are sent back
_NEVER_CUT: Final = 128
"""Octets of sections that fit behind any question, with an OPT record and a cookie, in ``MIN_UDP``."""
_QNAME: Final = 0xC00C
"""A pointer to the name in the question section."""
_ROTATING: Final = frozenset({Type.A, Type.AAAA})


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
    room -= HEADER.size + len(query.qname) + QUESTION.size
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
        options = b"".join([option(code, value) for code, value in answer.options])
        errors = b"".join(map(error_option, answer.errors))
    answers = min(counts[0], MAX_MESSAGE)  # so many never fit, and each reply has its own head then
    head = HEADER_AFTER_ID.pack(flags, 1, answers, counts[1], counts[2] + bool(opt_ttl))
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
    return (query.spelling or query.qname) + QUESTION.pack(query.qtype, query.qclass)


_Sections = tuple[bytes, tuple[int, int, int], tuple[int, ...], Run | None, bool]


def _sections(query: Query, answer: Answer, room: int) -> _Sections:
    """The sections, their counts, where records end, the addresses at the answer's end, and whether cut."""
    writer = Writer(query.qname)
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
    fixed = OWNED.pack(_QNAME, records.rtype, Class.IN, records.ttl, width)
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
    writer = Writer(soa.owner, 12 + before)
    start = len(writer.out)
    writer.record(soa)
    return bytes(writer.out[start:])


def encode_error(query: Query | None, data: bytes, rcode: int) -> bytes:
    """The reply, with its ID, to a request that could not be served or not even be read."""
    if query is not None:
        encoded = encode(query, Answer(rcode, authoritative=False))
        return data[:2] + reply(query, encoded)
    flags = int.from_bytes(data[2:4], "big") & _ECHOED_FLAGS | Flag.QR | rcode & 0xF
    return data[:2] + HEADER_AFTER_ID.pack(flags, 0, 0, 0, 0)


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
