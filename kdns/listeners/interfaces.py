"""The network interfaces of this machine and their addresses, by the C library's ``getifaddrs``.

Python has no such call of its own. What differs between systems is the head of a socket address: BSD
and macOS put its length before the family.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import socket
import sys
from ipaddress import IPv4Address, IPv6Address
from typing import Final

IPV4_AT: Final = 4  # octets into sockaddr_in
IPV6_AT: Final = 8  # octets into sockaddr_in6


class _InterfaceAddress(ctypes.Structure):
    """``struct ifaddrs`` up to the field that is read."""


_InterfaceAddress._fields_ = [
    ("next", ctypes.POINTER(_InterfaceAddress)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
]


def addresses() -> dict[str, list[str]]:
    """Addresses in text by interface; link-local IPv6 ones with their zone (``fe80::1%eth0``).

    Raises ``OSError`` when the system does not tell.
    """
    library = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    first = ctypes.POINTER(_InterfaceAddress)()
    if library.getifaddrs(ctypes.byref(first)):
        raise OSError(ctypes.get_errno(), "cannot list the network interfaces")
    found: dict[str, list[str]] = {}
    try:
        entry = first
        while bool(entry):  # a null pointer is false
            name = entry.contents.name.decode()
            address = _address(entry.contents.address, name)
            if address:
                found.setdefault(name, []).append(address)
            entry = entry.contents.next
    finally:
        library.freeifaddrs(first)
    return found


def _address(pointer: int | None, interface: str) -> str | None:
    if not pointer:
        return None
    head = ctypes.string_at(pointer, 2)
    family = int.from_bytes(head, sys.byteorder) if sys.platform == "linux" else head[1]
    if family == socket.AF_INET:
        return str(IPv4Address(ctypes.string_at(pointer + IPV4_AT, 4)))
    if family == socket.AF_INET6:
        return _ipv6(ctypes.string_at(pointer + IPV6_AT, 16), interface)
    return None


def _ipv6(packed: bytes, interface: str) -> str:
    address = IPv6Address(packed)
    if not address.is_link_local:
        return str(address)
    # BSD keeps the interface's number in octets that RFC 4291 section 2.5.6 has as zero.
    return f"{IPv6Address(packed[:2] + bytes(2) + packed[4:])}%{interface}"
