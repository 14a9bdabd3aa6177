"""A question asked for the sake of its way: what each part of the server did, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from time import monotonic, perf_counter
from typing import Final

from msgspec import Struct

from kdns.answers.entry import Entry
from kdns.answers.responder import Responder
from kdns.derivation.objects import describe, visible
from kdns.plugins import kubernetes
from kdns.plugins.blocks import Served
from kdns.plugins.chain import Plan
from kdns.plugins.explain import Settings
from kdns.plugins.interface import Context
from kdns.plugins.permission import Permission
from kdns.records.client_view import ClientView
from kdns.records.index import Index
from kdns.records.outcome import View
from kdns.status import SourceStatus
from kdns.wire.constants import Class, class_name, rcode_name, type_name
from kdns.wire.message import FOREVER, Answer, Key, Query, Record
from kdns.wire.names import to_text, wire_to_text
from kdns.wire.presentation import record_text

MAX_NOTES: Final = 40
MAX_RECORDS: Final = 24
MAX_KEYS: Final = 12
"""Steps of a kind that are told; what is more is counted."""


class Block(Struct, frozen=True):
    """A server block, as far as it is told about."""

    plan: Plan
    context: Context

    @property
    def policy(self) -> Settings:
        """Who may ask about it."""
        found = self.plan.first("explain")
        return found if isinstance(found, Settings) else Settings()

    def cluster(self) -> tuple[View, Index, SourceStatus] | None:
        """The cluster that it answers from."""
        settings = self.plan.first("kubernetes")
        if not isinstance(settings, kubernetes.Settings):
            return None
        return settings.view(self.context.block), *self.context.cluster(settings.access())


async def derive(
    responder: Responder, query: Query, served: Served, block: Block
) -> tuple[str, ...]:
    """All steps for a question that this server block answers, as lines; ``query`` has a trace."""
    notes = query.trace
    assert notes is not None, "nothing would be told"
    started = perf_counter()
    try:
        answer = await served.handler(query)
    except Exception as error:  # the same mistake that the question itself meets
        return (*_question(query, block, served), f"failed: {error!r}: SERVFAIL")
    seconds = perf_counter() - started
    cluster = block.cluster()
    keys = sorted(answer.keys)
    lines = [*_question(query, block, served), *notes[:MAX_NOTES]]
    if len(notes) > MAX_NOTES:
        lines.append(f"{len(notes) - MAX_NOTES} more steps of directives")
    if cluster is not None:
        view, index, _ = cluster
        client = Permission(block.context).of(query)
        shown = ClientView(index, view, ("svc", *view.primary), client)
        keys = visible(shown, keys, query.name)
        lines += [f"object: {text}" for text in describe(shown, keys)]
    lines += _answer(answer, seconds)
    lines.append(f"reply cache: {_keeping(query, answer, served, keys, block)}")
    lines += _kept(responder, query, answer)
    if cluster is not None:
        lines += _source(*cluster[1:], block.context.now())
    return tuple(lines)


def _question(query: Query, block: Block, served: Served) -> Iterator[str]:
    rclass = "" if query.qclass == Class.IN else f" {class_name(query.qclass)}"
    yield f"question: {wire_to_text(query.qname)}{rclass} {type_name(query.qtype)}"
    where = block.plan.block.location
    yield f"server block: {to_text(served.zone)} of {block.context.server} ({where})"
    yield f"directives: {' '.join(block.plan.order)}"


def _answer(answer: Answer, seconds: float) -> Iterator[str]:
    if answer.silent:
        yield f"answer: none at all, by {answer.plugin}"
        return
    kind = "" if answer.rcode or answer.answer else " without such a record (NODATA)"
    by = f"by {answer.plugin}" if answer.plugin else "by the end of the chain"
    yield f"answer: {rcode_name(answer.rcode)}{kind} {by}, after {seconds * 1000:.1f} ms"
    for label, records in (("record", answer.answer), ("authority", answer.authority)):
        yield from _records(label, records)
    for error in answer.errors:
        yield f"reason: {error.text or f'Extended DNS Error {error.code}'}"


def _records(label: str, records: Sequence[Record]) -> Iterator[str]:
    for record in records[:MAX_RECORDS]:
        yield f"{label}: {record_text(record)}"
    if len(records) > MAX_RECORDS:
        yield f"{label}: {len(records) - MAX_RECORDS} more"


def _keeping(query: Query, answer: Answer, served: Served, keys: list[Key], block: Block) -> str:
    """Whether the reply's bytes are kept for the next asker."""
    if any(observer.wants(query, answer) for observer in served.observers):
        return "not kept, since each question is logged"
    if not answer.keep_until:
        return "not kept: it depends on the client, came from elsewhere, or is of this moment"
    limited = answer.keep_until != FOREVER
    seconds = f"for {max(0.0, answer.keep_until - monotonic()):.1f} s" if limited else ""
    if not keys:
        return f"kept {seconds or 'until a reload'}"
    more = f" (and {len(keys) - MAX_KEYS} more)" if len(keys) > MAX_KEYS else ""
    named = ", ".join(map(_key, keys[:MAX_KEYS]))
    return f"kept {seconds}{', or ' if limited else ''}until this changes: {named}{more}"


def _key(key: Key) -> str:
    kind, *rest = key
    return " ".join([_KINDS.get(kind, kind), "/".join(filter(None, rest))]).strip()


_KINDS: Final = {
    "svc": "Service",
    "ns": "Namespace",
    "ip": "address",
    "pod": "Pods at",
    "zone": "zone",
    "names": "names in",
    "named": "Services called",
    "prefix": "addresses below",
    "namespaces": "the Namespaces",
    "serial": "anything",
}


def _kept(responder: Responder, query: Query, answer: Answer) -> Iterator[str]:
    if responder.cache is None:
        return
    question = (
        query.qname.lower() + query.qtype.to_bytes(2, "big") + query.qclass.to_bytes(2, "big")
    )
    now = monotonic()
    cached = responder.cache.of_question(question, answer.keys)
    found = [entry for entry in cached if entry.until > now]
    if found:
        yield f"cached now: {_uses(found)}"


def _uses(found: Iterable[Entry]) -> str:
    hits = [entry.hits for entry in found]
    return f"{len(hits)} form(s) of the query, {sum(hits)} answered from the cache"


def _source(index: Index, status: SourceStatus, now: float) -> Iterator[str]:
    age = status.age(now)
    state = f"lost {age:.0f} s ago: {status.problem}" if age else "current"
    yield f"source: {status.name}, {state if status.synced else 'not synced'}"
    for name, resource in status.resources.items():
        version = f" at resourceVersion {resource.version}" if resource.version else ""
        seen = max(0.0, now - resource.confirmed_at)
        confirmed = f", confirmed {seen:.0f} s ago" if resource.confirmed_at else ""
        problem = f", {resource.problem}" if resource.problem else ""
        yield f"source: {name}{version}{confirmed}{problem}"
    if index.serial:
        changed = datetime.fromtimestamp(index.serial, UTC)
        yield f"source: last change {changed:%Y-%m-%dT%H:%M:%SZ}, {max(0, int(now) - index.serial)} s ago"
