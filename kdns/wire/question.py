"""From a request's bytes to a Query, or to what must be said instead.

The usual request (one question without compression, at most an OPT record after it) is read here with
a few slices. Everything else that is well-formed goes to ``codec``, which is slower and complete.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.wire.codec import Undecodable, decode
from kdns.wire.constants import EdnsOption, Flag, Opcode, Rcode
from kdns.wire.layouts import HEADER, OPTION, QUESTION
from kdns.wire.message import Edns, Query, Transport
from kdns.wire.names import BadNameError, from_wire

_OPT: Final = Layout("!BHHBBHH")  # root, type, payload size, extended rcode, version, flags, length

_OPT_TYPE: Final = 41
_DNSSEC_OK: Final = 0x8000
_OPCODE: Final = 0x7800


class Rejected(Struct, frozen=True):
    """A request that gets an error reply and goes no further."""

    rcode: int
    query: Query | None = None
    """The question, where it could be read."""


Parsed: TypeAlias = Query | Rejected | None

Place: TypeAlias = tuple[Transport, str, int, tuple[str, int]]
"""How and from where a request came, and where to: those fields of a Query."""


def parse(
    data: bytes,
    client: str,
    port: int,
    transport: Transport,
    server: tuple[str, int] = ("", 0),
) -> Parsed:
    """Read a query or NOTIFY that came from ``client`` and ``port`` to ``server``.

    None means silence: shorter than a header, or itself a response.

    RFC 1035 section 4.1; RFC 6891 sections 6.1.1 (one OPT only) and 6.1.3 (BADVERS); RFC 9619: exactly
    one question. ``Rejected`` has FORMERR, NOTIMP or BADVERS.
    """
    if len(data) < 12:
        return None
    _, flags, questions, answers, authorities, additionals = HEADER.unpack_from(data)
    if flags & Flag.QR:
        return None
    if flags & _OPCODE and flags & _OPCODE != Opcode.NOTIFY << 11:
        return Rejected(Rcode.NOTIMP)
    if questions != 1:
        return Rejected(Rcode.FORMERR)
    if answers or authorities or additionals > 1:
        return _unusual(data, (transport, client, port, server))
    query = _usual(data, flags, additionals, (transport, client, port, server))
    return _checked(query) if query else _unusual(data, (transport, client, port, server))


def _usual(data: bytes, flags: int, additionals: int, place: Place) -> Query | None:
    end = data.find(b"\0", 12) + 1
    spelling = data[12:end]
    qname = spelling.lower()
    # A zero octet inside a label (or none at all) makes from_wire fail: unusual.
    try:
        name = from_wire(qname)
    except BadNameError:
        return None
    if len(data) < end + 4:
        return None
    qtype, qclass = QUESTION.unpack_from(data, end)
    edns = None
    if additionals:
        edns = _opt(data, end + 4)
        if edns is None:
            return None
    elif len(data) != end + 4:
        return None
    message_id = data[0] << 8 | data[1]
    query = Query(qname, name, qtype, qclass, message_id, flags, edns, *place)
    return query if qname == spelling else replace(query, spelling=spelling)


def _opt(data: bytes, at: int) -> Edns | None:
    """The OPT record that ends the message; None if it is anything else."""
    if len(data) < at + 11:
        return None
    root, rtype, size, _, version, flags, length = _OPT.unpack_from(data, at)
    if root or rtype != _OPT_TYPE or len(data) != at + 11 + length:
        return None
    options = edns_options(data[at + 11 :]) if length else ()
    return None if options is None else Edns(size, version, bool(flags & _DNSSEC_OK), options)


def edns_options(data: bytes) -> tuple[tuple[int, bytes], ...] | None:
    """The options in an OPT record's RDATA (RFC 6891 section 6.1.2); None if they are cut off."""
    options, at = [], 0
    while at + 4 <= len(data):
        code, length = OPTION.unpack_from(data, at)
        at += 4 + length
        options.append((code, data[at - length : at]))
    return tuple(options) if at == len(data) else None


def _unusual(data: bytes, place: Place) -> Parsed:
    decoded = decode(data)
    if isinstance(decoded, Undecodable):
        return Rejected(Rcode.FORMERR)
    options = edns_options(decoded.options)
    if decoded.opt_records > 1 or options is None:
        return Rejected(Rcode.FORMERR)
    edns = None
    if decoded.opt_records:
        edns = Edns(decoded.payload_size, decoded.version, decoded.dnssec_ok, options)
    message_id, flags = HEADER.unpack_from(data)[:2]
    try:
        name = from_wire(decoded.qname)
    except BadNameError:
        return Rejected(Rcode.FORMERR)
    qname = decoded.qname.lower()
    return _checked(
        Query(
            *(qname, name, decoded.qtype, decoded.qclass, message_id, flags, edns),
            *place,
            serial=decoded.serial,
            spelling=decoded.qname if decoded.qname != qname else b"",
        )
    )


def _checked(query: Query) -> Query | Rejected:
    if query.edns is None:
        return query
    if query.edns.version:
        return Rejected(Rcode.BADVERS, query)
    for code, value in query.edns.options:
        # RFC 7873 section 5.2.2: a COOKIE option of a wrong length is a format error
        if code == EdnsOption.COOKIE and len(value) != 8 and not 16 <= len(value) <= 40:
            return Rejected(Rcode.FORMERR, query)
    return query
