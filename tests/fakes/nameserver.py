"""A name server on loopback, UDP and TCP on one port, whose faults the test chooses.

It runs in a thread of its own, so that it answers synchronous clients and other processes too.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Literal, TypeAlias

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.cluster.processes import free_dns_port

Fault: TypeAlias = Literal[
    "",
    "drop",
    "truncate",
    "wrong id",
    "wrong question",
    "garbage",
    "garbled",
    "formerr without question",
    "forged first",
    "garbled first",
    "wrong opcode first",
]


class NameServer:
    """``with NameServer("a.test. 300 IN A 192.0.2.1") as server:`` — then ``server.port``.

    Records are lines of a zone file. A name without any gives NXDOMAIN, one without the type NODATA,
    both with the SOA of ``zone``. Faults can be changed at any time.
    """

    def __init__(
        self,
        *records: str,
        zone: str = "test.",
        tls: ssl.SSLContext | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.records = [_rrset(*record.split(None, 4)) for record in records]
        self.zone, self.tls = zone, tls
        self._host, self.port = address
        self.minimum, self.soa_ttl = 60, 300
        self.fault: Fault = ""
        self.delay = 0.0
        self.rcode: int | None = None
        self.flags = dns.flags.RA
        self.udp: list[dns.message.Message] = []
        """Questions that came over UDP, and in ``tcp`` over TCP."""
        self.tcp: list[dns.message.Message] = []
        self.connections = 0
        self.reached: Callable[[dns.message.Message], object] = lambda question: None
        """Called for each question before it is answered."""
        self._closed = False
        self._open: list[socket.socket] = []
        self._failed: list[Exception] = []

    # ---- life

    def __enter__(self) -> NameServer:
        self._listen(self.port)
        return self

    def _listen(self, port: int) -> None:
        self._closed = False
        self.port = port or free_dns_port()
        self._tcp = socket.create_server((self._host, self.port))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((self._host, self.port))
        self._threads = [self._start(self._serve_udp), self._start(self._serve_tcp)]

    def _start(self, serve: Callable[..., None], *args: object) -> threading.Thread:
        """What it raises while we listen is raised by ``stop``; later it is nobody's concern."""

        def run() -> None:
            try:
                serve(*args)
            except Exception as error:
                if not self._closed:
                    self._failed.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Nobody listens from now on."""
        if self._closed:
            return
        self._closed = True
        # A blocked call does not notice that its socket was closed: wake it.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self._host, self.port))
        if self._tcp.fileno() >= 0:
            self._tcp.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for sock in (self._tcp, self._udp, *self._open):
            sock.close()
        self._open.clear()
        if self._failed:
            raise self._failed.pop()

    def start(self) -> None:
        """Listen again, on the same port."""
        self._listen(self.port)

    def hang_up(self) -> None:
        """Close the connections that are open."""
        for connection in self._open:
            with suppress(OSError):  # The other side may have been first.
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def refuse_tcp(self) -> None:
        """Answer over UDP only."""
        self._tcp.shutdown(socket.SHUT_RDWR)
        self._tcp.close()

    @property
    def asked(self) -> list[dns.message.Message]:
        return self.udp + self.tcp

    @property
    def names(self) -> list[str]:
        """``NAME TYPE`` of all questions so far."""
        questions = [message.question[0] for message in self.asked]
        return [f"{q.name} {dns.rdatatype.to_text(q.rdtype)}" for q in questions]

    # ---- answering

    def _serve_udp(self) -> None:
        while not self._closed:
            data, sender = self._udp.recvfrom(65535)
            if not data:
                continue
            question = dns.message.from_wire(data)
            self.udp.append(question)
            self._start(self._reply_udp, question, sender)

    def _reply_udp(self, question: dns.message.Message, sender: tuple[str, int]) -> None:
        for data in self._replies(question, "udp"):
            try:
                self._udp.sendto(data, sender)
            except OSError:
                return

    def _serve_tcp(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            self._start(self._serve_connection, connection)

    def _serve_connection(self, connection: socket.socket) -> None:
        try:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            return
        self.connections += 1
        self._open.append(connection)
        try:
            with connection.makefile("rb") as stream:
                while (head := stream.read(2)) and len(head) == 2:
                    question = dns.message.from_wire(stream.read(int.from_bytes(head, "big")))
                    self.tcp.append(question)
                    for data in self._replies(question, "tcp"):
                        connection.sendall(struct.pack("!H", len(data)) + data)
        except (OSError, ValueError, dns.exception.DNSException):
            pass
        finally:
            connection.close()

    def _replies(
        self, question: dns.message.Message, transport: Literal["udp", "tcp"]
    ) -> Iterable[bytes]:
        self.reached(question)
        if self.delay:
            time.sleep(self.delay)
        if self.fault == "drop":
            return
        reply = self._spoiled(self.answer(question), transport)
        if self.fault == "forged first":
            forged = self.answer(question)
            forged.id ^= 0x55
            forged.set_rcode(dns.rcode.REFUSED)
            yield forged.to_wire()
        data = reply.to_wire(max_size=65535)
        garbled = data[:2] + b"\x81\x80\0\1\0\7\0\0\0\0" + b"\xff" * 9
        if self.fault == "garbled first":
            yield garbled
        elif self.fault == "wrong opcode first":
            yield data[:2] + bytes([data[2] | dns.opcode.UPDATE << 3]) + data[3:]
        yield {"garbage": b"\xff" * 40, "garbled": garbled}.get(self.fault, data)

    def _spoiled(self, reply: dns.message.Message, transport: str) -> dns.message.Message:
        if transport == "udp" and self.fault == "truncate":
            reply.flags |= dns.flags.TC
            reply.answer.clear()
            reply.authority.clear()
        elif self.fault == "wrong id":
            reply.id ^= 1
        elif self.fault == "wrong question":
            reply.question[0].name = dns.name.from_text("other.test.")
        elif self.fault == "formerr without question":
            reply = dns.message.Message(reply.id)
            reply.flags = dns.flags.QR
            reply.set_rcode(dns.rcode.FORMERR)
        return reply

    def answer(self, question: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(question)
        reply.flags |= self.flags
        asked = question.question[0]
        if self.rcode is not None:
            reply.set_rcode(dns.rcode.Rcode(self.rcode))
            return reply
        name = asked.name
        while (
            found := self._find(name, dns.rdatatype.CNAME)
        ) and asked.rdtype != dns.rdatatype.CNAME:
            reply.answer.append(found)
            name = found[0].target
        if (found := self._find(name, asked.rdtype)) is not None:
            reply.answer.append(found)
            return reply
        exists = any(name == rrset.name for rrset in self.records)
        reply.set_rcode(dns.rcode.NOERROR if exists else dns.rcode.NXDOMAIN)
        if name.is_subdomain(dns.name.from_text(self.zone)):
            data = f"ns.{self.zone} root.{self.zone} 1 2 3 4 {self.minimum}"
            soa = dns.rrset.from_text(self.zone, self.soa_ttl, "IN", "SOA", data)
            reply.authority.append(soa)
        return reply

    def _find(self, name: dns.name.Name, rdtype: int) -> dns.rrset.RRset | None:
        found = [r for r in self.records if r.name == name and r.rdtype == rdtype]
        if not found:
            return None
        return dns.rrset.from_rdata_list(name, found[0].ttl, [data for r in found for data in r])


def _rrset(name: str, ttl: str, rdclass: str, rdtype: str, data: str) -> dns.rrset.RRset:
    return dns.rrset.from_text(name, int(ttl), rdclass, rdtype, data)
