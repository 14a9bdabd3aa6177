r"""The one table of record types: which fields their RDATA has, and so how it is read, checked and printed.

The types that a cluster and its zone files have are read and printed by their fields; the text of rarer
ones, and of those that are not in the table, by dnspython (``rare_types``). Names inside RDATA are known
for all, since answers are made by them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from kdns.wire import rare_types
from kdns.wire.constants import Class, Type, type_name
from kdns.wire.fields import (
    ALGORITHM,
    BASE64,
    HEX,
    IPV4,
    IPV6,
    NAME,
    PARAMETERS,
    SECONDS,
    STRING,
    STRINGS,
    TAG,
    TEXT,
    TIME,
    TYPE,
    TYPES,
    U8,
    U16,
    U32,
    VERSION_0,
    Field,
    hex_octets,
)
from kdns.wire.master_lexer import TokenReader
from kdns.wire.scalars import number

MAX_RDATA: Final = 65535
"""Octets of RDATA (RFC 1035 section 3.2.1)."""

Compressed: TypeAlias = Literal["by all", "by some", "never"]
"""Who compresses the names inside RDATA: every sender, in the types of RFC 1035; some did so in those that
RFC 3597 section 4 lists, which are therefore decompressed and never sent so."""


class RecordType(Struct, frozen=True):
    """The fields of a type's RDATA."""

    fields: tuple[Field, ...]
    compressed: Compressed = "never"
    rare: bool = False
    """Its text is dnspython's."""


def _row(*fields: Field) -> RecordType:
    return RecordType(fields)


def _basic(*fields: Field) -> RecordType:
    return RecordType(fields, "by all")


def _early(*fields: Field) -> RecordType:
    return RecordType(fields, "by some")


def _rare(*fields: Field) -> RecordType:
    return RecordType(fields, rare=True)


RECORD_TYPES: Final[dict[int, RecordType]] = {
    Type.A: _row(IPV4),
    Type.NS: _basic(NAME),
    Type.MD: _basic(NAME),
    Type.MF: _basic(NAME),
    Type.CNAME: _basic(NAME),
    Type.SOA: _basic(NAME, NAME, U32, SECONDS, SECONDS, SECONDS, SECONDS),
    Type.MB: _basic(NAME),
    Type.MG: _basic(NAME),
    Type.MR: _basic(NAME),
    Type.PTR: _basic(NAME),
    Type.HINFO: _row(STRING, STRING),
    Type.MINFO: _basic(NAME, NAME),
    Type.MX: _basic(U16, NAME),
    Type.TXT: _row(STRINGS),
    Type.RP: _early(NAME, NAME),
    Type.AFSDB: _early(U16, NAME),
    Type.X25: _rare(STRING),
    Type.RT: _early(U16, NAME),
    Type.SIG: _row(TYPE, ALGORITHM, U8, SECONDS, TIME, TIME, U16, NAME, BASE64),
    Type.PX: _early(U16, NAME, NAME),
    Type.AAAA: _row(IPV6),
    Type.LOC: _rare(VERSION_0, U8, U8, U8, U32, U32, U32),
    Type.SRV: _early(U16, U16, U16, NAME),
    Type.NAPTR: _early(U16, U16, STRING, STRING, STRING, NAME),
    Type.KX: _early(U16, NAME),
    Type.DNAME: _early(NAME),
    Type.DS: _row(U16, ALGORITHM, U8, HEX),
    Type.SSHFP: _rare(U8, U8, HEX),
    Type.RRSIG: _row(TYPE, ALGORITHM, U8, SECONDS, TIME, TIME, U16, NAME, BASE64),
    Type.NSEC: _row(NAME, TYPES),
    Type.DNSKEY: _row(U16, U8, ALGORITHM, BASE64),
    Type.DHCID: _rare(BASE64),
    Type.NSEC3: _rare(U8, U8, U16, STRING, STRING, TYPES),
    Type.NSEC3PARAM: _rare(U8, U8, U16, STRING),
    Type.TLSA: _rare(U8, U8, U8, HEX),
    Type.SMIMEA: _rare(U8, U8, U8, HEX),
    Type.CDS: _row(U16, ALGORITHM, U8, HEX),
    Type.CDNSKEY: _row(U16, U8, ALGORITHM, BASE64),
    Type.OPENPGPKEY: _rare(BASE64),
    Type.CSYNC: _rare(U32, U16, TYPES),
    Type.ZONEMD: _rare(U32, U8, U8, HEX),
    Type.SVCB: _rare(U16, NAME, PARAMETERS),
    Type.HTTPS: _rare(U16, NAME, PARAMETERS),
    Type.SPF: _row(STRINGS),
    Type.NID: _rare(U16, U32, U32),
    Type.L32: _rare(U16, U32),
    Type.L64: _rare(U16, U32, U32),
    Type.LP: _row(U16, NAME),
    Type.EUI48: _rare(U16, U32),
    Type.EUI64: _rare(U32, U32),
    Type.URI: _rare(U16, U16, HEX),
    Type.CAA: _row(U8, TAG, TEXT),
    Type.AVC: _row(STRINGS),
    Type.RESINFO: _row(STRINGS),
    Type.WALLET: _row(STRINGS),
}

