"""Where ``kdns laptop`` listens: port 53 of a loopback address, or another port where that is not allowed."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Final

from kdns.config.addresses import Address
from kdns.config.tree import ConfigError
from kdns.system.doctor import PLACES

CANDIDATES: Final = tuple(
    place for place in PLACES if place.host == "127.0.0.1" or sys.platform.startswith("linux")
)
"""A resolver of the system may be at the first; all of 127.0.0.0/8 is loopback on Linux alone."""


def choose() -> Address:
    """The first that is free and allowed. Raises ``ConfigError`` when none is."""
    problems: list[str] = []
    for address in CANDIDATES:
        problem = _try(address)
        if not problem:
            return address
        problems.append(f"{address}: {problem}")
    raise ConfigError(f"cannot listen on {'; '.join(problems)}. Name another one by --listen")


def hint(address: Address) -> str:
    """How port 53 could be had, the only one that a resolv.conf can name; "" where that is no matter."""
    if address != CANDIDATES[-1] or _try(CANDIDATES[0]) in {"", "in use"}:
        return ""
    how = "sudo kdns laptop"
    if sys.platform.startswith("linux"):
        how = "sudo sysctl net.ipv4.ip_unprivileged_port_start=53, and start again"
    return f"port 53 is not allowed to you; where it is needed: {how}"


def _try(address: Address) -> str:
    """Why the address cannot be had, "" when it can."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((address.host, address.port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return "in use"
                return error.strerror or str(error)
    return ""
