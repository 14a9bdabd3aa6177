"""What a server answered, reduced to what two servers can be compared by."""

from __future__ import annotations

import socket
from contextlib import closing
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
_SECONDS: Final = 0.6
_TRIES: Final = 3


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

    def close(self) -> None:
        self._socket.close()

    def ask(self, question: Question) -> Observation:
        query = dns.message.make_query(
            question.name, question.rdtype, use_edns=0 if question.edns else -1, payload=4096
        )
        wire = query.to_wire()
        for _ in range(_TRIES):
            self._socket.send(wire)
            reply = self._receive(wire[:2])
            if reply is not None:
                return observe(dns.message.from_wire(reply, one_rr_per_rrset=True))
        return SILENT

    def _receive(self, message_id: bytes) -> bytes | None:
        """The reply with that ID; late ones of earlier questions are passed over."""
        try:
            while True:
                reply = self._socket.recv(65535)
                if reply[:2] == message_id:
                    return reply
        except TimeoutError:
            return None


def observe(reply: dns.message.Message) -> Observation:
    return Observation(
        dns.rcode.to_text(reply.rcode()),
        tuple(flag for flag in ("AA", "TC", "RA") if reply.flags & dns.flags.Flag[flag]),
        tuple(sorted(shown(reply.answer))),
        tuple(sorted(shown(reply.authority))),
        tuple(sorted(shown(reply.additional))),
        reply.edns == 0,
        tuple(sorted(option.otype for option in reply.options)),
    )


def ask_once(port: int, question: Question) -> Observation:
    with closing(Asker(port)) as asker:
        return asker.ask(question)
