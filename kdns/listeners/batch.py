"""Many datagrams by one system call each way: recvmmsg(2) and sendmmsg(2), where the system has them.

Python's own sockets have neither. A question that is answered from memory costs little but its share of
the kernel's work, so this halves what a busy server adds to that (see docs/performance.md): two calls
and one waking up of whoever waits, instead of one for each of up to ``ROOM`` datagrams. Knows nothing of
DNS but that a reply begins with the first two octets of its request.
"""

from __future__ import annotations

import ctypes
import socket
import sys
from collections.abc import Sequence
from typing import Final

from kdns.listeners import control_data
from kdns.listeners.control_data import Columns, ControlBuffers
from kdns.listeners.path import Address, Path

ROOM: Final = 64
"""Datagrams taken at a time; further ones wait for the loop's next turn."""

SIZE: Final = 4096
"""Octets of a datagram; what is longer is cut off. Questions have some forty, rarely hundreds."""

ID: Final = 2
"""Octets of a message's ID, with which it begins."""

_NAME: Final = 28  # struct sockaddr_in6, the longer of the two
_DO_NOT_WAIT: Final = 0x40  # MSG_DONTWAIT on Linux


class _Vector(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))  # type: ignore[mutable-override]


class _Header(ctypes.Structure):
    """``struct msghdr``."""

    _fields_ = (  # type: ignore[mutable-override]
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """``struct mmsghdr``: the length is how much was received."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint32))  # type: ignore[mutable-override]


# PyDLL: the calls never wait, so the interpreter's lock need not be let go for them.
_system: Final = ctypes.PyDLL(None) if sys.platform == "linux" else None


def works(sock: socket.socket) -> bool:
    """Whether the system has both calls and lets us make them: a sandbox may refuse what libc offers."""
    if _system is None or not (hasattr(_system, "recvmmsg") and hasattr(_system, "sendmmsg")):
        return False
    nothing = (_Message * 1)()
    file = sock.fileno()
    received = _system.recvmmsg(file, nothing, 0, _DO_NOT_WAIT, None)
    return bool(received == 0 and _system.sendmmsg(file, nothing, 0, _DO_NOT_WAIT) == 0)


class Batch:
    """Room for datagrams of one socket, and for a reply in each one's place."""

    def __init__(self, sock: socket.socket) -> None:
        if _system is None:
            raise OSError("recvmmsg is not there on this system")
        self._sock, self._file, self._family = sock, sock.fileno(), sock.family
        self._host = control_data.bound_to(sock)
        self._receive, self._send = _system.recvmmsg, _system.sendmmsg
        self.data = bytearray(ROOM * SIZE)
        """Requests, and the replies in their places."""
        self._starts = range(0, ROOM * SIZE, SIZE)
        self._places = [memoryview(self.data)[start : start + SIZE] for start in self._starts]
        self.bodies = range(ID, ROOM * SIZE, SIZE)
        """Where in ``data`` each reply begins, its ID left out: that is there already."""
        self._names = bytearray(ROOM * _NAME)
        self._vectors, self._in = self._headers()
        replies, self._out = self._headers()
        # What the kernel wrote, and what it is to send, as numbers in place.
        step, offset = ctypes.sizeof(_Message), _Message.length.offset
        self._received = memoryview(self._in).cast("B").cast("I")[offset // 4 :: step // 4]
        self._control: ControlBuffers | None = None
        if control_data.expected(sock):
            self._control = ControlBuffers(sock, _control(self._in), _control(self._out))
        self.sizes = memoryview(replies).cast("B").cast("L")[1::2]
        """Octets of each reply, with its ID."""
        self._replies = replies  # what the headers point to must stay

    def _headers(self) -> tuple[ctypes.Array[_Vector], ctypes.Array[_Message]]:
        """Vectors over all of the room, and the headers that point to them."""
        vectors, messages = (_Vector * ROOM)(), (_Message * ROOM)()
        data = ctypes.addressof(ctypes.c_char.from_buffer(self.data))
        names = ctypes.addressof(ctypes.c_char.from_buffer(self._names))
        for at in range(ROOM):
            vectors[at].base, vectors[at].length = data + self._starts[at], SIZE
            header = messages[at].header
            header.name = names + at * _NAME
            header.name_length = _NAME if self._family == socket.AF_INET6 else 16
            header.vectors, header.vector_count = ctypes.pointer(vectors[at]), 1
        return vectors, messages

    def receive(self) -> list[bytes]:
        """What has arrived, each without its ID; empty when nothing has."""
        count = self._receive(self._file, self._in, ROOM, _DO_NOT_WAIT, None)
        if count <= 0:
            return []
        if self._control is not None:
            self._control.take(count)
        if count == 1:  # the usual batch of a server that is not busy
            return [self._places[0][ID : self._received[0]].tobytes()]
        received = zip(self._places, self._received[:count].tolist())  # noqa: B905 - the word costs
        return [place[ID:size].tobytes() for place, size in received]

    def message(self, at: int) -> bytes:
        """A datagram of the last ``receive``, whole."""
        return bytes(self._places[at][: self._received[at]])

    def host(self, at: int) -> str:
        """The address that it came from."""
        start = at * _NAME
        if self._family == socket.AF_INET6:
            return socket.inet_ntop(socket.AF_INET6, self._names[start + 8 : start + 24])
        return socket.inet_ntop(socket.AF_INET, self._names[start + 4 : start + 8])

    def sender(self, at: int) -> Address:
        """Where it came from."""
        name = bytes(self._names[at * _NAME : (at + 1) * _NAME])
        port = int.from_bytes(name[2:4], "big")
        if self._family == socket.AF_INET6:
            scope = int.from_bytes(name[24:28], sys.byteorder)
            return socket.inet_ntop(socket.AF_INET6, name[8:24]), port, 0, scope
        return socket.inet_ntop(socket.AF_INET, name[4:8]), port

    def path(self, at: int) -> Path:
        """Where it came from and the address that it was sent to, for a reply at any later time."""
        return Path(self.sender(at), self._control.returned(at) if self._control else [])

    def destination(self, at: int) -> str:
        """The address that it was sent to, without a scope; the socket's where the system does not say."""
        return (self._control and self._control.destination(at)) or self._host

    def age(self, at: int, now: float) -> float:
        """Seconds from when the kernel received it to ``now`` (``time.time``); 0 when it does not say.

        No datagram of a batch has waited longer than its first one.
        """
        received = self._control.received_at(at) if self._control else 0.0
        return now - received if received else 0.0

    def put(self, at: int, octets: bytes) -> bool:
        """Write the reply; False when there is no room for it."""
        start, size = self._starts[at], len(octets)
        if size > SIZE:
            return False
        self.data[start : start + size] = octets
        self.sizes[at] = size
        return True

    def send(self, count: int, unanswered: Sequence[int] = ()) -> int:
        """Send the replies to the first ``count`` datagrams but those without one.

        Returns how many could not be sent: to a forged source, or because the system has no room.
        """
        first = failed = 0
        for last in (*unanswered, count):
            failed += self._send_run(first, last)
            first = last + 1
        return failed

    def _send_run(self, first: int, last: int) -> int:
        failed = 0
        while first < last:
            messages = ctypes.byref(self._out, first * ctypes.sizeof(_Message))
            sent = self._send(self._file, messages, last - first, _DO_NOT_WAIT)
            if sent <= 0:  # the first of them cannot be sent, which concerns its asker alone
                failed += 1
                sent = 1
            first += sent
        return failed


def _control(messages: ctypes.Array[_Message]) -> Columns:
    """The fields of control data in the headers, as numbers in place."""
    words, word = memoryview(messages).cast("B").cast("L"), ctypes.sizeof(ctypes.c_size_t)
    step, header = ctypes.sizeof(_Message) // word, _Message.header.offset
    pointers = words[(header + _Header.control.offset) // word :: step]
    return Columns(pointers, words[(header + _Header.control_length.offset) // word :: step])
