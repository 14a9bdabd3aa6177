"""The parts of a message that have a fixed size (RFC 1035 section 4.1, RFC 6891 section 6.1.2)."""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final

MAX_MESSAGE: Final = 65535
"""Octets of a message: what its length has room for over TCP and TLS (RFC 1035 section 4.2.2)."""

HEADER: Final = Layout("!HHHHHH")
"""Message ID, flags, and the numbers of records of the four sections."""

HEADER_AFTER_ID: Final = Layout("!HHHHH")
"""The header of a message without its ID."""

QUESTION: Final = Layout("!HH")
"""What follows the name in a question: type and class."""

RECORD: Final = Layout("!HHIH")
"""What stands between the owner of a record and its RDATA: type, class, TTL, octets of RDATA."""

OWNED: Final = Layout("!HHHIH")
"""The same behind an owner that is a pointer."""

OPTION: Final = Layout("!HH")
"""What stands before the data of an EDNS option: code and length."""

EMPTY_OPT: Final = 11
"""Octets of an OPT record without options."""


def option(code: int, value: bytes) -> bytes:
    """An EDNS option."""
    return OPTION.pack(code, len(value)) + value
