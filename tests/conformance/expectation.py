"""Comparing a reply with what a step expects: everything that a client could see, but the SOA's serial."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from tests.conformance.cases import Case, Expected
from tests.conformance.client import ORIGIN

_NEGATIVE = {"NODATA", "NXDOMAIN"}
_RCODES = {*_NEGATIVE, "NOERROR", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP", "BADVERS", "SILENCE"}


class Wanted:
    """An expectation, taken apart."""

    def __init__(self, expected: Expected, case: Case) -> None:
        lines = expected.says.strip().splitlines()
        word = lines[0].strip() if lines else ""
        self.word = word if word in _RCODES else "NOERROR"
        self.answer = records("\n".join(lines[1:] if word in _RCODES else lines), case.ttl)
        self.additional = records(expected.also, case.ttl)
        self.authority = (
            None if expected.authority is None else records(expected.authority, case.ttl)
        )
        self.authoritative = expected.aa and self.word in {*_NEGATIVE, "NOERROR"}


def records(text: str, ttl: int) -> list[str]:
    """Zone-file lines in the one form that is compared: absolute names, letter case kept."""
    return sorted(_record(line, ttl) for line in text.splitlines() if line.strip())


def _record(line: str, ttl: int) -> str:
    owner, rest = line.split(maxsplit=1)
    first, _, after = rest.partition(" ")
    if first.isdigit():
        ttl, rest = int(first), after.strip()
    rest = rest.removeprefix("IN ")
    rdtype, rdata = rest.split(maxsplit=1)
    value = dns.rdata.from_text("IN", rdtype, rdata, ORIGIN, relativize=False)
    return f"{dns.name.from_text(owner, ORIGIN)} {ttl} {rdtype} {value}"


def shown(section: list[dns.rrset.RRset]) -> list[str]:
    """The records of a section, in the same form."""
    return [
        f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {_without_serial(rdata)}"
        for rrset in section
        for rdata in rrset
    ]


def _without_serial(rdata: dns.rdata.Rdata) -> str:
    text = rdata.to_text()
    if rdata.rdtype == dns.rdatatype.SOA:
        fields = text.split()
        fields[2] = "0"
        return " ".join(fields)
    return text


def soa(case: Case, question: dns.name.Name) -> str:
    """The SOA under a negative answer: its zone is the longest of the case's that holds the name."""
    zones = [dns.name.from_text(zone) for zone in case.zones]
    zone = max((z for z in zones if question.is_subdomain(z)), key=len)
    asked = dns.name.Name(question.labels[-len(zone) :])  # in the asker's letter case
    ttl = case.ttl
    return f"{asked} {ttl} SOA ns.dns.{asked} hostmaster.{asked} 0 7200 1800 86400 {ttl}"


def differences(reply: dns.message.Message, expected: Expected, case: Case) -> list[str]:
    """What is not as it should be, a line each; empty when all is well."""
    wanted = Wanted(expected, case)
    rcode = {"NODATA": "NOERROR", "BADVERS": "BADVERS"}.get(wanted.word, wanted.word)
    found = [_differ("rcode", rcode, dns.rcode.to_text(reply.rcode()))]
    if wanted.word in {*_NEGATIVE, "NOERROR"}:
        authority = wanted.authority
        if authority is None:
            negative = wanted.word in _NEGATIVE
            authority = [soa(case, reply.question[0].name)] if negative else []
        found += [
            _differ("AA", wanted.authoritative, bool(reply.flags & dns.flags.AA)),
            _differ("TC", False, bool(reply.flags & dns.flags.TC)),
            _differ("answer", wanted.answer, sorted(shown(reply.answer))),
            _differ("authority", authority, sorted(shown(reply.authority))),
            _differ("additional", wanted.additional, sorted(shown(reply.additional))),
            *_chain(shown(reply.answer)),
        ]
    return [line for line in found if line]


def _differ(what: str, wanted: object, got: object) -> str:
    return "" if wanted == got else f"{what}: wanted {_lines(wanted)}, got {_lines(got)}"


def _lines(value: object) -> str:
    return "\n  ".join(["", *value]) if isinstance(value, list) and value else str(value)


def _chain(answer: list[str]) -> list[str]:
    """A CNAME stands before the records of its target (RFC 1034 section 3.6.2; stub resolvers rely on it)."""
    seen: list[str] = []
    for line in answer:
        owner, _, rdtype, target = line.split(maxsplit=3)
        if rdtype == "CNAME" and target.lower() in seen[1:]:  # the first is where a loop closes
            return [f"order: {owner} CNAME stands after the records of {target}"]
        seen.append(owner.lower())
    return []


def reasons(reply: dns.message.Message) -> list[str]:
    """The texts of the Extended DNS Errors."""
    return [o.text or "" for o in reply.options if isinstance(o, dns.edns.EDEOption)]
