"""What the octets of a question do not tell: which Pod asks, and why the answer is negative.

Only for watchers, and only where the asker spoke no EDNS is a reason looked for, in memory alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from kdns.derivation.messages import Batch
from kdns.derivation.objects import pod_at
from kdns.plugins.zones import longest_match
from kdns.records.explain import explain
from kdns.records.index import Index
from kdns.records.lookup import lookup
from kdns.records.outcome import View
from kdns.status import SourceStatus
from kdns.wire.message import Query
from kdns.wire.names import plain_address
from kdns.wire.question import parse

Cluster: TypeAlias = tuple[View, Index, SourceStatus]

MAX_REASONS: Final = 100
"""Of a delivery: each costs some 50 µs, ten times a second, and others want to be answered."""

_RCODE, _ANSWERS, _ADDITIONAL = 3, slice(6, 8), slice(10, 12)  # in a message


def describe(batch: Batch, clusters: Iterable[Cluster]) -> None:
    """Add the Pods and the reasons."""
    clusters = tuple(clusters)
    if not clusters:
        return
    for client in {seen.client for seen in batch.seen}:
        address = str(plain_address(client))
        pod = next(filter(None, (pod_at(index, view, address) for view, index, _ in clusters)), "")
        if pod:
            batch.pods[client] = pod
    known: dict[bytes, str] = {}
    for seen in batch.seen:
        if _is_silent(seen.request, seen.reply):
            question = seen.request[12:].lower()
            if question not in known and len(known) < MAX_REASONS:
                known[question] = _reason(seen.request, clusters)
            seen.reason = known.get(question, "")


def _is_silent(request: bytes, reply: bytes) -> bool:
    """Whether a negative reply had no place for its reason."""
    negative = len(reply) > 12 and reply[_RCODE] & 0xF in {0, 3} and not any(reply[_ANSWERS])
    return negative and not any(request[_ADDITIONAL])


def _reason(request: bytes, clusters: Iterable[Cluster]) -> str:
    query = parse(request, "", 0, "internal")
    if not isinstance(query, Query):
        return ""
    for view, index, _ in clusters:
        zone = longest_match(view.zones, query.name)
        if zone is not None:
            outcome = lookup(index, view, zone, query.qname, query.name, query.qtype)
            return explain(index, view, outcome, zone)[0]
    return ""
