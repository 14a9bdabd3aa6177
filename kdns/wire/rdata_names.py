"""The one name inside RDATA that leads somewhere else: read, and replaced by another.

For CNAME, DNAME, NS and PTR it is all there is; MX, SRV and NAPTR have other fields before it, and of
an SOA it is the primary server, which other fields follow.
"""

from __future__ import annotations

from typing import Final

from kdns.wire.constants import Type
from kdns.wire.names import end_of

_BEFORE: Final[dict[int, int]] = {
    Type.NS: 0,
    Type.CNAME: 0,
    Type.SOA: 0,
    Type.PTR: 0,
    Type.MX: 2,
    Type.SRV: 6,
    Type.DNAME: 0,
}
"""Octets before the name; a NAPTR's have to be counted."""


def target_of(rtype: int, rdata: bytes) -> bytes | None:
    """The wire form of the name; None for types without one. ``rdata`` must be of its type."""
    start = _start(rtype, rdata)
    return None if start is None else rdata[start : end_of(rdata, start)]


def with_target(rtype: int, rdata: bytes, target: bytes) -> bytes:
    """The same RDATA with another name, in wire form; unchanged for types without one."""
    start = _start(rtype, rdata)
    if start is None:
        return rdata
    return rdata[:start] + target + rdata[end_of(rdata, start) :]


def _start(rtype: int, rdata: bytes) -> int | None:
    if rtype != Type.NAPTR:
        return _BEFORE.get(rtype)
    at = 4  # order and preference; then flags, service and regexp (RFC 3403 section 4.1)
    for _ in range(3):
        at += rdata[at] + 1
    return at
