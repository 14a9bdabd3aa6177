"""Addresses of name servers as systems write them, and as the directive ``forward`` takes them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from ipaddress import ip_address
from typing import Final

from kdns.config.addresses import Address, parse_address
from kdns.wire.names import is_address

PORT: Final = 53

MAX_SERVERS: Final = 15
"""As many as ``forward`` takes."""

_ZONE: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,62}\.?)+", re.IGNORECASE)


def server(text: str) -> Address | None:
    """``1.1.1.1``, ``1.1.1.1:5353``, ``[fe80::1%eth0]:53``, ``1.1.1.1#name``; None for anything else."""
    text = text.partition("#")[0].strip()
    if is_address(text):
        return Address(text, PORT)
    try:
        address = parse_address(text)
    except ValueError:
        return None
    return address if is_address(address.host) and address.port else None


def servers(texts: Iterable[str]) -> list[Address]:
    """Those that are addresses, each once."""
    return list(dict.fromkeys(found for text in texts if (found := server(text))))


def others(found: Iterable[Address], ours: Collection[Address]) -> tuple[str, ...]:
    """All but ours, as arguments of ``forward``. Who listens on all addresses has those of loopback."""
    own = {_plain(address) for address in ours}
    everywhere = {address.port for address in ours if address.host in {"", "0.0.0.0", "::"}}
    left = [
        address
        for address in found
        if _plain(address) not in own and not (address.port in everywhere and is_loopback(address))
    ]
    return tuple(
        address.host if address.port == PORT else str(address) for address in left[:MAX_SERVERS]
    )


def is_loopback(address: Address) -> bool:
    return ip_address(address.host.partition("%")[0]).is_loopback


def _plain(address: Address) -> tuple[object, int]:
    host = address.host.partition("%")[0]
    return (ip_address(host) if is_address(host) else host, address.port)


def domain(text: str) -> str:
    """A domain name in lower case without final dot; "" when it is none, or the root."""
    name = text.strip().rstrip(".").lower()
    return name if len(name) < 254 and _ZONE.fullmatch(name) else ""
