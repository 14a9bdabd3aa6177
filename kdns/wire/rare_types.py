"""Text of the record types that are rare in a cluster, by dnspython, which is imported with the first one."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from kdns.wire.constants import Class, type_name
from kdns.wire.master_lexer import Token


def from_text(rtype: int, tokens: Iterable[Token], origin: bytes) -> bytes:
    """RDATA in wire form; ``origin`` (wire form) completes names. Raises ``ValueError``."""
    dns = _dns(rtype)
    text = "".join(_written(token) for token in tokens)
    try:
        base = dns.name.from_wire(origin, 0)[0]
        data = dns.rdata.from_text(Class.IN, rtype, text, origin=base, relativize=False)
        return bytes(data.to_wire())
    except Exception as error:  # whatever it raises, it is the text that cannot be read
        raise ValueError(str(error) or f"{type_name(rtype)} RDATA expected") from error


def to_text(rtype: int, wire: bytes) -> str:
    """RDATA as master files have it. Raises ``ValueError``, also for types that dnspython does not know.

    It prints some that it does not read, such as a certificate without octets.
    """
    dns = _dns(rtype)
    try:
        text = str(dns.rdata.from_wire(Class.IN, rtype, wire, 0, len(wire)).to_text())
        dns.rdata.from_text(Class.IN, rtype, text)
    except Exception as error:  # whatever it raises, the octets are not of the type
        raise ValueError(str(error)) from error
    return text


def _dns(rtype: int) -> ModuleType:
    """The library. Raises ``ValueError`` if the type is unknown to it."""
    import dns.rdata  # noqa: PLC0415 - takes some 70 ms

    known: type = dns.rdata.get_rdata_class(Class.IN, rtype)  # type: ignore[no-untyped-call]
    if known is dns.rdata.GenericRdata:
        raise ValueError("RDATA of this type must be written as \\# LENGTH HEX (RFC 3597)")
    return dns


def _written(token: Token) -> str:
    """The token as it stood there, in ASCII."""
    octets = token.text.encode("utf-8", "surrogateescape")
    text = "".join(chr(octet) if octet < 128 else f"\\{octet:03d}" for octet in octets)
    return ("" if token.glued else " ") + (f'"{text}"' if token.quoted else text)
