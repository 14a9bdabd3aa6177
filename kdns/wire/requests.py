"""A question as it is sent to another server.

The transport's own EDNS options stay here (cookies, keepalive, padding: RFC 6891 section 6.2.6 leaves
options hop by hop unless told otherwise); those about the question, such as a client subnet, go along.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final

from kdns.wire.constants import EdnsOption, Flag, Opcode, Type
from kdns.wire.message import Query

PAYLOAD_SIZE: Final = 1232
"""Octets that arrive unfragmented nearly everywhere (DNS flag day 2020); what is longer comes by TCP."""

_HEADER: Final = Layout("!HHHHHH")
_QUESTION: Final = Layout("!HH")
_OPT: Final = Layout("!BHHIH")
_OPTION: Final = Layout("!HH")

_PASSED_FLAGS: Final = Flag.RD | Flag.CD
_OWN_OPTIONS: Final = frozenset(
    {EdnsOption.COOKIE, EdnsOption.TCP_KEEPALIVE, EdnsOption.PADDING, EdnsOption.EXTENDED_ERROR}
)


def passed_options(query: Query) -> tuple[tuple[int, bytes], ...]:
    """The EDNS options that another server is to see."""
    if query.edns is None or not query.edns.options:
        return ()
    return tuple((code, value) for code, value in query.edns.options if code not in _OWN_OPTIONS)


def encode(query: Query, message_id: int) -> bytes:
    """The request. It has an OPT record where the asker's had one: some old servers know none."""
    # AD asks to be told whether the answer was validated (RFC 6840 section 5.7); who is told on is
    # decided for each asker.
    flags = query.flags & _PASSED_FLAGS | Flag.AD
    header = _HEADER.pack(message_id, flags, 1, 0, 0, query.edns is not None)
    question = query.qname + _QUESTION.pack(query.qtype, query.qclass)
    if query.edns is None:
        return header + question
    options = b"".join(
        [_OPTION.pack(code, len(value)) + value for code, value in passed_options(query)]
    )
    dnssec_ok = 0x8000 if query.edns.dnssec_ok else 0
    opt = _OPT.pack(0, Type.OPT, PAYLOAD_SIZE, dnssec_ok, len(options))
    return header + question + opt + options


def encode_notify(query: Query, message_id: int) -> bytes:
    """A NOTIFY of the zone that is asked for (RFC 1996 section 3.7)."""
    header = _HEADER.pack(message_id, Opcode.NOTIFY << 11 | Flag.AA, 1, 0, 0, 0)
    return header + query.qname + _QUESTION.pack(query.qtype, query.qclass)
