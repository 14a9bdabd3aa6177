"""Control data of datagrams: the address that one was sent to, and when the kernel received it.

A socket that is bound to every address sends from whichever one the route to the client has, and a client
takes a reply from no other address than the one that it queried. So the kernel is asked which one that was
(``IP_PKTINFO`` of ip(7), ``IPV6_RECVPKTINFO`` of RFC 3542 section 6), and the same control message, sent
with the reply, makes it leave from there. The time (``SO_TIMESTAMPNS`` of socket(7)) says how long a
datagram has waited.
"""

from __future__ import annotations

import ctypes
import socket
import sys
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

ControlMessage: TypeAlias = tuple[int, int, bytes]
"""Level, type and data, as ``socket.recvmsg`` and ``socket.sendmsg`` have them."""

WILDCARDS: Final = frozenset({"0.0.0.0", "::"})
"""Addresses to bind to that mean every address of the host."""

# Python has names for these two from 3.12 and 3.15 on.
_IP_PKTINFO: Final = {"linux": 8, "darwin": 26}.get(sys.platform, 0)
_SO_TIMESTAMPNS: Final = {"linux": 35}.get(sys.platform, 0)
_IPV6_RECVPKTINFO: Final = getattr(socket, "IPV6_RECVPKTINFO", 0)
_IPV6_PKTINFO: Final = getattr(socket, "IPV6_PKTINFO", 0)

_TIME: Final = Struct("@ll")  # struct timespec
_HEADER: Final = Struct("@Nii")  # struct cmsghdr
_INTERFACE: Final = 4  # octets of an interface's index
_LINK_LOCAL: Final = b"\xfe\x80"  # RFC 4291 section 2.5.6: 54 zeros follow the prefix of ten bits
_PREFIX: Final = int.from_bytes(_LINK_LOCAL, sys.byteorder)


class _Info(NamedTuple):
    """``struct in_pktinfo`` or ``in6_pktinfo``: how it is identified, its size, where its fields are."""

    kind: tuple[int, int]
    size: int
    interface: int
    address: slice


_INFO: Final = {
    # The second of the three fields: what to answer from, also when a broadcast address was queried.
    socket.AF_INET: _Info((socket.IPPROTO_IP, _IP_PKTINFO), 12, 0, slice(4, 8)),
    socket.AF_INET6: _Info((socket.IPPROTO_IPV6, _IPV6_PKTINFO), 20, 16, slice(0, 16)),
}
_STAMP: Final = (socket.SOL_SOCKET, _SO_TIMESTAMPNS)


def request(sock: socket.socket, host: str) -> None:
    """Have the kernel add control data to what arrives at a socket that will be bound to ``host``.

    Called before the binding, so that no datagram comes without. A system that refuses is served without:
    replies leave from the address that it chooses.
    """
    with suppress(OSError):
        if _SO_TIMESTAMPNS:
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        if host not in WILDCARDS:
            return
        if sock.family == socket.AF_INET6 and _IPV6_RECVPKTINFO:
            # On Linux also for IPv4, on a socket that has both: with a mapped address.
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        elif sock.family == socket.AF_INET and _IP_PKTINFO:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def expected(sock: socket.socket) -> int:
    """Octets of control data that come with each datagram; 0 where nothing was requested."""
    stamp = _has(sock, socket.SOL_SOCKET, _SO_TIMESTAMPNS)
    info = _INFO[sock.family].size if _tells_destination(sock) else 0
    return bool(stamp) * socket.CMSG_SPACE(_TIME.size) + (info and socket.CMSG_SPACE(info))


def _tells_destination(sock: socket.socket) -> bool:
    if sock.family == socket.AF_INET6:
        return _has(sock, socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO)
    return _has(sock, socket.IPPROTO_IP, _IP_PKTINFO)


def _has(sock: socket.socket, level: int, option: int) -> bool:
    with suppress(OSError):
        return bool(option and sock.getsockopt(level, option))
    return False


def returned(
    family: socket.AddressFamily, received: Iterable[ControlMessage]
) -> list[ControlMessage]:
    """The control data of a reply: from the address queried, by the interface that routing chooses."""
    info = _INFO[family]
    return [
        (level, kind, _any_interface(info, data))
        for level, kind, data in received
        if (level, kind) == info.kind and len(data) == info.size
    ]


def _any_interface(info: _Info, data: bytes) -> bytes:
    """A link-local address is one of an interface only; any other is answered where the route leads."""
    if data[info.address].startswith(_LINK_LOCAL) and info.size > 12:
        return data
    return data[: info.interface] + bytes(_INTERFACE) + data[info.interface + _INTERFACE :]


def destination(family: socket.AddressFamily, sent: Iterable[ControlMessage]) -> str:
    """The address in what ``returned`` gave; "" when there is none."""
    for _, _, data in sent:
        return _text(family, data[_INFO[family].address])
    return ""


@lru_cache(maxsize=256)
def _text(family: socket.AddressFamily, address: bytes) -> str:
    """Of one of this host's few addresses, so nearly always the same few."""
    return socket.inet_ntop(family, address)


def bound_to(sock: socket.socket) -> str:
    """The address that a socket is bound to, without the scope of a link-local one."""
    return str(sock.getsockname()[0]).partition("%")[0]


def received_at(received: Iterable[ControlMessage]) -> float:
    """Unix time in seconds at which the kernel received the datagram; 0 when it does not say."""
    for level, kind, data in received:
        if (level, kind) == _STAMP and len(data) == _TIME.size:
            seconds, nanoseconds = _TIME.unpack(data)
            return float(seconds + nanoseconds / 1e9)
    return 0.0


