"""Listening where ``/ready`` will be served, before anything is imported that takes time.

Kubernetes asks for the first time some 50 ms after a container's start. Where that is refused, it asks again
``periodSeconds`` later, ten by default; so the kernel takes the connection until there is somebody to answer.
The Corefile is looked at line by line: what is listened on in vain is closed when its meaning is known, and
what is not found here is listened on then. ``typing`` and ``socket`` alone would take as long as all of this.
"""

from __future__ import annotations

import os.path
from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SO_REUSEADDR,
    SOCK_STREAM,
    SOL_SOCKET,
    SOMAXCONN,
    inet_pton,
    socket,
)
from itertools import pairwise

DEFAULT = ":8181"
"""The address of the directive ``ready`` without one."""

MAX_OCTETS = 1 << 20
"""Of a Corefile; a ConfigMap holds no more."""

MAX_SOCKETS = 64
"""More addresses than that are left to the server, which says so when it has no descriptors for them."""

held: dict[tuple[str, int], socket] = {}
"""By host ("" is every interface) and port."""


def listen(argv: list[str]) -> None:
    """Listen for the server that this command line starts, if it does. Errors are left to the server."""
    for text in _wanted(argv):
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
            continue
        address = host.strip("[]"), int(port)
        if address in held:
            continue
        if len(held) == MAX_SOCKETS:
            break
        try:
            held[address] = _listening(*address)
        except (OSError, ValueError):  # ValueError: a host that has octets no address has
            continue


def _wanted(argv: list[str]) -> list[str]:
    program, *args = argv
    if args and args[0] == "serve":
        return _values(args, ("--ready",))
    if os.path.basename(program) != "coredns" and not (args and args[0].startswith("-")):
        return []
    return _named((_values(args, ("-conf", "--conf")) or ["Corefile"])[0])


def _values(args: list[str], options: tuple[str, ...]) -> list[str]:
    """What these options are given, as ``--option VALUE`` or ``--option=VALUE``."""
    words = [word for arg in args for word in arg.split("=", 1)]
    return [value for option, value in pairwise(words) if option in options]


def _named(path: str) -> list[str]:
    """The addresses that a Corefile seems to give to ``ready``."""
    if not os.path.isfile(path):  # reading a pipe would take what is in it from the server
        return []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file.read(MAX_OCTETS).splitlines()]
    except OSError:
        return []
    return [(*words, DEFAULT)[1].replace("{", DEFAULT) for words in lines if words[:1] == ["ready"]]


def _listening(host: str, port: int) -> socket:
    """As ``socket.create_server``. Raises ``OSError``, also for a host that is no address."""
    if host:
        family = AF_INET6 if ":" in host else AF_INET
        inet_pton(family, host)  # a name might take a look-up
        return _bound(family, host, port)
    try:
        return _bound(AF_INET6, "", port)
    except OSError:  # no IPv6 here
        return _bound(AF_INET, "", port)


def _bound(family: int, host: str, port: int) -> socket:
    sock = socket(family, SOCK_STREAM)
    try:
        if not host and family == AF_INET6:
            sock.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0)
        sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(SOMAXCONN)
    except OSError:
        sock.close()
        raise
    return sock
