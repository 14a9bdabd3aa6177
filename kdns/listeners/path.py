"""The way that a datagram came, which its reply goes back."""

from __future__ import annotations

import socket
from typing import NamedTuple, TypeAlias

from kdns.listeners import control_data
from kdns.listeners.control_data import ControlMessage

Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]


class Path(NamedTuple):
    """Where a datagram came from, and the control data that make its reply leave from where it went."""

    client: Address
    control: list[ControlMessage]

    @property
    def local(self) -> str:
        """The address that it was sent to; "" when the system does not say."""
        family = socket.AF_INET6 if len(self.client) > 2 else socket.AF_INET
        return control_data.destination(family, self.control)

    def send(self, sock: socket.socket, octets: bytes | bytearray) -> None:
        """Send a reply. Raises ``OSError`` when that cannot be sent at once."""
        sock.sendmsg((octets,), self.control, 0, self.client)