class Columns(NamedTuple):
    """``msg_control`` and ``msg_controllen`` of an array of ``struct msghdr``."""

    pointers: memoryview
    lengths: memoryview


class ControlBuffers:
    """Control data of a batch, received into one buffer and sent from there.

    Each reply's header points at the control message that came with its datagram. Where that is, is the
    same for each datagram of a socket: it is searched for once, and verified afterwards by the octets of
    control data, which the kernel writes into the headers. Exactly the expected ones have room, so these
    lengths need not be set again for the next batch.
    """

    def __init__(self, sock: socket.socket, received: Columns, replies: Columns) -> None:
        self._family, self._info, self._size = sock.family, _INFO[sock.family], expected(sock)
        room = len(received.lengths)
        self._data = bytearray(room * self._size)
        self._starts = range(0, room * self._size, self._size)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._data))
        self._lengths, self._replies = received.lengths, replies
        received.pointers[:] = _words(self._base + start for start in self._starts)
        self._whole = [_words([self._size] * count) for count in range(room + 1)]
        self._lengths[:] = self._whole[room]
        self._zeros = [memoryview(bytes(count * _INTERFACE)).cast("I") for count in range(room + 1)]
        self._rely_on(None)

    def take(self, count: int) -> None:
        """Prepare the replies to the ``count`` datagrams that were just received."""
        if count == 1 and self._verified and self._lengths[0] == self._size:
            # The usual batch of a server that is not busy: elements are found faster than slices.
            if self._interfaces and not (self._prefixes and self._prefixes[0] == _PREFIX):
                self._interfaces[0] = 0
        elif not self._verified or self._lengths[:count] != self._whole[count]:
            self._arrange(count)
        elif self._prefixes and _PREFIX in self._prefixes[:count].tolist():
            for at in range(count):
                self._prepare(at)
        elif self._interfaces:
            self._interfaces[:count] = self._zeros[count]

    def returned(self, at: int) -> list[ControlMessage]:
        """The control data of the reply to a datagram, for a later time."""
        if not self._verified:
            return returned(self._family, self._messages(at))
        if not self._place:
            return []
        start = self._starts[at] + self._place
        return [(*self._info.kind, bytes(self._data[start : start + self._info.size]))]

    def destination(self, at: int) -> str:
        """The address that a datagram was sent to; "" when the system does not say."""
        if not self._verified:
            return destination(self._family, self.returned(at))
        if not self._place:
            return ""
        address, start = self._info.address, self._starts[at] + self._place
        octets = self._data[start + address.start : start + address.stop]
        return _text(self._family, bytes(octets))

    def received_at(self, at: int) -> float:
        """Unix time in seconds at which the kernel received a datagram; 0 when it does not say."""
        if self._time:
            seconds, nanoseconds = _TIME.unpack_from(self._data, self._starts[at] + self._time)
            return float(seconds + nanoseconds * 1e-9)
        return received_at(self._messages(at))

    def _messages(self, at: int) -> list[ControlMessage]:
        return [(*kind, bytes(self._data[p : p + size])) for kind, p, size in self._found(at)]

    def _arrange(self, count: int) -> None:
        """Look for the control messages of each datagram, and whether all have them in one place."""
        for start, length in zip(self._starts, self._lengths[:count]):  # noqa: B905
            self._data[start + length : start + self._size] = bytes(self._size - length)
        places = {self._prepare(at) for at in range(count)}
        whole = self._lengths[:count] == self._whole[count]
        self._lengths[:] = self._whole[-1]
        self._rely_on(places.pop() if whole and len(places) == 1 else None)

    def _rely_on(self, place: int | None) -> None:
        """Take every datagram's destination to be there, 0 where none comes; None to search each."""
        self._verified, self._place = place is not None, place or 0
        self._interfaces = self._prefixes = self._zeros[0]
        self._time = 0
        if place is None:
            return
        self._time = next((at for kind, at, _ in self._found(0) if kind == _STAMP), 0)
        for at in range(len(self._starts)):
            self._point(at, place)
        if place:
            octets, info, size = memoryview(self._data)[place:], self._info, self._size
            self._interfaces = octets[info.interface :].cast("I")[:: size // _INTERFACE]
            if self._family == socket.AF_INET6:
                self._prefixes = octets[info.address.start :].cast("H")[:: size // 2]

    def _prepare(self, at: int) -> int:
        """Have the reply sent from the address queried; return where that is in its data, else 0."""
        start, info = self._starts[at], self._info
        for kind, place, size in self._found(at):
            if kind == info.kind and size == info.size:
                data = memoryview(self._data)[place : place + size]
                data[:] = _any_interface(info, bytes(data))
                self._point(at, place - start)
                return place - start
        self._point(at, 0)
        return 0

    def _point(self, at: int, place: int) -> None:
        header = socket.CMSG_LEN(0)
        self._replies.pointers[at] = self._base + self._starts[at] + place - header if place else 0
        self._replies.lengths[at] = header + self._info.size if place else 0

    def _found(self, at: int) -> Iterator[tuple[tuple[int, int], int, int]]:
        """The kind of each control message of a datagram, where its data begin, and how many octets."""
        header, start = socket.CMSG_LEN(0), self._starts[at]
        end = start + self._size
        while start + header <= end:
            length, level, kind = _HEADER.unpack_from(self._data, start)
            if not header <= length <= end - start:
                return
            yield (level, kind), start + header, length - header
            start += socket.CMSG_SPACE(length - header)


def _words(values: Iterable[int]) -> memoryview:
    """As many of ``size_t``."""
    return memoryview(array("L", values))
