"""Which octets are RDATA of a type: for data that came as octets and are relayed or read again.

A type's shape is a row of fields, each a small function that skips one and raises ``ValueError`` or
``IndexError`` where there is none. Types without a row may hold anything (RFC 3597).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from kdns.wire.constants import Class, Type, type_name
from kdns.wire.names import MAX_LABEL, MAX_NAME

Field: TypeAlias = Callable[[bytes, int], int]
"""Of RDATA and an offset to the offset after the field."""


def check(rtype: int, wire: bytes, rclass: int = Class.IN) -> None:
    """Raise ``ValueError`` if ``wire``, without compression, is no RDATA of the type.

    The types of ``INTERNET`` are defined for the class IN only: in another they may hold anything.
    """
    if rtype not in _SHAPES or (rclass != Class.IN and rtype in INTERNET):
        return
    at = 0
    try:
        for field in _SHAPES[rtype]:
            at = field(wire, at)
    except (ValueError, IndexError):
        at = -1
    if at != len(wire):
        raise ValueError(f"the octets are no {type_name(rtype)} RDATA")


def _octets(count: int) -> Field:
    return lambda _, at: at + count


def _name(wire: bytes, at: int) -> int:
    start = at
    while size := wire[at]:
        if size > MAX_LABEL:
            raise ValueError("a label has an unknown type")
        at += size + 1
    if at - start >= MAX_NAME:
        raise ValueError("a name is longer than 255 octets")
    return at + 1


def _string(wire: bytes, at: int) -> int:
    return at + wire[at] + 1


def _strings(wire: bytes, at: int) -> int:
    """One or more (RFC 1035 section 3.3.14)."""
    at = _string(wire, at)
    while at < len(wire):
        at = _string(wire, at)
    return at


def _rest(wire: bytes, at: int) -> int:
    return max(at, len(wire))


def _some(wire: bytes, at: int) -> int:
    """What is left, at least one octet."""
    return max(at + 1, len(wire))


def _tag(wire: bytes, at: int) -> int:
    """RFC 8659 section 4.1: ASCII letters and digits, not empty."""
    end = _string(wire, at)
    if not wire[at + 1 : end].isalnum():
        raise ValueError("a tag has other characters than letters and digits")
    return end


def _version_0(wire: bytes, at: int) -> int:
    """RFC 1876 section 2."""
    if wire[at]:
        raise ValueError("the version is not 0")
    return at + 1


def _types(wire: bytes, at: int) -> int:
    """A type bit map (RFC 4034 section 4.1.2): windows in order, none empty or with zeros at its end."""
    last = -1
    while at < len(wire):
        window, size = wire[at], wire[at + 1]
        at += 2 + size
        if window <= last or not 0 < size <= 32 or not wire[at - 1]:
            raise ValueError("a window of a type bit map is empty or out of order")
        last = window
    return at


def _parameters(wire: bytes, at: int) -> int:
    """SvcParams (RFC 9460 section 2.2): keys in strictly increasing order."""
    last = -1
    while at < len(wire):
        key = wire[at] << 8 | wire[at + 1]
        value = at + 4
        at = value + (wire[at + 2] << 8 | wire[at + 3])
        if key <= last or at > len(wire):
            raise ValueError("a service parameter is out of order or cut off")
        if key in _VALUES:
            _VALUES[key](wire[value:at])
        last = key
    return at


def _alternatives(value: bytes) -> None:
    """``alpn``: one or more strings, none empty (RFC 9460 section 7.1.1)."""
    at = 0
    while at < len(value):
        if not value[at]:
            raise ValueError("an empty protocol")
        at += value[at] + 1
    if at != len(value) or not value:
        raise ValueError("a list of protocols is empty or cut off")


def _many_of(octets: int) -> Callable[[bytes], None]:
    def checked(value: bytes) -> None:
        if not value or len(value) % octets:
            raise ValueError(f"the value is no list of {octets} octets each")

    return checked


def _exactly(octets: int) -> Callable[[bytes], None]:
    def checked(value: bytes) -> None:
        if len(value) != octets:
            raise ValueError(f"the value has not {octets} octets")

    return checked


_VALUES: Final[dict[int, Callable[[bytes], None]]] = {
    0: _many_of(2),  # mandatory
    1: _alternatives,
    2: _exactly(0),  # no-default-alpn
    3: _exactly(2),  # port
    4: _many_of(4),  # ipv4hint
    6: _many_of(16),  # ipv6hint
}
"""Values of service parameters by key (RFC 9460 section 14.3.2)."""

_ONE_NAME: Final = (_name,)
_PREFERENCE_AND_NAME: Final = (_octets(2), _name)
_TWO_NAMES: Final = (_name, _name)
_SERVICE: Final = (_octets(2), _name, _parameters)
_DIGEST: Final = (_octets(4), _some)
_CERTIFICATE: Final = (_octets(3), _some)

_SHAPES: Final[dict[int, tuple[Field, ...]]] = {
    Type.A: (_octets(4),),
    Type.AAAA: (_octets(16),),
    **dict.fromkeys((Type.NS, Type.CNAME, Type.DNAME, Type.PTR, 3, 4, 7, 8, 9), _ONE_NAME),
    **dict.fromkeys((Type.MX, Type.AFSDB, Type.KX, 21, 107), _PREFERENCE_AND_NAME),  # RT, LP
    **dict.fromkeys((Type.RP, 14), _TWO_NAMES),  # MINFO
    Type.SOA: (_name, _name, _octets(20)),
    Type.HINFO: (_string, _string),
    Type.TXT: (_strings,),
    **dict.fromkeys((Type.SPF, 258, 261, 262), (_strings,)),  # AVC, RESINFO, WALLET
    19: (_string,),  # X25
    26: (_octets(2), _name, _name),  # PX
    Type.LOC: (_version_0, _octets(15)),
    Type.SRV: (_octets(6), _name),
    Type.NAPTR: (_octets(4), _string, _string, _string, _name),
    Type.DS: _DIGEST,
    Type.CDS: _DIGEST,
    Type.SSHFP: (_octets(2), _some),
    Type.RRSIG: (_octets(18), _name, _rest),
    24: (_octets(18), _name, _rest),  # SIG
    Type.NSEC: (_name, _types),
    Type.DNSKEY: (_octets(4), _rest),
    Type.CDNSKEY: (_octets(4), _rest),
    Type.NSEC3: (_octets(4), _string, _string, _types),
    Type.NSEC3PARAM: (_octets(4), _string),
    Type.TLSA: _CERTIFICATE,
    Type.SMIMEA: _CERTIFICATE,
    Type.CSYNC: (_octets(6), _types),
    Type.ZONEMD: (_octets(6), _some),
    Type.SVCB: _SERVICE,
    Type.HTTPS: _SERVICE,
    104: (_octets(10),),  # NID
    105: (_octets(6),),  # L32
    106: (_octets(10),),  # L64
    108: (_octets(6),),  # EUI48
    109: (_octets(8),),  # EUI64
    Type.URI: (_octets(4), _some),
    Type.CAA: (_octets(1), _tag, _rest),
}

INTERNET: Final = frozenset(
    {Type.A, Type.AAAA, Type.SRV, Type.NAPTR, Type.KX, 26, Type.DHCID, Type.SVCB, Type.HTTPS}
)
"""Types that are defined for the class IN only; one of these numbers in another class is another type."""
