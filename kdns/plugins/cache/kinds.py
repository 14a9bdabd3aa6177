"""What an answer from another server is to a cache: whether it may be kept, and for how long.

RFC 2308 for what is negative, RFC 2181 section 5.2 and 8 for TTLs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.plugins.cache.settings import Bounds, Settings
from kdns.wire.address_records import LazyRecords
from kdns.wire.constants import Rcode, Type
from kdns.wire.message import Answer, Query, Record

Kind: TypeAlias = Literal["success", "denial", "failure"]

_FAILURES: Final = frozenset({Rcode.SERVFAIL, Rcode.NOTIMP})
_MAX_CHAIN: Final = 64  # CNAMEs in one answer


class Keepable(Struct, frozen=True):
    """An answer that may be kept, its TTLs inside the bounds."""

    kind: Kind
    answer: Answer
    ttl: float
    """Seconds that it may be kept."""


def classify(query: Query, answer: Answer, settings: Settings) -> Keepable | None:
    """What is to be kept of it; None for nothing."""
    if answer.truncated:
        return None
    if answer.rcode in _FAILURES:
        kept = replace(answer, failure="")
        return Keepable("failure", kept, settings.servfail) if settings.servfail else None
    if answer.rcode == Rcode.NOERROR and _is_positive(query, answer):
        return _success(answer, settings.success)
    if answer.rcode in {Rcode.NOERROR, Rcode.NXDOMAIN}:
        return _denial(answer, settings.denial)
    return None


def capped(answer: Answer, settings: Settings) -> Answer:
    """With TTLs no longer than answers are kept, for what is not kept: ``cache 10`` promises that."""
    bounds = settings.success if answer.answer else settings.denial
    for section in (answer.answer, answer.authority, answer.additional):
        # Records that are not made yet have one TTL: for this alone none is made.
        for each in (section,) if isinstance(section, LazyRecords) else section:
            if each.ttl > bounds.max_ttl:
                return _with_ttls(answer, Bounds(bounds.max_ttl, min_ttl=0))
    return answer


def aged(answer: Answer, seconds: int) -> Answer:
    """With TTLs counted down."""
    return replace(
        answer,
        answer=_aged(answer.answer, seconds),
        authority=_aged(answer.authority, seconds),
        additional=_aged(answer.additional, seconds),
    )


def with_ttl(answer: Answer, ttl: int) -> Answer:
    """With one TTL everywhere."""
    return _with_ttls(answer, Bounds(ttl, min_ttl=ttl))


def _aged(records: Sequence[Record], seconds: int) -> tuple[Record, ...]:
    return tuple([replace(record, ttl=max(record.ttl - seconds, 0)) for record in records])


def _success(answer: Answer, bounds: Bounds) -> Keepable:
    kept = _with_ttls(answer, bounds)
    return Keepable("success", kept, _least((*kept.answer, *kept.authority, *kept.additional)))


def _denial(answer: Answer, bounds: Bounds) -> Keepable | None:
    """RFC 2308 section 5: kept for the lesser of the SOA's TTL and its minimum; without SOA not at all."""
    soa = next((record for record in answer.authority if record.rtype == Type.SOA), None)
    if soa is None:
        return None
    ttl = min(soa.ttl, int.from_bytes(soa.rdata[-4:]))
    authority = tuple(replace(r, ttl=ttl) if r is soa else r for r in answer.authority)
    kept = _with_ttls(replace(answer, authority=authority), bounds)
    return Keepable("denial", kept, _least((*kept.answer, *kept.authority)))


def _least(records: Iterable[Record]) -> float:
    return min(record.ttl for record in records)


def _with_ttls(answer: Answer, bounds: Bounds) -> Answer:
    def bounded(records: Sequence[Record]) -> tuple[Record, ...]:
        least, most = bounds.min_ttl, bounds.max_ttl
        return tuple(replace(r, ttl=min(max(r.ttl, least), most)) for r in records)

    return replace(
        answer,
        answer=bounded(answer.answer),
        authority=bounded(answer.authority),
        additional=bounded(answer.additional),
    )


def _is_positive(query: Query, answer: Answer) -> bool:
    """Whether it has what was asked for, at the end of the CNAMEs, or refers to who may have it."""
    if not answer.answer:
        types = {record.rtype for record in answer.authority}
        return Type.NS in types and Type.SOA not in types
    if query.qtype == Type.ANY:
        return True
    owners = {(r.owner.lower(), r.rtype): r for r in answer.answer}
    name = query.qname.lower()
    for _ in range(_MAX_CHAIN):
        if (name, query.qtype) in owners:
            return True
        if (alias := owners.get((name, Type.CNAME))) is None:
            return False
        name = alias.rdata.lower()
    return False
