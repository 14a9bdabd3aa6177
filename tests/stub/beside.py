"""Real resolvers and ours, one after the other, against servers that note what they are asked.

Run in a network and mount namespace of its own, where 127.0.0.1:53 and /etc/resolv.conf are free:
``unshare --net --mount python -m tests.stub.beside FLAVOUR PROGRAM…`` with cases as JSON on standard input.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from msgspec import Struct

from kdns.stub import resolver_config
from kdns.stub.flavours import FLAVOURS
from kdns.stub.walk import ADDRESSES, walk
from kdns.wire.presentation import rdata_text

RESOLV_CONF = Path("/etc/resolv.conf")
HOSTS = ("127.0.0.1", "127.0.0.2")


class Case(Struct, frozen=True):
    """What a machine is like, and the name that is looked up there."""

    id: str
    name: str
    options: str = ""
    zone: dict[str, str] = {}
    """By absolute name: addresses, ``nodata``, ``servfail``, ``refused``, ``drop``, ``drop AAAA``."""
    default: str = "nxdomain"
    servers: tuple[str, ...] = ("127.0.0.1",)
    search: str = "shop.svc.c.test svc.c.test c.test"

    def text(self) -> str:
        lines = [f"nameserver {server}" for server in self.servers]
        return "\n".join([*lines, f"search {self.search}", f"options {self.options}", ""])


class Servers:
    """Both addresses that cases name."""

    def __init__(self) -> None:
        self.case = Case("", "")
        self.asked: list[str] = []
        """``SERVER NAME TYPE`` of each question."""
        for host in HOSTS:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((host, 53))
            threading.Thread(target=self._serve, args=(sock, host), daemon=True).start()

    def _serve(self, sock: socket.socket, host: str) -> None:
        while True:
            data, sender = sock.recvfrom(4096)
            if not data:
                sock.sendto(b"", sender)
                continue
            question = dns.message.from_wire(data)
            asked = question.question[0]
            kind = dns.rdatatype.to_text(asked.rdtype)
            self.asked.append(f"{host} {asked.name} {kind}")
            name = str(asked.name)
            told = self.case.zone.get(f"{host} {name}", self.case.zone.get(name, self.case.default))
            if told not in {"drop", f"drop {kind}"}:
                sock.sendto(self._reply(question, told, kind).to_wire(), sender)

    def take(self) -> list[str]:
        """What was asked since, also what a resolver sent last and waited for no reply to."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            for host in HOSTS:
                waker.sendto(b"", (host, 53))
                waker.recv(1)
        asked, self.asked = self.asked, []
        return asked

    @staticmethod
    def _reply(question: dns.message.Message, told: str, kind: str) -> dns.message.Message:
        reply = dns.message.make_response(question)
        reply.flags |= dns.flags.RA
        if told in {"nxdomain", "servfail", "refused"}:
            reply.set_rcode(dns.rcode.from_text(told.upper()))
            return reply
        wanted = [word for word in told.split() if (":" if kind == "AAAA" else ".") in word]
        if wanted:
            rrset = dns.rrset.from_text(question.question[0].name, 5, "IN", kind, *wanted)
            reply.answer.append(rrset)
        return reply


def theirs(program: list[str], name: str) -> list[str]:
    ran = subprocess.run([*program, name], capture_output=True, text=True, check=False, timeout=50)
    return sorted({line.strip() for line in (ran.stdout + ran.stderr).splitlines()})


def ours(flavour: str, case: Case) -> list[str]:
    conf = resolver_config.parse(case.text())
    result = asyncio.run(walk(case.name, ADDRESSES, conf, FLAVOURS[flavour], lambda _: None))
    found = {rdata_text(record.rtype, record.rdata) for record in result.records}
    return sorted(found) or [result.failure]


def main() -> None:
    flavour, *program = sys.argv[1:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.NamedTemporaryFile("w") as file:
        subprocess.run(["mount", "--bind", file.name, str(RESOLV_CONF.resolve())], check=True)
        servers, found = Servers(), {}
        for case in [Case(**each) for each in json.load(sys.stdin)]:
            servers.case = case
            RESOLV_CONF.write_text(case.text())
            got = theirs(program, case.name)
            asked, we_got = servers.take(), ours(flavour, case)
            found[case.id] = [asked, got, servers.take(), we_got]
        json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
