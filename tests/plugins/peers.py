"""CoreDNS and kdns side by side with one Corefile: what each says to the same questions.

Corefiles need nothing but files, so there is no network and no cluster. ``FOLDER`` in them stands for
the folder of the test.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from kdns.wire.encoded import MAX_UDP
from tests.cluster import programs
from tests.cluster.processes import Process, free_dns_port, wait_until

SECONDS: Final = 3.0
START_SECONDS: Final = 60.0
SILENCE: Final = "no reply"
ROUNDING: Final = 2
"""Seconds that TTLs may differ by though none went by: another one may begin between two questions."""
_TTL: Final = re.compile(r"(?<= )\d+(?= in )")
_SERIAL: Final = re.compile(r"( soa \S+ \S+) \d+")
"""Serials of cluster zones are moments: each server has its own."""

_PAYLOAD: Final = re.compile(r"(?<=edns=)\d+")


class Peers:
    """Both servers, running."""

    def __init__(self, corefile: str, folder: Path) -> None:
        coredns = programs.find(programs.COREDNS)
        if coredns is None:
            import pytest  # takes half of the start of a program that only wants to ask

            pytest.skip(programs.reason(programs.COREDNS))
        path = folder / "Corefile"
        path.write_text(corefile.replace("FOLDER", str(folder)))
        commands = {"coredns": [str(coredns)], "kdns": [sys.executable, "-m", "kdns"]}
        self.ports = {name: free_dns_port() for name in commands}
        self.processes = {
            name: Process(
                [*command, "-conf", str(path), "-dns.port", str(self.ports[name])],
                folder / f"{name}.log",
            )
            for name, command in commands.items()
        }
        for name, process in self.processes.items():
            process.wait_ready(partial(self._answers, name), START_SECONDS)
        self._began = time.monotonic()

    def _answers(self, name: str) -> bool:
        query = dns.message.make_query("started.invalid.", "A")
        try:
            dns.query.tcp(query, "127.0.0.1", 1.0, self.ports[name])
        except (OSError, EOFError, dns.exception.DNSException):
            return False
        return True

    def stop(self) -> None:
        for process in self.processes.values():
            process.stop()

    def ask(self, name: str, question: str) -> str:
        """What a server says to ``NAME TYPE [+edns] [+tcp] [+nsid] [+norec]``, in short."""
        return reply(self.ports[name], question)

    def both(self, question: str) -> tuple[str, str]:
        """kdns's and CoreDNS's answer."""
        return self.ask("kdns", question), self.ask("coredns", question)

    def differences(self, questions: Iterable[str]) -> dict[str, tuple[str, str]]:
        """The questions that the two do not agree on, with both answers."""
        said = {question: self.both(question) for question in questions}
        return {question: pair for question, pair in said.items() if not self.agree(*pair)}

    def agree(self, ours: str, theirs: str) -> bool:
        """Whether two replies say the same. Either may have kept a record from the first question on."""
        return alike(ours, theirs, time.monotonic() - self._began)


def alike(ours: str, theirs: str, seconds: float) -> bool:
    """Whether two replies say the same, but for the ``seconds`` since either may have kept a record."""
    ours, theirs = (_PAYLOAD.sub(_payload, said) for said in (ours, theirs))
    pairs = zip(_TTL.findall(ours), _TTL.findall(theirs), strict=False)
    close = all(abs(int(one) - int(other)) <= ROUNDING + seconds for one, other in pairs)
    return close and _TTL.sub("", ours) == _TTL.sub("", theirs)


def _payload(size: re.Match[str]) -> str:
    """CoreDNS repeats the client's, kdns says up to what it sends datagrams."""
    return str(min(int(size[0]), MAX_UDP))


def check(peers: Peers, questions: Iterable[str], intended: Mapping[str, str]) -> None:
    """Everything is the same but ``intended``, by question; and that list holds nothing more."""
    found = peers.differences(questions)
    unexpected = {q: found[q] for q in found.keys() - intended.keys()}
    lines = [f"{q}\n    kdns    {a}\n    coredns {b}" for q, (a, b) in unexpected.items()]
    assert not lines, "\n".join(lines)
    same = intended.keys() - found.keys()
    assert not same, f"no difference any more: {sorted(same)}"


def reply(port: int, question: str, host: str = "127.0.0.1") -> str:
    name, rdtype, *extra = question.split()
    rdclass = "CH" if "+ch" in extra else "IN"
    query = dns.message.make_query(name, rdtype, rdclass)
    if "+norec" in extra:
        query.flags &= ~dns.flags.RD
    for size in [int(word.removeprefix("+edns=")) for word in extra if word.startswith("+edns=")]:
        query.use_edns(0, payload=size)
    if "+nsid" in extra:
        query.use_edns(0, payload=1232, options=[dns.edns.NSIDOption(b"")])
    send = dns.query.tcp if "+tcp" in extra else dns.query.udp
    try:
        answer = send(query, host, SECONDS, port, one_rr_per_rrset=True)
    except dns.exception.Timeout:
        return SILENCE
    return in_short(answer)


def in_short(answer: dns.message.Message) -> str:
    """Rcode, flags, size told by EDNS, NSID, then the sections, each sorted."""
    flags = [flag for flag in ("AA", "TC", "RD", "RA") if answer.flags & dns.flags.Flag[flag]]
    head = [dns.rcode.to_text(answer.rcode()), *flags]
    if answer.edns >= 0:
        head.append(f"edns={answer.payload}")
    head += [f"nsid={o.to_text()}" for o in answer.options if o.otype == dns.edns.OptionType.NSID]
    sections = (("", answer.answer), ("ns ", answer.authority), ("+ ", answer.additional))
    records = [
        sorted(mark + _SERIAL.sub(r"\1", rrset.to_text().lower()) for rrset in section)
        for mark, section in sections
    ]
    return "; ".join([" ".join(head), *(record for section in records for record in section)])


__all__ = ["Peers", "alike", "check", "in_short", "reply", "wait_until"]
