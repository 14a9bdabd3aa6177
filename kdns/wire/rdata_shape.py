"""Which octets are RDATA of a type: for data that came as octets and will be read again."""

from __future__ import annotations

from typing import Final

from kdns.wire import names
from kdns.wire.constants import Type


def check(rtype: int, wire: bytes) -> None:
    """Raise ``ValueError`` if ``wire`` is not RDATA of a type that answers are made from."""
    if rtype not in _SHAPES:
        return
    fixed, name_count, trailing = _SHAPES[rtype]
    at = fixed if rtype != Type.SOA else 0
    for _ in range(name_count):
        end = at
        while end < len(wire) and wire[end]:
            end += wire[end] + 1
        names.from_wire(wire[at : end + 1])
        at = end + 1
    if len(wire) != at + trailing and not (trailing < 0 and at <= len(wire)):
        raise ValueError(f"the octets are no {Type(rtype).name} RDATA")


# fixed octets, names after them, octets after those (-1: any number); SOA has its numbers last
_SHAPES: Final[dict[int, tuple[int, int, int]]] = {
    Type.A: (4, 0, 0),
    Type.AAAA: (16, 0, 0),
    Type.NS: (0, 1, 0),
    Type.CNAME: (0, 1, 0),
    Type.DNAME: (0, 1, 0),
    Type.PTR: (0, 1, 0),
    Type.MX: (2, 1, 0),
    Type.SRV: (6, 1, 0),
    Type.SOA: (0, 2, 20),
    Type.RRSIG: (18, 1, -1),
    Type.NSEC: (0, 1, -1),
    Type.SVCB: (2, 1, -1),
    Type.HTTPS: (2, 1, -1),
}