_TARGETS: Final = frozenset(
    {Type.NS, Type.CNAME, Type.SOA, Type.PTR, Type.MX, Type.SRV, Type.NAPTR, Type.DNAME}
)
"""Types whose first name leads somewhere else."""


INTERNET: Final = frozenset(
    {
        *(Type.A, Type.AAAA, Type.SRV, Type.NAPTR, Type.KX),
        *(Type.PX, Type.DHCID, Type.SVCB, Type.HTTPS, Type.APL),
    }
)
"""Types that are defined for the class IN only; one of these numbers in another class is another type."""


def _ends(fields: tuple[Field, ...]) -> tuple[Callable[[bytes, int], int], ...]:
    """How to find the end of each field, fields of fixed size taken together."""
    found = list[Callable[[bytes, int], int]]()
    for fixed, group in groupby(fields, lambda field: bool(field.size)):
        if fixed:
            found.append(_octets(sum(field.size for field in group)))
        else:
            found += [field.end for field in group]
    return tuple(found)


def _octets(size: int) -> Callable[[bytes, int], int]:
    return lambda _, at: at + size


_ENDS: Final = {rtype: _ends(row.fields) for rtype, row in RECORD_TYPES.items()}


def _names(*compressed: Compressed) -> dict[int, tuple[int, int, int]]:
    """By type, octets before the first name, how many names follow, and octets after them."""
    found = dict[int, tuple[int, int, int]]()
    for rtype, row in RECORD_TYPES.items():
        if row.compressed in compressed and rtype != Type.NAPTR:
            at, count = row.fields.index(NAME), row.fields.count(NAME)
            sizes = [field.size for field in row.fields]
            found[int(rtype)] = sum(sizes[:at]), count, sum(sizes[at + count :])
    return found


COMPRESSED: Final = _names("by all")
"""Where the names are in the types of RFC 1035: octets before the first one, their number, octets after."""

DECOMPRESSED: Final = _names("by all", "by some")
"""The same for all types that are decompressed but NAPTR, in which three strings stand before the name."""


def check(rtype: int, wire: bytes, rclass: int = Class.IN) -> None:
    """Raise ``ValueError`` if ``wire`` is not uncompressed RDATA of a type in the table.

    Types that are not in it may hold anything (RFC 3597), and those of ``INTERNET`` in another class than IN.
    """
    if rtype not in _ENDS or (rclass != Class.IN and rtype in INTERNET):
        return
    at = 0
    try:
        for end in _ENDS[rtype]:
            at = end(wire, at)
    except (IndexError, ValueError):
        at = -1
    if at != len(wire):
        raise ValueError(f"the octets are no {type_name(rtype)} RDATA")


def from_text(rtype: int, reader: TokenReader) -> bytes:
    """RDATA in wire form; ``reader`` is left at the token that is wrong, if one is. Raises ``ValueError``."""
    row = RECORD_TYPES.get(rtype)
    if reader.generic:
        wire = _generic(reader)
        check(rtype, wire)
    elif row is None or row.rare:
        wire = rare_types.from_text(rtype, reader.rest(), reader.origin)
    else:
        wire = b"".join([field.read(reader) for field in row.fields])
        if extra := reader.rest():
            raise ValueError(f"end of the record expected, not {extra[0].text!r}")
    if len(wire) > MAX_RDATA:
        raise ValueError("RDATA of at most 65535 octets expected")
    return wire


def _generic(reader: TokenReader) -> bytes:
    r"""``\# LENGTH HEX`` (RFC 3597 section 5)."""
    reader.take("\\#")
    length = number(reader.word("the length of the RDATA"), MAX_RDATA)
    tokens = reader.rest()
    if not length and tokens:
        raise ValueError(f"end of the record expected after \\# 0, not {tokens[0].text!r}")
    wire = hex_octets(tokens) if length else b""
    if len(wire) != length:
        raise ValueError(f"{length} octets in hex expected, not {len(wire)}")
    return wire


def to_text(rtype: int, wire: bytes) -> str:
    r"""Uncompressed RDATA as master files have it; ``\# LENGTH HEX`` where it is not of its type's shape."""
    row = RECORD_TYPES.get(rtype)
    try:
        if row is None or row.rare:
            return rare_types.to_text(rtype, wire)
        return _shown(row, wire)
    except (IndexError, ValueError, OverflowError):
        return f"\\# {len(wire)} {wire.hex()}".rstrip()


def _shown(row: RecordType, wire: bytes) -> str:
    at, words = 0, []
    for field in row.fields:
        end = field.end(wire, at)
        words.append(field.show(wire[at:end]))
        at = end
    if at != len(wire):
        raise ValueError("octets after the last field")
    return " ".join(filter(None, words))


def target_of(rtype: int, wire: bytes) -> bytes | None:
    """The name that RDATA of its type leads to, in wire form; None for types without one."""
    place = _target(rtype, wire)
    return None if place is None else wire[place]


def with_target(rtype: int, wire: bytes, target: bytes) -> bytes:
    """The same RDATA with another name, in wire form; unchanged for types without one."""
    place = _target(rtype, wire)
    return wire if place is None else wire[: place.start] + target + wire[place.stop :]


def _target(rtype: int, wire: bytes) -> slice | None:
    at = 0
    for field in RECORD_TYPES[rtype].fields if rtype in _TARGETS else ():
        end = field.end(wire, at)
        if field is NAME:
            return slice(at, end)
        at = end
    return None
