"""Reverse names and the tree they form above the known addresses.

A *prefix* is the text form of a partial reverse name: ``"10.96."`` stands for ``96.10.in-addr.arpa``,
``"f:d00"`` for the nibbles ``0.0.d.f.ip6.arpa``. The index counts the addresses below each, so that a
partial name with names below it is an empty non-terminal and not NXDOMAIN (RFC 8020 section 2).
"""

from __future__ import annotations

from ipaddress import IPv6Address

from kdns.wire.names import IN_ADDR, IP6, Name


def prefixes(address: str) -> list[str]:
    """Every proper prefix of an address, shortest first: three for IPv4, 31 for IPv6."""
    if ":" not in address:
        first, second, third, _ = address.split(".")
        return [f"{first}.", f"{first}.{second}.", f"{first}.{second}.{third}."]
    nibbles = IPv6Address(address).packed.hex()
    return [f"{nibbles[0]}:{nibbles[1:size]}" for size in range(1, 32)]


def prefix_of(name: Name) -> str | None:
    """The prefix that a partial reverse name stands for; None for any other name."""
    if name[-2:] == IN_ADDR and 2 < len(name) < 6:
        octets = name[-3::-1]
        return ".".join(octets) + "." if all(map(str.isdigit, octets)) else None
    if name[-2:] == IP6 and 2 < len(name) < 34:
        nibbles = name[-3::-1]
        if all(len(nibble) == 1 for nibble in nibbles):
            return f"{nibbles[0]}:{''.join(nibbles[1:])}"
    return None
