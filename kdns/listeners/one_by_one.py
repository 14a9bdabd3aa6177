"""Datagrams by a system call each, where the system has none for many: ``Batch`` of recvmsg and sendmsg."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Final

from kdns.listeners import control_data
from kdns.listeners.batch import ID, ROOM, SIZE
from kdns.listeners.path import Address, Path

_CONTROL: Final = 128
"""Octets for control data: more than a time and an address take on any system."""


class OneByOne:
    """The same as ``Batch``, without its system calls."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._host = sock, control_data.bound_to(sock)
        self.data = bytearray(ROOM * SIZE)
        """Replies, each in the place of its request."""
        self.bodies = range(ID, ROOM * SIZE, SIZE)
        """Where in ``data`` each reply begins, its ID left out: that is there already."""
        self.sizes = [0] * ROOM
        """Octets of each reply, with its ID."""
        self._requests: list[bytes] = []
        self._paths: list[Path] = []
        self._times: list[float] = []

    def receive(self) -> list[bytes]:
        """What has arrived, each without its ID; empty when nothing has."""
        self._requests, self._paths, self._times = [], [], []
        while len(self._requests) < ROOM:
            try:
                octets, control, _, client = self._sock.recvmsg(SIZE, _CONTROL)
            except OSError:  # nothing more; or an earlier reply could not be delivered (ICMP)
                break
            self._take(octets, control, client)
        return [octets[ID:] for octets in self._requests]

    def _take(self, octets: bytes, control: list[tuple[int, int, bytes]], client: Any) -> None:
        start = len(self._requests) * SIZE
        self.data[start : start + len(octets[:ID])] = octets[:ID]
        self._requests.append(octets)
        self._paths.append(Path(client, control_data.returned(self._sock.family, control)))
        self._times.append(control_data.received_at(control))

    def message(self, at: int) -> bytes:
        """A datagram of the last ``receive``, whole."""
        return self._requests[at]

    def host(self, at: int) -> str:
        """The address that it came from."""
        return str(self._paths[at].client[0])

    def sender(self, at: int) -> Address:
        """Where it came from."""
        return self._paths[at].client

    def path(self, at: int) -> Path:
        """Where it came from and the address that it was sent to, for a reply at any later time."""
        return self._paths[at]

    def destination(self, at: int) -> str:
        """The address that it was sent to, without a scope; the socket's where the system does not say."""
        return self._paths[at].local or self._host

    def age(self, at: int, now: float) -> float:
        """Seconds from when the kernel received it to ``now`` (``time.time``); 0 when it does not say."""
        return now - self._times[at] if self._times[at] else 0.0

    def put(self, at: int, octets: bytes) -> bool:
        """Write the reply; False when there is no room for it."""
        if len(octets) > SIZE:
            return False
        self.data[at * SIZE : at * SIZE + len(octets)] = octets
        self.sizes[at] = len(octets)
        return True

    def send_one(self, at: int, octets: bytes | bytearray) -> None:
        """Send the reply to one datagram, of any size. Raises ``OSError`` when it cannot be sent."""
        self._paths[at].send(self._sock, octets)

    def send(self, count: int, unanswered: Sequence[int] = ()) -> int:
        """Send the replies to the first ``count`` datagrams but those without one.

        Returns how many could not be sent: to a forged source, or because the system has no room.
        """
        failed = 0
        for at in range(count):
            if at not in unanswered:
                try:
                    self.send_one(at, self.data[at * SIZE : at * SIZE + self.sizes[at]])
                except OSError:
                    failed += 1
        return failed
