"""RDATA in wire form from its parts (RFC 1035 section 3.3, 2782, 3596). Names are not compressed here."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from struct import Struct

_SRV = Struct("!HHH")
_SOA = Struct("!IIIII")
_SHORT = Struct("!H")


def a(address: str) -> bytes:
    """An IPv4 address. Raises ``ValueError`` if it is none."""
    return IPv4Address(address).packed


def aaaa(address: str) -> bytes:
    """An IPv6 address. Raises ``ValueError`` if it is none."""
    return IPv6Address(address).packed


def srv(priority: int, weight: int, port: int, target: bytes) -> bytes:
    """A service location; each number 0 to 65535 (RFC 2782)."""
    return _SRV.pack(priority, weight, port) + target


def soa(mname: bytes, rname: bytes, serial: int, times: tuple[int, int, int, int]) -> bytes:
    """A start of authority; ``times`` are refresh, retry, expire and minimum in seconds."""
    return mname + rname + _SOA.pack(serial & 0xFFFFFFFF, *times)


def mx(preference: int, exchange: bytes) -> bytes:
    """A mail exchange; ``preference`` 0 to 65535."""
    return _SHORT.pack(preference) + exchange


def strings(*texts: str | bytes) -> bytes:
    """Character strings, as TXT and HINFO have them; each at most 255 octets."""
    parts = [text.encode() if isinstance(text, str) else text for text in texts]
    return b"".join([bytes((len(part),)) + part for part in parts])
