"""What a server answered, reduced to what two servers can be compared by."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Sequence
from typing import Final

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from msgspec import Struct

from tests.conformance.client import HOST
from tests.conformance.expectation import shown

ZONE: Final = "cluster.local."
_SECONDS: Final = 1.0
_TRIES: Final = 3
_WINDOW: Final = 64  # fits in any socket's buffer


class Question(Struct, frozen=True):
    """A question as text; ``name`` is absolute, in the letter case that is sent."""

    name: str
    rdtype: str
    edns: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels left of the cluster's zone, lower-case; of the whole name when it is elsewhere."""
        name = self.name.lower()
        inside = name.removesuffix(ZONE)
        return tuple(inside.rstrip(".").split(".")) if inside != name and inside else ()

    @property
    def reverse(self) -> bool:
        return self.name.lower().endswith(".arpa.")

    def __str__(self) -> str:
        return f"{self.name} {self.rdtype}{' with EDNS' if self.edns else ''}"


class Observation(Struct, frozen=True):
    """A reply; sections are sorted, the SOA's serial is 0."""

    rcode: str
    flags: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    authority: tuple[str, ...] = ()
    additional: tuple[str, ...] = ()
    edns: bool = False
    options: tuple[int, ...] = ()

    @property
    def nodata(self) -> bool:
        return self.rcode == "NOERROR" and not self.answer

    @property
    def nxdomain(self) -> bool:
        return self.rcode == "NXDOMAIN" and not self.answer

    def __str__(self) -> str:
        sections = [
            f"\n      {name} {line}"
            for name in ("answer", "authority", "additional")
            for line in getattr(self, name)
        ]
        return f"{self.rcode} {' '.join(self.flags)} {self.options or ''}{''.join(sections)}"


SILENT: Final = Observation("SILENCE")


class Asker:
    """A UDP socket to one server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((HOST, port))
        self._socket.settimeout(_SECONDS)
        self._ids = itertools.cycle(range(0x10000))

    def close(self) -> None:
        self._socket.close()

    def ask(self, question: Question) -> Observation:
        (reply,) = self.exchange([request(question)])
        return observe(reply)

    def exchange(self, requests: Sequence[bytes]) -> list[bytes]:
        """The reply to each, empty where none came; several are on their way at a time."""
        replies = [b""] * len(requests)
        for _ in range(_TRIES):
            waiting: dict[bytes, int] = {}
            for number in [n for n, reply in enumerate(replies) if not reply]:
                if len(waiting) == _WINDOW and not self._receive(waiting, replies):
                    waiting.clear()  # asked again with the next try
                message_id = next(self._ids).to_bytes(2)
                waiting[message_id] = number
                self._socket.send(message_id + requests[number][2:])
            while waiting and self._receive(waiting, replies):
                pass
        return replies

    def _receive(self, waiting: dict[bytes, int], replies: list[bytes]) -> bool:
        """Whether one that is waited for came; late ones of earlier tries are passed over."""
        try:
            while True:
                reply = self._socket.recv(65535)
                if (number := waiting.pop(reply[:2], None)) is not None:
                    replies[number] = reply
                    return True
        except TimeoutError:
            return False


def request(question: Question) -> bytes:
    edns = 0 if question.edns else -1
    query = dns.message.make_query(question.name, question.rdtype, use_edns=edns, payload=4096)
    return query.to_wire()


def observe(wire: bytes) -> Observation:
    if not wire:
        return SILENT
    reply = dns.message.from_wire(wire, one_rr_per_rrset=True)
    return Observation(
        dns.rcode.to_text(reply.rcode()),
        tuple(flag for flag in ("AA", "TC", "RA") if reply.flags & dns.flags.Flag[flag]),
        tuple(sorted(shown(reply.answer))),
        tuple(sorted(shown(reply.authority))),
        tuple(sorted(shown(reply.additional))),
        reply.edns == 0,
        tuple(sorted(option.otype for option in reply.options)),
    )
