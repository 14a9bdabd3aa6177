"""Fields that RDATA consists of: each reads its text, finds its end in wire form, and prints itself.

Knows nothing of types, entries, owners or files; errors are ``ValueError`` saying what was expected.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from msgspec import Struct

from kdns.wire import names, rdata
from kdns.wire.constants import type_name
from kdns.wire.master_lexer import Token, TokenReader
from kdns.wire.scalars import domain_name, duration, number, string, type_number

_ALGORITHMS: Final = {
    "RSAMD5": 1,
    "DH": 2,
    "DSA": 3,
    "RSASHA1": 5,
    "RSASHA256": 8,
    "RSASHA512": 10,
    "ECDSAP256SHA256": 13,
    "ECDSAP384SHA384": 14,
    "ED25519": 15,
    "ED448": 16,
}
_QUOTED: Final = {ord(c): f"\\{c}" for c in '"\\'} | {
    code: f"\\{code:03d}" for code in (*range(32), *range(127, 256))
}
_MOST_BITS: Final = 32  # octets of a window of a type bit map


class Field(Struct, frozen=True):
    """One field of a type's RDATA."""

    read: Callable[[TokenReader], bytes]
    """From text, to wire form."""
    end: Callable[[bytes, int], int]
    """Where the field that begins there ends. Raises ``ValueError`` or ``IndexError`` where none does."""
    show: Callable[[bytes], str]
    """Its wire form as text."""
    size: int = 0
    """Octets; 0 where that differs."""


def _fixed(size: int, read: Callable[[TokenReader], bytes], show: Callable[[bytes], str]) -> Field:
    return Field(read, lambda _, at: at + size, show, size)


def _number(octets: int) -> Field:
    most = (1 << 8 * octets) - 1
    return _fixed(
        octets,
        lambda reader: number(reader.word("a number"), most).to_bytes(octets),
        lambda wire: str(int.from_bytes(wire)),
    )


def _read_name(reader: TokenReader) -> bytes:
    token = reader.take("a domain name")
    if token.quoted:
        raise ValueError(f"a domain name without quotes expected, not {token.text!r}")
    return domain_name(token.text, reader.origin)


def _end_of_name(wire: bytes, at: int) -> int:
    start = at
    while size := wire[at]:
        if size > names.MAX_LABEL:
            raise ValueError("a label has an unknown type")
        at += size + 1
    if at - start >= names.MAX_NAME:
        raise ValueError("a name is longer than 255 octets")
    return at + 1


def _read_duration(reader: TokenReader) -> bytes:
    return duration(reader.word("a time in seconds"), 0xFFFFFFFF).to_bytes(4)


def _read_aaaa(reader: TokenReader) -> bytes:
    text = reader.word("an IPv6 address")
    if "%" in text:
        raise ValueError(f"an IPv6 address without a zone expected, not {text!r}")
    return rdata.aaaa(text)


def _octets(text: str) -> bytes:
    return string(text.encode("utf-8", "surrogateescape"))


def _counted(octets: bytes) -> bytes:
    if len(octets) > 255:
        raise ValueError(f"a string of at most 255 octets expected, not {len(octets)}")
    return bytes((len(octets),)) + octets


def _quoted(octets: bytes) -> str:
    return f'"{octets.decode("latin-1").translate(_QUOTED)}"'


def _read_string(reader: TokenReader) -> bytes:
    return _counted(_octets(reader.word("a string")))


def _end_of_string(wire: bytes, at: int) -> int:
    return at + 1 + wire[at]


def _read_strings(reader: TokenReader) -> bytes:
    first = _read_string(reader)
    return first + b"".join(_counted(_octets(token.text)) for token in reader.rest())


def strings(wire: bytes) -> Iterator[bytes]:
    """The character strings of a TXT. Raises ``ValueError`` when they run past the end."""
    at = 0
    while at < len(wire):
        end = at + 1 + wire[at]
        if end > len(wire):
            raise ValueError("a character string runs past the end of the data")
        yield wire[at + 1 : end]
        at = end


def _end_of_strings(wire: bytes, at: int) -> int:
    """One or more (RFC 1035 section 3.3.14)."""
    at = _end_of_string(wire, at)
    while at < len(wire):
        at = _end_of_string(wire, at)
    return at


def _read_tag(reader: TokenReader) -> bytes:
    """RFC 8659 section 4.1: ASCII letters and digits, not empty."""
    tag = reader.word("a tag such as issue")
    if not (tag.isascii() and tag.isalnum() and len(tag) < 256):
        raise ValueError(f"a tag of letters and digits expected, not {tag[:40]!r}")
    return _counted(tag.encode())


def _end_of_tag(wire: bytes, at: int) -> int:
    end = _end_of_string(wire, at)
    if not wire[at + 1 : end].isalnum():
        raise ValueError("a tag of letters and digits expected")
    return end


def hex_octets(tokens: tuple[Token, ...]) -> bytes:
    """Octets in hex, however they are divided into words."""
    text = "".join(token.text for token in tokens)
    try:
        if text.isalnum():
            return bytes.fromhex(text)
    except ValueError:
        pass
    raise ValueError(f"an even number of hex digits expected, not {text[:40]!r}")


def _read_base64(reader: TokenReader) -> bytes:
    text = "".join(token.text for token in reader.rest())
    try:
        octets = b64decode(text, validate=True)
    except ValueError:
        octets = b""
    if not octets:
        raise ValueError(f"base64 text expected, not {text[:40]!r}")
    return octets


def _show_base64(wire: bytes) -> str:
    """A key or signature without octets can be sent but not written."""
    if not wire:
        raise ValueError("no octets")
    return b64encode(wire).decode()


