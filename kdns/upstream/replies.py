"""Whether a message is the reply to a query, or what anyone may have sent."""

from __future__ import annotations

from typing import Final, TypeAlias

from kdns.wire.constants import Opcode
from kdns.wire.layouts import HEADER
from kdns.wire.message import Query
from kdns.wire.requests import question
from kdns.wire.responses import Response, Unreadable, decode

_KIND: Final = 0xF8
"""QR and opcode, in the third octet."""

_QUERY: Final = 0x80 | Opcode.QUERY << 3
NOTIFY: Final = 0x80 | Opcode.NOTIFY << 3

_ONE: Final = b"\0\1"

Reply: TypeAlias = Response | Unreadable | None
"""A reply, or what was meant to be one, or a message that is no reply to this query."""


def read(data: bytes, asked: bytes, kind: int = _QUERY) -> Reply:
    """The reply that ``data`` holds, if its question is ``asked``: lower-case name, type and class.

    The caller has compared the message ID. RFC 5452 section 9.1: the question must match, letter case aside;
    the opcode too. Some servers leave the question out when they report an error.
    """
    if len(data) < HEADER.size or data[2] & _KIND != kind:
        return None
    response = decode(data)
    if (data.startswith(asked, HEADER.size) and data[4:6] == _ONE) or isinstance(
        response, Unreadable
    ):
        return response
    if response.qname:
        return response if question(response) == asked else None
    return response if response.rcode else None


def reply_to(query: Query, message_id: int, data: bytes, kind: int = _QUERY) -> Reply:
    """The same where nothing has been compared yet."""
    if int.from_bytes(data[:2], "big") != message_id:
        return None
    return read(data, question(query), kind)
