"""Serial numbers of zones, which wrap around (RFC 1982)."""

from __future__ import annotations

from typing import Final

from kdns.wire.message import Record

_HALF: Final = 1 << 31


def serial_of(soa: Record) -> int:
    """The serial of an SOA record (RFC 1035 section 3.3.13)."""
    return int.from_bytes(soa.rdata[-20:-16])


def is_newer(serial: int, other: int) -> bool:
    """Whether ``serial`` comes after ``other``, both of 32 bits (RFC 1982 section 3.2).

    Not where they are half of all numbers apart: neither comes after the other then.
    """
    return 0 < (serial - other) % (1 << 32) < _HALF
