"""Addresses to listen on as the Corefile writes them: ``:8080``, ``localhost:9153``, ``[::1]:53``."""

from __future__ import annotations

from msgspec import Struct


class Address(Struct, frozen=True, order=True):
    """A host (name or address without brackets; "" is every interface) and a port of 0 to 65535."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """``HOST:PORT``, an IPv6 host in brackets. Raises ``ValueError`` saying what is wrong."""
    host, colon, port = text.rpartition(":")
    if not colon or (host.startswith("[") and not host.endswith("]")):
        raise ValueError(f"{text!r} has no port; expected HOST:PORT or :PORT")
    if host.startswith("["):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r} has too many colons; write an IPv6 address as [ADDRESS]:PORT")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError(f"{text!r} has no valid port; expected a number of 0 to 65535")
    return Address(host, int(port))