def _rest(wire: bytes, at: int) -> int:
    return max(len(wire), at)


def _some(wire: bytes, at: int) -> int:
    """What is left, at least one octet."""
    return max(len(wire), at + 1)


def _read_types(reader: TokenReader) -> bytes:
    """A type bit map (RFC 4034 section 4.1.2)."""
    windows: dict[int, bytearray] = {}
    for token in reader.rest():
        window, low = divmod(type_number(token.text), 256)
        windows.setdefault(window, bytearray(_MOST_BITS))[low // 8] |= 0x80 >> low % 8
    maps = [(window, bytes(windows[window]).rstrip(b"\0")) for window in sorted(windows)]
    return b"".join(bytes((window, len(bits))) + bits for window, bits in maps)


def _end_of_types(wire: bytes, at: int) -> int:
    """Windows are in order, none is empty or has zeros at its end."""
    last = -1
    while at < len(wire):
        window, size = wire[at], wire[at + 1]
        at += 2 + size
        if window <= last or not 0 < size <= _MOST_BITS or not wire[at - 1]:
            raise ValueError("a window of a type bit map is empty or out of order")
        last = window
    return at


def _show_types(wire: bytes) -> str:
    found, at = list[str](), 0
    while at < len(wire):
        window, size = wire[at], wire[at + 1]
        bits = int.from_bytes(wire[at + 2 : at + 2 + size])
        most = 8 * size - 1
        found += [type_name(window << 8 | n) for n in range(8 * size) if bits >> most - n & 1]
        at += 2 + size
    return " ".join(found)


def _read_algorithm(reader: TokenReader) -> bytes:
    text = reader.word("a DNSSEC algorithm")
    return bytes((_ALGORITHMS.get(text.upper()) or number(text, 255),))


def _read_time(reader: TokenReader) -> bytes:
    """RFC 4034 section 3.2: YYYYMMDDHHmmSS in UTC, or seconds since 1970."""
    text = reader.word("a time")
    if len(text) != 14:
        return number(text, 0xFFFFFFFF).to_bytes(4)
    try:
        moment = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"a time as YYYYMMDDHHmmSS expected, not {text!r}") from None
    return (int(moment.timestamp()) & 0xFFFFFFFF).to_bytes(4)


def _show_time(wire: bytes) -> str:
    return datetime.fromtimestamp(int.from_bytes(wire), UTC).strftime("%Y%m%d%H%M%S")


def _end_of_version(wire: bytes, at: int) -> int:
    if wire[at]:
        raise ValueError("the version is not 0")
    return at + 1


def _end_of_parameters(wire: bytes, at: int) -> int:
    """SvcParams (RFC 9460 section 2.2): keys in strictly increasing order."""
    last = -1
    while at < len(wire):
        key, value = wire[at] << 8 | wire[at + 1], at + 4
        at = value + (wire[at + 2] << 8 | wire[at + 3])
        if key <= last or at > len(wire):
            raise ValueError("a service parameter is out of order or cut off")
        if key in _PARAMETER_SIZES:
            size, unit = at - value, _PARAMETER_SIZES[key]
            if size % unit[0] or not unit[1] <= size <= unit[2]:
                raise ValueError("the value of a service parameter has a wrong length")
        if key == _ALPN and not all(strings(wire[value:at])):
            raise ValueError("a protocol's name is empty")
        last = key
    return at


_ALPN: Final = 1
_PARAMETER_SIZES: Final[dict[int, tuple[int, int, int]]] = {
    0: (2, 2, 0xFFFF),  # mandatory
    _ALPN: (1, 2, 0xFFFF),
    2: (1, 0, 0),  # no-default-alpn
    3: (2, 2, 2),  # port
    4: (4, 4, 0xFFFF),  # ipv4hint
    6: (16, 16, 0xFFFF),  # ipv6hint
}
"""Octets of service parameters by key (RFC 9460 section 7): a multiple of the first, from the second to the
third number."""

U8, U16, U32 = _number(1), _number(2), _number(4)
SECONDS: Final = _fixed(4, _read_duration, U32.show)
IPV4: Final = _fixed(
    4, lambda reader: rdata.a(reader.word("an IPv4 address")), lambda wire: str(IPv4Address(wire))
)
IPV6: Final = _fixed(16, _read_aaaa, lambda wire: str(IPv6Address(wire)))
NAME: Final = Field(_read_name, _end_of_name, names.wire_to_text)
STRING: Final = Field(_read_string, _end_of_string, lambda wire: _quoted(wire[1:]))
STRINGS: Final = Field(
    _read_strings, _end_of_strings, lambda wire: " ".join(map(_quoted, strings(wire)))
)
TAG: Final = Field(_read_tag, _end_of_tag, lambda wire: wire[1:].decode("ascii"))
TEXT: Final = Field(lambda reader: _octets(reader.word("a value")), _rest, _quoted)
HEX: Final = Field(lambda reader: hex_octets(reader.rest()), _some, bytes.hex)
BASE64: Final = Field(_read_base64, _rest, _show_base64)
TYPES: Final = Field(_read_types, _end_of_types, _show_types)
TYPE: Final = _fixed(
    2,
    lambda reader: type_number(reader.word("a type")).to_bytes(2),
    lambda wire: type_name(int.from_bytes(wire)),
)
VERSION_0: Final = Field(U8.read, _end_of_version, U8.show)
"""Of a LOC (RFC 1876 section 2)."""
PARAMETERS: Final = Field(HEX.read, _end_of_parameters, bytes.hex)
ALGORITHM: Final = _fixed(1, _read_algorithm, U8.show)
TIME: Final = _fixed(4, _read_time, _show_time)
