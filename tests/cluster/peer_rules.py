"""Where kdns differs from CoreDNS, as rules: each tells exactly what either says.

``docs/differences.md`` names each rule by its id. A rule that nothing used has lost its subject, and
the test says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tests.cluster.observation import SILENT, Observation, Question

Predicate: TypeAlias = Callable[[Question, Observation, Observation], bool]

_PROTOCOLS: Final = {"_tcp", "_udp", "_sctp"}
_EDE: Final = 15
_FULL_IP6: Final = 34  # labels: 32 nibbles, ip6, arpa


class Rule(Struct, frozen=True):
    """Holds when ``predicate(question, kdns, coredns)`` does."""

    id: str
    reason: str
    predicate: Predicate


def exists_for_kdns(kdns: Observation, coredns: Observation) -> bool:
    return kdns.nodata and coredns.nxdomain and kdns.authority == coredns.authority


def _txt(q: Question, kdns: Observation, coredns: Observation) -> bool:
    return q.rdtype == "TXT" and not q.reverse and exists_for_kdns(kdns, coredns)


def _dns_version(q: Question, kdns: Observation, coredns: Observation) -> bool:
    return q.labels == ("dns-version",) and exists_for_kdns(kdns, coredns)


def _empty_non_terminal(q: Question, kdns: Observation, coredns: Observation) -> bool:
    protocol = len(q.labels) == 4 and q.labels[0] in _PROTOCOLS
    zonal = "_zone" in q.labels[:2] and q.labels[0] in {"_zone", "pin", "prefer"}
    between = q.labels == ("dns",) or protocol or zonal
    return between and exists_for_kdns(kdns, coredns)


def _soa(q: Question, kdns: Observation, coredns: Observation) -> bool:
    same_soa = kdns.authority == coredns.authority
    return q.rdtype == "SOA" and kdns.nxdomain and coredns.nodata and same_soa


def _reverse(q: Question, kdns: Observation, coredns: Observation) -> bool:
    return q.reverse and exists_for_kdns(kdns, coredns)


def _any(q: Question, kdns: Observation, coredns: Observation) -> bool:
    hinfo = len(kdns.answer) == 1 and kdns.answer[0].endswith('HINFO "RFC8482" ""')
    return q.rdtype == "ANY" and hinfo and not coredns.answer


def _alias(kdns: Observation) -> bool:
    return any(" CNAME " in line for line in kdns.answer)


def _alias_types(q: Question, kdns: Observation, coredns: Observation) -> bool:
    return q.rdtype not in {"A", "AAAA", "CNAME"} and _alias(kdns) and coredns.nodata


def _alias_lost(q: Question, kdns: Observation, coredns: Observation) -> bool:
    return q.rdtype in {"A", "AAAA"} and _alias(kdns) and coredns.nodata


def _alias_outside(_: Question, kdns: Observation, coredns: Observation) -> bool:
    return _alias(kdns) and kdns.answer == coredns.answer and not coredns.authority


def _name_servers(q: Question, kdns: Observation, coredns: Observation) -> bool:
    """On loopback CoreDNS has no address of its own to name, so its ``ns.dns`` is not there either."""
    apex = q.rdtype == "NS" and not q.labels and not q.reverse
    about = apex or q.labels == ("ns", "dns")
    return about and kdns.rcode == "NOERROR" and not coredns.answer


def _unlabelled(_: Question, kdns: Observation, coredns: Observation) -> bool:
    return coredns == SILENT and kdns.nxdomain


def _pod_srv(q: Question, kdns: Observation, coredns: Observation) -> bool:
    port_zero = all(" SRV 0 100 0 " in line for line in coredns.answer)
    return q.rdtype == "SRV" and q.labels[-1:] == ("pod",) and kdns.nodata and port_zero


def _reverse_depth(q: Question, kdns: Observation, coredns: Observation) -> bool:
    too_deep = len(q.name.rstrip(".").split(".")) > _FULL_IP6
    return too_deep and kdns.nxdomain and bool(coredns.answer)


def _names(observation: Observation) -> tuple[tuple[str, ...], ...]:
    sections = observation.answer, observation.authority, observation.additional
    return tuple(tuple(sorted(line.lower() for line in section)) for section in sections)


def _letter_case(q: Question, kdns: Observation, coredns: Observation) -> bool:
    """kdns's names are as in the objects, but where they end in the client's."""
    labels = q.name.split(".")
    ends = [".".join(labels[at:]) for at in range(len(labels) - 1)]
    records = [line.split() for line in (*kdns.answer, *kdns.additional)]
    names = {name for record in records for name in (record[0], record[-1])}
    ours = all(
        name == name.lower() or any(name == name.removesuffix(end).lower() + end for end in ends)
        for name in names
    )
    same = (kdns.rcode, kdns.flags) == (coredns.rcode, coredns.flags)
    upper = q.name != q.name.lower()
    return upper and ours and same and _names(kdns) == _names(coredns)


RULES: Final = (
    Rule("txt-at-existing-names", "a name that exists has NODATA for TXT (RFC 8020)", _txt),
    Rule("dns-version-other-types", "the name exists (RFC 8020)", _dns_version),
    Rule("empty-non-terminals", "what has names below it exists (RFC 8020)", _empty_non_terminal),
    Rule("soa-at-missing-names", "a name that does not exist is NXDOMAIN for SOA too", _soa),
    Rule("reverse-non-terminals", "part of a reverse name, or a PTR's owner, exists", _reverse),
    Rule("reverse-extra-labels", "no name below a full reverse name exists", _reverse_depth),
    Rule("pod-srv", "a Pod's name has no port, so no SRV", _pod_srv),
    Rule("any", "a minimal answer to ANY (RFC 8482)", _any),
    Rule("alias-other-types", "a CNAME stands for every type (RFC 1034 3.6.2)", _alias_types),
    Rule("alias-kept", "the CNAME stays though its target is missing (RFC 6604)", _alias_lost),
    Rule("alias-target-soa", "the end of a chain outside: its rcode and SOA", _alias_outside),
    Rule("name-servers", "the server names its addresses wherever it listens", _name_servers),
    Rule("letter-case", "a cached answer serves every letter case (RFC 4343)", _letter_case),
    Rule("slice-without-service", "a reply to every question", _unlabelled),
)


def without_reasons(observation: Observation) -> Observation:
    """The reply without Extended DNS Errors, which CoreDNS never has."""
    return replace(observation, options=tuple(o for o in observation.options if o != _EDE))


def explain(q: Question, kdns: Observation, coredns: Observation) -> Rule | None:
    """The first rule that the difference falls under."""
    kdns = without_reasons(kdns)
    return next((rule for rule in RULES if rule.predicate(q, kdns, coredns)), None)
