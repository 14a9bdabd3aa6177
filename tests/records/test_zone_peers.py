"""The example zones asked of CoreDNS and of Knot too: every name, names beside and below it, every type.

Where a peer says something else, the rule for it stands here with its reason, and a rule that no answer
needs any more fails the test. Without the programs the tests are skipped, but not where CI is set.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
from msgspec import Struct
from msgspec.structs import replace

from kdns.records.zone import Zone
from kdns.sources.zone_loading import load
from kdns.wire import names
from kdns.wire.message import Record
from tests.cluster import programs
from tests.cluster.observation import Asker
from tests.cluster.processes import Process, free_dns_port

ZONES = Path(__file__).parents[2] / "zones"
ORIGINS = ("example.test", "2.0.192.in-addr.arpa")
TYPES = (
    "A",
    "AAAA",
    "NS",
    "CNAME",
    "SOA",
    "PTR",
    "MX",
    "TXT",
    "SRV",
    "DS",
    "CAA",
    "HTTPS",
    "DNAME",
    "ANY",
    "TYPE65280",
)


class Said(Struct, frozen=True):
    """An answer, comparable; records are ``owner ttl TYPE rdata`` in lower case, sorted."""

    rcode: int
    authoritative: bool
    answer: list[str]
    authority: list[str]
    additional: list[str]


class Rule(Struct, frozen=True):
    """How a peer differs: turns what we say into what it says, where the rule applies."""

    reason: str
    change: Callable[[Said, str], Said]


def only_below_the_cut(said: Said, qtype: str) -> Said:
    if said.authoritative:
        return said
    cut = said.authority[0].split()[0]
    return replace(said, additional=[r for r in said.additional if r.split()[0].endswith(cut)])


def with_the_soa_ttl(said: Said, qtype: str) -> Said:
    return replace(said, authority=[r.replace(" 300 SOA", " 3600 SOA") for r in said.authority])


def servers_for_soa(said: Said, qtype: str) -> Said:
    """Where the alias ends at a name that is written down; for NS, only after a second alias."""
    written = ("web.example.test.", "*.apps.example.test.")
    ends_there = any(record.split()[-1] in written for record in said.answer)
    if qtype == "NS" and sum(" CNAME " in record for record in said.answer) == 1:
        return said
    if not ends_there or not any(" SOA " in r for r in said.authority):
        return said
    servers = [f"example.test. 3600 NS ns{n}.example.test." for n in (1, 2)]
    return replace(said, authority=servers)


def minimal(said: Said, qtype: str) -> Said:
    if said.answer and said.authority and " NS " in said.authority[0] and said.authoritative:
        return replace(said, authority=[])
    return said


COREDNS = (
    Rule("does not lower the SOA's TTL to MINIMUM (RFC 2308 section 5)", with_the_soa_ttl),
    Rule(
        "an alias to a name without the type ends without SOA (RFC 2308 section 2.2)",
        servers_for_soa,
    ),
    Rule("a referral lacks the addresses of servers elsewhere in the zone", only_below_the_cut),
)
KNOT = (Rule("leaves the zone's servers out of positive answers", minimal),)
NOT_COMPARED = {"ANY": "we say HINFO (RFC 8482), CoreDNS nothing, Knot everything"}


def rows(rrsets: Iterable[dns.rrset.RRset]) -> list[str]:
    return sorted(
        f"{str(rrset.name).lower()} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {str(rdata).lower()}"
        for rrset in rrsets
        for rdata in rrset
    )


def as_rrsets(records: Iterable[Record]) -> Iterator[dns.rrset.RRset]:
    for record in records:
        rdata = dns.rdata.from_wire(
            "IN", dns.rdatatype.RdataType(record.rtype), record.rdata, 0, len(record.rdata)
        )
        yield dns.rrset.from_rdata(names.wire_to_text(record.owner), record.ttl, rdata)


def said_by(message: dns.message.Message) -> Said:
    aa = bool(message.flags & dns.flags.AA)
    sections = (message.answer, message.authority, message.additional)
    return Said(message.rcode(), aa, *map(rows, sections))


def said_by_us(zone: Zone, name: str, qtype: str) -> Said:
    found = zone.lookup(
        names.wire_from_text(name), names.from_text(name), dns.rdatatype.from_text(qtype)
    )
    sections = (found.answer, found.authority, found.additional)
    return Said(found.rcode, found.authoritative, *(rows(as_rrsets(part)) for part in sections))


def ask(port: int, questions: Iterable[tuple[str, str]]) -> list[dns.message.Message]:
    requests = [dns.message.make_query(*each, flags=0).to_wire() for each in questions]
    with closing(Asker(port)) as asker:
        return [dns.message.from_wire(reply) for reply in asker.exchange(requests)]


def questions(zone: Zone) -> Iterator[tuple[str, str]]:
    owners = {names.from_wire(record.owner) for record in zone.records()}
    written = {
        owner[depth:] for owner in owners for depth in range(len(owner) - len(zone.origin) + 1)
    }
    for name in sorted(written):
        for asked in (name, ("no", *name), ("a", "b", *name), ("*", *name)):
            for qtype in TYPES:
                if qtype not in NOT_COMPARED:
                    yield names.to_text(asked), qtype


def need(name: str) -> str:
    path = programs.find(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None and os.environ.get("CI"):
        pytest.fail(f"{name} is required where CI is set, and is not installed")
    if path is None:
        pytest.skip(f"{name} is not installed: {programs.reason(name)}")
    return str(path)


def start_coredns(folder: Path, port: int) -> Process:
    blocks = [
        f"{origin}:{port} {{\nbind 127.0.0.1\nfile {ZONES}/db.{origin}\n}}\n" for origin in ORIGINS
    ]
    (folder / "Corefile").write_text("".join(blocks))
    return Process([need("coredns"), "-conf", folder / "Corefile"], folder / "log")


def start_knot(folder: Path, port: int) -> Process:
    zones = [
        f"  - domain: {origin}\n    file: {ZONES}/db.{origin}\n    zonefile-sync: -1\n"
        for origin in ORIGINS
    ]
    (folder / "knot.conf").write_text(
        f'server:\n    rundir: "{folder}"\n    listen: 127.0.0.1@{port}\n'
        f'database:\n    storage: "{folder}"\nzone:\n' + "".join(zones)
    )
    return Process([need("knotd"), "-c", folder / "knot.conf"], folder / "log")


def answers(port: int) -> bool:
    try:
        return all(each.answer for each in ask(port, [(origin, "SOA") for origin in ORIGINS]))
    except (OSError, dns.exception.DNSException):
        return False


@pytest.mark.parametrize(
    ("start", "rules"),
    [pytest.param(start_coredns, COREDNS, id="coredns"), pytest.param(start_knot, KNOT, id="knot")],
)
def test_a_peer_says_the_same(
    tmp_path: Path, start: Callable[[Path, int], Process], rules: tuple[Rule, ...]
) -> None:
    port = free_dns_port()
    peer = start(tmp_path, port)
    needed: set[str] = set()
    try:
        peer.wait_ready(lambda: answers(port), 20)
        for origin in ORIGINS:
            zone = load(names.from_text(origin), str(ZONES / f"db.{origin}")).zone
            asked = [*questions(zone)]
            for (name, qtype), theirs in zip(asked, ask(port, asked), strict=True):
                ours = said_by_us(zone, name, qtype)
                for rule in rules:
                    changed = rule.change(ours, qtype)
                    needed |= {rule.reason} if changed != ours else set()
                    ours = changed
                assert said_by(theirs) == ours, f"{name} {qtype}"
    finally:
        peer.stop()
    assert needed == {rule.reason for rule in rules}
