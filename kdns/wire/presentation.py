r"""Records as master files write them (RFC 1035 section 5.1), for people and for other programs.

The types that clusters and their upstreams answer with are spelt out; any other is ``\# LENGTH HEX``,
which every reader of master files takes (RFC 3597 section 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from kdns.wire.constants import Type, class_name, type_name
from kdns.wire.message import Record
from kdns.wire.names import end_of, wire_to_text

_QUOTED: Final = {ord(c): f"\\{c}" for c in '"\\'} | {
    code: f"\\{code:03d}" for code in (*range(32), *range(127, 256))
}

CONTROL_ESCAPES: Final = {code: f"\\{code:03d}" for code in (*range(32), *range(127, 160))}
"""For ``str.translate``: labels and texts may hold control characters, which must reach no terminal."""

_NUMBERS: Final[dict[int, int]] = {Type.MX: 1, Type.AFSDB: 1, Type.KX: 1, Type.SRV: 3}
"""16-bit numbers before the one name."""

_STRINGS: Final = frozenset({Type.TXT, Type.SPF, Type.HINFO})
_NAME: Final = frozenset({Type.NS, Type.CNAME, Type.PTR, Type.DNAME, *_NUMBERS})


def record_text(record: Record) -> str:
    """``OWNER TTL CLASS TYPE DATA``."""
    owner, rclass = wire_to_text(record.owner), class_name(record.rclass)
    data = rdata_text(record.rtype, record.rdata)
    return f"{owner} {record.ttl} {rclass} {type_name(record.rtype)} {data}"


def rdata_text(rtype: int, rdata: bytes) -> str:
    """The data alone. ``rdata`` is uncompressed; what is not of the type's shape is shown as octets."""
    try:
        return _known(rtype, rdata) or _octets(rdata)
    except (IndexError, ValueError):
        return _octets(rdata)


def _known(rtype: int, rdata: bytes) -> str:
    """The text of a type that is spelt out, else ""."""
    if rtype in {Type.A, Type.AAAA}:
        return str(ip_address(rdata))
    if rtype in _STRINGS:
        return " ".join(f'"{text.decode("latin-1").translate(_QUOTED)}"' for text in strings(rdata))
    if rtype in _NAME:
        end = 2 * _NUMBERS.get(rtype, 0)
        return " ".join([*_numbers(rdata[:end], 2), wire_to_text(rdata[end:])])
    if rtype == Type.SOA:
        middle, end = end_of(rdata), len(rdata) - 20
        return " ".join(
            [
                wire_to_text(rdata[:middle]),
                wire_to_text(rdata[middle:end]),
                *_numbers(rdata[end:], 4),
            ]
        )
    return ""


def strings(rdata: bytes) -> Iterator[bytes]:
    """The character strings of a TXT. Raises ``ValueError`` when they run past the end."""
    at = 0
    while at < len(rdata):
        end = at + 1 + rdata[at]
        if end > len(rdata):
            raise ValueError("a character string runs past the end of the data")
        yield rdata[at + 1 : end]
        at = end


def _numbers(rdata: bytes, size: int) -> list[str]:
    starts = range(0, len(rdata), size)
    return [str(int.from_bytes(rdata[at : at + size], "big")) for at in starts]


def _octets(rdata: bytes) -> str:
    return f"\\# {len(rdata)} {rdata.hex()}".rstrip()
