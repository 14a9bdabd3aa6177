"""Asking a server over real sockets; dnspython writes and reads the messages."""

from __future__ import annotations

import socket
import struct
from contextlib import closing
from typing import Final, Literal, TypeAlias

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdataclass
import dns.rdatatype

Way: TypeAlias = Literal["udp", "udp with EDNS", "tcp"]
WAYS: Final[tuple[Way, ...]] = ("udp", "udp with EDNS", "tcp")
ORIGIN: Final = dns.name.from_text("cluster.local.")
SECONDS: Final = 30.0
"""For a reply that must come."""
SILENCE: Final = 0.5
"""For one that must not."""
HOST: Final = "127.0.0.1"


def question(text: str, edns: int = -1, payload: int = 1232) -> dns.message.QueryMessage:
    """A query for NAME TYPE [CLASS], with RD as any stub resolver's; ``edns`` -1 is none."""
    name, rdtype, rdclass = (*text.split(), "IN")[:3]
    return dns.message.make_query(
        dns.name.from_text(name, ORIGIN), rdtype, rdclass, use_edns=edns, payload=payload
    )


def ask(port: int, query: dns.message.Message, tcp: bool = False) -> dns.message.Message:
    """The reply, each record apart so that duplicates show; raises ``dns.exception.Timeout``."""
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, HOST, SECONDS, port, one_rr_per_rrset=True)


def ask_by(way: Way, port: int, text: str) -> dns.message.Message:
    edns = 0 if way == "udp with EDNS" else -1
    return ask(port, question(text, edns), way == "tcp")


def send_udp(port: int, data: bytes, seconds: float) -> bytes | None:
    """The reply to a datagram; None when there is none within ``seconds``."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.settimeout(seconds)
        sock.connect((HOST, port))
        sock.send(data)
        try:
            return sock.recv(65535)
        except TimeoutError:
            return None


class Stream:
    """A TCP connection with DNS framing (RFC 1035 section 4.2.2)."""

    def __init__(self, port: int, seconds: float = SECONDS) -> None:
        self.sock = socket.create_connection((HOST, port), seconds)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, *messages: bytes) -> None:
        """All of them in one segment."""
        self.sock.sendall(b"".join(struct.pack("!H", len(m)) + m for m in messages))

    def receive(self) -> bytes | None:
        """One message; None when the server has closed the connection."""
        head = self._exactly(2)
        return self._exactly(struct.unpack("!H", head)[0]) if head else None

    def _exactly(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                return None
            data += piece
        return data


def assemble(text: str) -> bytes:
    """Octets from hexadecimal text, in which {NAME} stands for a name's uncompressed wire form."""
    data = b""
    for part in text.replace("{", "\n{").replace("}", "}\n").splitlines():
        if part.startswith("{"):
            data += dns.name.from_text(part[1:-1], ORIGIN).to_wire() or b""
        else:
            data += bytes.fromhex(part)
    return data
