"""What another server replied: from its bytes to flags, errors and records, names inside RDATA decompressed.

A reply is whatever somebody sent. Anything that is no well-formed DNS message becomes ``Unreadable``. The
records of nearly every reply stay as they came until somebody looks at them (``scan``, ``relayed``); what is
unusual is read record by record here.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from kdns.wire.constants import EdnsOption, Flag, Type
from kdns.wire.layouts import HEADER, QUESTION
from kdns.wire.message import ExtendedError, Record
from kdns.wire.question import edns_options
from kdns.wire.reader import Reader
from kdns.wire.record_types import check
from kdns.wire.relayed import sections
from kdns.wire.scan import Scanned, scan

_SIGNATURES: Final = frozenset({Type.TSIG, Type.SIG})  # SIG(0); they concern the transport

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
    answer: Sequence[Record] = ()
    authority: Sequence[Record] = ()
    additional: Sequence[Record] = ()
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
            and (self.qname == qname or self.qname.lower() == qname.lower())
        )


def decode(data: bytes) -> Response | Unreadable:
    """Read a reply. Never raises."""
    try:
        scanned = scan(data)
        return _read(data) if scanned is None else _response(scanned)
    except (IndexError, struct.error):
        return Unreadable("it ends too early")
    except ValueError as error:
        return Unreadable(str(error))


def _response(scanned: Scanned) -> Response:
    message_id, flags, message, opt_ttl, options = scanned
    question = message.question
    qtype, qclass = QUESTION.unpack(question[-4:])
    answer, authority, additional = sections(message)
    return Response(
        message_id,
        flags,
        flags & 0xF | opt_ttl >> 24 << 4,
        question[:-4],
        qtype,
        qclass,
        answer,
        authority,
        additional,
        _errors(options) if options else (),
    )


def _read(data: bytes) -> Response:
    """A reply of unusual shape."""
    message_id, flags, questions, *counts = HEADER.unpack_from(data)
    if not flags & Flag.QR:
        raise ValueError("it is a question")
    if questions > 1:
        raise ValueError(f"it has {questions} questions")
    reader = Reader(data, HEADER.size)
    qname, qtype, qclass = b"", 0, 0
    if questions:
        qname = reader.name()
        qtype, qclass = reader.unpack(QUESTION)
    answer, authority, additional = ([reader.record() for _ in range(count)] for count in counts)
    opt = _opt(answer + authority, additional)
    found = (_checked(answer), _checked(authority), _checked(additional))
    rcode = flags & 0xF | (opt.ttl >> 24 << 4 if opt else 0)
    errors = _errors(opt.rdata) if opt else ()
    return Response(message_id, flags, rcode, qname, qtype, qclass, *found, errors)


def _opt(others: list[Record], additional: list[Record]) -> Record | None:
    """RFC 6891 section 6.1.1: one at the most, in the additional section, its owner the root."""
    found = [record for record in additional if record.rtype == Type.OPT]
    misplaced = any(record.rtype == Type.OPT for record in others)
    if misplaced or len(found) > 1 or any(record.owner != b"\0" for record in found):
        raise ValueError("an OPT record is misplaced, or one of several")
    return found[0] if found else None


def _checked(records: list[Record]) -> tuple[Record, ...]:
    """Those that are data. Raises ``ValueError`` if one is not of its type's shape."""
    for record in records:
        check(record.rtype, record.rdata, record.rclass)
    hop_by_hop = {Type.OPT, *_SIGNATURES}
    return tuple([record for record in records if record.rtype not in hop_by_hop])


def _errors(data: bytes) -> tuple[ExtendedError, ...]:
    options = edns_options(data)
    if options is None:
        raise ValueError("an EDNS option is cut off")
    return tuple(
        [
            ExtendedError(int.from_bytes(value[:2], "big"), _words(value[2:]))
            for code, value in options
            if code == EdnsOption.EXTENDED_ERROR and len(value) >= 2
        ]
    )


def _words(text: bytes) -> str:
    """A reason from elsewhere, which goes to logs and terminals: one line, of a bounded length."""
    return text[:MAX_REASON].decode("utf-8", "replace").translate(_CONTROL)
