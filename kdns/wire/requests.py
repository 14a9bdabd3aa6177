"""A question as it is sent to another server.

The transport's own EDNS options stay here (cookies, keepalive, padding: RFC 6891 section 6.2.6 leaves
options hop by hop unless told otherwise); those about the question, such as a client subnet, go along.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final

from msgspec.structs import replace

from kdns.wire.constants import EdnsOption, Flag, Opcode, Type
from kdns.wire.layouts import HEADER_AFTER_ID, QUESTION, option
from kdns.wire.message import Query
from kdns.wire.responses import Response

PAYLOAD_SIZE: Final = 1232
"""Octets that arrive unfragmented nearly everywhere (DNS flag day 2020); what is longer comes by TCP."""

_OPT: Final = Layout("!BHHIH")
_OPT_PLAIN, _OPT_DO = (_OPT.pack(0, Type.OPT, PAYLOAD_SIZE, flags, 0) for flags in (0, 0x8000))

_PASSED_FLAGS: Final = Flag.RD | Flag.CD
_OWN_OPTIONS: Final = frozenset(
    {EdnsOption.COOKIE, EdnsOption.TCP_KEEPALIVE, EdnsOption.PADDING, EdnsOption.EXTENDED_ERROR}
)


def passed_options(query: Query) -> tuple[tuple[int, bytes], ...]:
    """The EDNS options that another server is to see."""
    if query.edns is None or not query.edns.options:
        return ()
    return tuple((code, value) for code, value in query.edns.options if code not in _OWN_OPTIONS)


def without_options(query: Query) -> Query:
    """The query with an OPT record that is empty."""
    return replace(query, edns=query.edns and replace(query.edns, options=()))


def question(asked: Query | Response) -> bytes:
    """The question section, its name in lower case."""
    return asked.qname.lower() + QUESTION.pack(asked.qtype, asked.qclass)


def body(query: Query) -> bytes:
    """The request without its message ID: equal for queries that an upstream cannot tell apart.

    The name is in lower case, since the reply may be for several clients. There is an OPT record where the
    client's query has one: some old servers know none.
    """
    # AD asks to be told whether the answer was validated (RFC 6840 section 5.7); who is told on is
    # decided for each client.
    flags, edns = query.flags & _PASSED_FLAGS | Flag.AD, query.edns
    head = HEADER_AFTER_ID.pack(flags, 1, 0, 0, edns is not None) + question(query)
    if edns is None:
        return head
    if not edns.options:
        return head + (_OPT_DO if edns.dnssec_ok else _OPT_PLAIN)
    options = b"".join([option(code, value) for code, value in passed_options(query)])
    return head + _OPT.pack(0, Type.OPT, PAYLOAD_SIZE, edns.dnssec_ok << 15, len(options)) + options


def encode(query: Query, message_id: int) -> bytes:
    """The request."""
    return message_id.to_bytes(2, "big") + body(query)


def encode_notify(query: Query, message_id: int) -> bytes:
    """A NOTIFY of the zone that is asked for (RFC 1996 section 3.7)."""
    header = HEADER_AFTER_ID.pack(Opcode.NOTIFY << 11 | Flag.AA, 1, 0, 0, 0)
    return message_id.to_bytes(2, "big") + header + question(query)
