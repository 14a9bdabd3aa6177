"""RDATA from its presentation format: each type is a row of fields, each field one small reader.

Also checks RDATA given in the generic form of RFC 3597, for answers are made by reading it again.
Knows nothing of entries, owners or files; errors are ``ValueError`` saying what was expected.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as BinaryError
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from kdns.wire import rdata
from kdns.wire.constants import Type
from kdns.wire.loc_text import loc
from kdns.wire.master_lexer import Token
from kdns.wire.rdata_shape import check
from kdns.wire.scalars import domain_name, duration, number, string, type_number
from kdns.wire.svcb_text import parameters

MAX_RDATA: Final = 65535
GENERIC: Final = ("\\#", False)
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
_BASE32HEX: Final = "0123456789abcdefghijklmnopqrstuv"

Field = Callable[["Reader"], bytes]


class Reader:
    """The tokens of one RDATA, taken from the left."""

    def __init__(self, tokens: tuple[Token, ...], origin: bytes) -> None:
        self._tokens = tokens
        self._at = 0
        self.origin = origin

    @property
    def line(self) -> int:
        """Line of the token read last, or of the first."""
        return self._tokens[max(self._at - 1, 0)].line if self._tokens else 0

    @property
    def generic(self) -> bool:
        """Whether the generic form of RFC 3597 section 5 stands here."""
        return self._tokens[:1] != () and (self._tokens[0].text, self._tokens[0].quoted) == GENERIC

    def take(self, what: str) -> Token:
        if self._at >= len(self._tokens):
            raise ValueError(f"{what} expected, but the record ends")
        self._at += 1
        return self._tokens[self._at - 1]

    def word(self, what: str) -> str:
        return self.take(what).text

    def rest(self) -> tuple[Token, ...]:
        tokens = self._tokens[self._at :]
        self._at = len(self._tokens)
        return tokens


def encode(rtype: int, reader: Reader) -> bytes:
    """RDATA of ``rtype`` in wire form; ``reader`` is left at the token that is wrong, if one is."""
    if reader.generic:
        wire = _generic(reader)
        check(rtype, wire)
    elif rtype in FORMS:
        wire = b"".join([field(reader) for field in FORMS[rtype]])
        if extra := reader.rest():
            raise ValueError(f"end of the record expected, not {extra[0].text!r}")
    else:
        raise ValueError("RDATA of this type must be written as \\# LENGTH HEX (RFC 3597)")
    if len(wire) > MAX_RDATA:
        raise ValueError("RDATA of at most 65535 octets expected")
    return wire


def _generic(reader: Reader) -> bytes:
    reader.take("\\#")
    length = number(reader.word("the length of the RDATA"), MAX_RDATA)
    wire = _hex_of(reader.rest()) if length else b"".join(map(_no_more, reader.rest()))
    if len(wire) != length:
        raise ValueError(f"{length} octets in hex expected, not {len(wire)}")
    return wire


def _no_more(token: Token) -> bytes:
    raise ValueError(f"end of the record expected after \\# 0, not {token.text!r}")


def _number(octets: int) -> Field:
    most = (1 << 8 * octets) - 1
    return lambda reader: number(reader.word("a number"), most).to_bytes(octets)


def _name(reader: Reader) -> bytes:
    token = reader.take("a domain name")
    if token.quoted:
        raise ValueError(f"a domain name without quotes expected, not {token.text!r}")
    return domain_name(token.text, reader.origin)


def _duration(reader: Reader) -> bytes:
    return duration(reader.word("a time in seconds"), 0xFFFFFFFF).to_bytes(4)


def _a(reader: Reader) -> bytes:
    return rdata.a(reader.word("an IPv4 address"))


def _aaaa(reader: Reader) -> bytes:
    text = reader.word("an IPv6 address")
    if "%" in text:
        raise ValueError(f"an IPv6 address without a zone expected, not {text!r}")
    return rdata.aaaa(text)


def _string(reader: Reader) -> bytes:
    return _counted(string(reader.word("a string").encode("utf-8", "surrogateescape")))


def _strings(reader: Reader) -> bytes:
    first = _string(reader)
    return first + b"".join(
        _counted(string(token.text.encode("utf-8", "surrogateescape"))) for token in reader.rest()
    )


def _counted(octets: bytes) -> bytes:
    if len(octets) > 255:
        raise ValueError(f"a string of at most 255 octets expected, not {len(octets)}")
    return bytes((len(octets),)) + octets


def _uncounted(reader: Reader) -> bytes:
    return string(reader.word("a value").encode("utf-8", "surrogateescape"))


def _tag(reader: Reader) -> bytes:
    """RFC 8659 section 4.1: ASCII letters and digits, not empty."""
    tag = reader.word("a tag such as issue")
    if not (tag.isascii() and tag.isalnum() and len(tag) < 256):
        raise ValueError(f"a tag of letters and digits expected, not {tag[:40]!r}")
    return _counted(tag.encode())


def _hex(reader: Reader) -> bytes:
    return _hex_of(reader.rest())


def _hex_of(tokens: tuple[Token, ...]) -> bytes:
    text = "".join(token.text for token in tokens)
    try:
        return bytes.fromhex(text) if text.isalnum() else _fail_hex(text)
    except ValueError:
        return _fail_hex(text)


def _fail_hex(text: str) -> bytes:
    raise ValueError(f"an even number of hex digits expected, not {text[:40]!r}")


def _base64(reader: Reader) -> bytes:
    text = "".join(token.text for token in reader.rest())
    try:
        octets = b64decode(text, validate=True)
    except (BinaryError, ValueError):
        octets = b""
    if not octets:
        raise ValueError(f"base64 text expected, not {text[:40]!r}")
    return octets


def _salt(reader: Reader) -> bytes:
    token = reader.take("a salt in hex or -")
    return b"\0" if token.text == "-" else _counted(_hex_of((token,)))


def _hash(reader: Reader) -> bytes:
    """RFC 5155 section 3.3: base32 with the extended hex alphabet, without padding."""
    text = reader.word("a hash in base32").lower()
    digits = [_BASE32HEX.find(char) for char in text]
    if min(digits) < 0 or len(text) * 5 % 8 > 4:
        raise ValueError(f"a hash in base32 (hex alphabet) expected, not {text[:40]!r}")
    bits = "".join(format(digit, "05b") for digit in digits)
    return _counted(bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits) // 8 * 8, 8)))


def _types(reader: Reader) -> bytes:
    """A type bit map (RFC 4034 section 4.1.2)."""
    windows: dict[int, bytearray] = {}
    for token in reader.rest():
        window, low = divmod(type_number(token.text), 256)
        windows.setdefault(window, bytearray(32))[low // 8] |= 0x80 >> low % 8
    maps = [(window, bytes(windows[window]).rstrip(b"\0")) for window in sorted(windows)]
    return b"".join(bytes((window, len(bits))) + bits for window, bits in maps)


def _type(reader: Reader) -> bytes:
    return type_number(reader.word("a type")).to_bytes(2)


def _algorithm(reader: Reader) -> bytes:
    text = reader.word("a DNSSEC algorithm")
    return bytes((_ALGORITHMS.get(text.upper()) or number(text, 255),))


def _time(reader: Reader) -> bytes:
    """RFC 4034 section 3.2: YYYYMMDDHHmmSS in UTC, or seconds since 1970."""
    text = reader.word("a time")
    if len(text) != 14:
        return number(text, 0xFFFFFFFF).to_bytes(4)
    try:
        moment = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"a time as YYYYMMDDHHmmSS expected, not {text!r}") from None
    return (int(moment.timestamp()) & 0xFFFFFFFF).to_bytes(4)


def _loc(reader: Reader) -> bytes:
    return loc([token.text for token in reader.rest()])


def _service(reader: Reader) -> bytes:
    """SvcPriority, TargetName and SvcParams of RFC 9460 section 2.1."""
    head = _number(2)(reader) + _name(reader)
    pairs: list[tuple[str, bytes | None]] = []
    for token in reader.rest():
        if token.glued and token.quoted and pairs and pairs[-1][1] == b"":
            pairs[-1] = pairs[-1][0], string(token.text.encode("utf-8", "surrogateescape"))
            continue
        key, equals, value = token.text.partition("=")
        octets = string(value.encode("utf-8", "surrogateescape"))
        pairs.append((key, octets if equals else None))
    return head + parameters(pairs, alias=head[:2] == b"\0\0")


_u8, _u16, _u32 = _number(1), _number(2), _number(4)
_DS: Final = (_u16, _algorithm, _u8, _hex)
_KEY: Final = (_u16, _u8, _algorithm, _base64)
_TLSA: Final = (_u8, _u8, _u8, _hex)

FORMS: Final[dict[int, tuple[Field, ...]]] = {
    Type.A: (_a,),
    Type.NS: (_name,),
    Type.CNAME: (_name,),
    Type.SOA: (_name, _name, _u32, _duration, _duration, _duration, _duration),
    Type.PTR: (_name,),
    Type.HINFO: (_string, _string),
    Type.MX: (_u16, _name),
    Type.TXT: (_strings,),
    Type.RP: (_name, _name),
    Type.AFSDB: (_u16, _name),
    Type.AAAA: (_aaaa,),
    Type.LOC: (_loc,),
    Type.SRV: (_u16, _u16, _u16, _name),
    Type.NAPTR: (_u16, _u16, _string, _string, _string, _name),
    Type.KX: (_u16, _name),
    Type.DNAME: (_name,),
    Type.DS: _DS,
    Type.SSHFP: (_u8, _u8, _hex),
    Type.RRSIG: (_type, _algorithm, _u8, _duration, _time, _time, _u16, _name, _base64),
    Type.NSEC: (_name, _types),
    Type.DNSKEY: _KEY,
    Type.DHCID: (_base64,),
    Type.NSEC3: (_u8, _u8, _u16, _salt, _hash, _types),
    Type.NSEC3PARAM: (_u8, _u8, _u16, _salt),
    Type.TLSA: _TLSA,
    Type.SMIMEA: _TLSA,
    Type.CDS: _DS,
    Type.CDNSKEY: _KEY,
    Type.OPENPGPKEY: (_base64,),
    Type.CSYNC: (_u32, _u16, _types),
    Type.ZONEMD: (_u32, _u8, _u8, _hex),
    Type.SVCB: (_service,),
    Type.HTTPS: (_service,),
    Type.SPF: (_strings,),
    Type.URI: (_u16, _u16, _uncounted),
    Type.CAA: (_u8, _tag, _uncounted),
}
