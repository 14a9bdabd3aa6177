"""The stage that answers for the cluster's zones, from the index that its source keeps."""

from __future__ import annotations

from time import monotonic
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.plugins.aliases import AliasChaser, depending
from kdns.plugins.budget import Budget
from kdns.plugins.interface import Context, Handler
from kdns.plugins.kubernetes import freshness
from kdns.plugins.kubernetes.settings import Settings
from kdns.plugins.kubernetes.zones import ClusterZones
from kdns.plugins.permission import Permission
from kdns.plugins.zones import longest_match
from kdns.records.apex import NAME_SERVER, NameServers, soa
from kdns.records.explain import WILDCARDS, explain, remark
from kdns.records.index import Index
from kdns.records.locations import address_record
from kdns.records.lookup import lookup, nodata, shown, zone_wire
from kdns.records.outcome import Asked, Outcome, Reason
from kdns.wire import rdata
from kdns.wire.constants import TRANSFERS, Class, ErrorCode, Rcode, Type
from kdns.wire.message import FOREVER, Absence, Answer, ExtendedError, Key, Query, Record
from kdns.wire.names import Name, to_text, wire_to_text
from kdns.wire.reasons import because

NAME: Final = "kubernetes"

SHORT_REASON_CACHED: Final = 1.0
"""Seconds that a negative answer is cached whose reason is a short one, since there was much to explain."""


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    cluster = Cluster(settings, next_handler, context)
    context.offers.append(ClusterZones(cluster.index, cluster.status, cluster.view, context))
    return cluster.answer


class Step(Struct, frozen=True):
    """A name and what was found there."""

    qname: bytes
    name: Name
    zone: Name
    outcome: Outcome


class Cluster:
    """The stage: zone match, look-up, the words of the reply, its alias followed."""

    def __init__(self, settings: Settings, next_handler: Handler, context: Context) -> None:
        self.settings, self.next, self.context = settings, next_handler, context
        self.view = settings.view(context.block)
        self.index, self.status = context.cluster(settings.access())
        self.aliases = AliasChaser(self._resolve, "externalName")
        self.permission, self.budget = Permission(context), Budget()

    async def answer(self, query: Query) -> Answer:
        zone = longest_match(self.view.zones, query.name)
        if zone is None:
            return await self.next(query)
        if query.qclass != Class.IN or query.qtype in TRANSFERS:
            return Answer(Rcode.REFUSED, authoritative=False, plugin=NAME)
        step = self._step(query, zone)
        missing = not step.outcome.exists
        if missing:
            certain = self._is_certain(step)
            passes = certain or self.settings.fallthrough_unsynced
            if passes and self.settings.fallthrough.covers(query.name):
                return await self._pass_on(query, step)
            if not certain:
                return self._not_synced(query, step)
        return await self._answered(query, step, alone=not missing)

    # ---- looking up

    def _step(self, query: Query, zone: Name) -> Step:
        outcome = self._look_up(query, query.qname, query.name, zone)
        step = Step(query.qname, query.name, zone, outcome)
        if query.trace is not None:
            query.trace.append(f"kubernetes: {_told(step)}")
        return step

    async def _resolve(self, query: Query) -> Answer:
        """The answer for an alias's target: in the cluster by itself, else the whole server's.

        As with CoreDNS, a target in the cluster does not fall through.
        """
        zone = longest_match(self.view.zones, query.name)
        if zone is None:
            return await self.context.resolve(query)
        step = self._step(query, zone)
        if not step.outcome.exists and not self._is_certain(step):
            return self._not_synced(query, step)
        return await self._answered(query, step)

    async def _answered(self, query: Query, step: Step, *, alone: bool = True) -> Answer:
        """What was found, with the answer for its alias's target."""
        answer = self._assemble(query, step, missing=not step.outcome.exists, alone=alone)
        if step.outcome.target:
            return await self.aliases.follow(query, answer, tuple(step.outcome.answer))
        return answer

    def _look_up(self, query: Query, qname: bytes, name: Name, zone: Name) -> Outcome:
        qtype = query.qtype
        at_apex = name == zone
        if at_apex and qtype == Type.SOA:
            return Outcome(answer=(soa(self.index, self.view, qname),), keys=(("serial",),))
        if (at_apex and qtype == Type.NS) or name[: len(name) - len(zone)] == NAME_SERVER:
            outcome = self._name_servers(zone, qname, name, qtype)
        else:
            outcome = lookup(self.index, self.view, zone, qname, name, qtype)
        if qtype == Type.ANY and outcome.exists and not outcome.answer:
            # RFC 8482 section 4.2: a synthesised HINFO instead of all that there is
            record = Record(qname, Type.HINFO, self.view.ttl, rdata.strings("RFC8482", ""))
            return replace(outcome, answer=(record,))
        return outcome

    def _name_servers(self, zone: Name, qname: bytes, name: Name, qtype: int) -> Outcome:
        index = shown(self.index, self.view, zone)
        servers = NameServers(index, self.view, self.context.local_addresses())
        keys = servers.keys()
        if name == zone:
            answer, additional = servers.records(zone_wire(qname, name, zone), qname)
            return Outcome(answer=answer, additional=additional, keys=keys)
        ttl = self.view.ttl
        records = [address_record(qname, address, ttl) for address in servers.addresses()]
        if answer := tuple([record for record in records if record.rtype == qtype]):
            return Outcome(answer=answer, keys=keys)
        has = dict.fromkeys(Type(record.rtype) for record in records)
        return nodata(Asked("other"), *keys, has=tuple(has))

    def _index(self, step: Step) -> Index:
        return shown(self.index, self.view, step.zone)

    def _is_certain(self, step: Step) -> bool:
        """Whether a negative outcome is the truth, and not just a list that has not come yet."""
        return self._index(step).synced.issuperset(step.outcome.needs)

    # ---- making the answer

    def _assemble(self, query: Query, step: Step, *, missing: bool, alone: bool = True) -> Answer:
        """``alone`` is whether nothing is to be said of the names beside this one."""
        outcome = step.outcome
        keys = outcome.keys
        errors: tuple[ExtendedError, ...] = ()
        authority: tuple[Record, ...] = ()
        at_most = 0
        now = self.context.now()
        stale = freshness.staleness(query, self.status, now)
        until = freshness.keep_until(self.status, stale=bool(stale))
        if not outcome.answer:
            negative = soa(self.index, self.view, zone_wire(step.qname, step.name, step.zone))
            authority = (negative,)
            errors, more, kept = self._reasons(query, step)
            keys += more
            until = min(until, kept, freshness.serial_until(negative))
        elif self._is_too_long(step):
            at_most, errors = self.settings.max_answers, self._shortened(query, outcome)
        elif query.wants_reason and (text := remark(self._index(step), self.view, outcome)):
            errors = because(query, ErrorCode.OTHER, text)
        return Answer(
            rcode=Rcode.NXDOMAIN if missing else Rcode.NOERROR,
            answer=outcome.answer,
            authority=authority,
            additional=outcome.additional,
            errors=(*errors, *stale),
            keys=frozenset(keys),
            keep_until=until,
            at_most=at_most,
            absence=None if alone or stale else self._absence(query, step, keys),
            plugin=NAME,
        )

    def _absence(self, query: Query, step: Step, keys: tuple[Key, ...]) -> Absence | None:
        """Of a name in a namespace: all are absent but those of its Services."""
        asked, view = step.outcome.asked, self.view
        if step.outcome.reason is not Reason.NO_SERVICE or step.zone in view.multicluster:
            return None
        if asked is None or len(asked.labels) != 3:
            return None
        namespace, services, allows = asked.namespace, self.index.services, self.budget.allows
        apart = frozenset(keys) - {("ns", namespace)}
        if not query.wants_reason:
            return Absence(lambda label: label not in services.get(namespace, ()), apart=apart)

        def holds(label: str) -> bool:
            """Without the search for what was meant, so only where there is no time for that."""
            known = label in services.get(namespace, ()) or label in WILDCARDS
            return not known and not allows(monotonic())

        return Absence(holds, (f"no {asked.title} ", f" in namespace {namespace}"), apart)

    def _reasons(
        self, query: Query, step: Step
    ) -> tuple[tuple[ExtendedError, ...], tuple[Key, ...], float]:
        """The reasons, their keys, and until when they hold (``Answer.keep_until``)."""
        if not query.wants_reason:
            return (), (), FOREVER
        client, now = self.permission.of(query), monotonic()
        searches = self.budget.allows(now)
        text, keys = explain(
            self._index(step), self.view, step.outcome, step.zone, client, searches=searches
        )
        errors = because(query, ErrorCode.OTHER, text) if text else ()
        if not searches:
            return errors, tuple(keys), min(client.keep_until, now + SHORT_REASON_CACHED)
        self.budget.spend(monotonic() - now)
        return errors, tuple(keys), client.keep_until

    def _is_too_long(self, step: Step) -> bool:
        """``max_answers``: endpoints stand in for one another, ports of a ClusterIP do not."""
        outcome = step.outcome
        if not 0 < self.settings.max_answers < len(outcome.answer) or outcome.asked is None:
            return False
        service = self._index(step).service(outcome.asked.namespace, outcome.asked.service)
        return service is not None and service.headless

    def _shortened(self, query: Query, outcome: Outcome) -> tuple[ExtendedError, ...]:
        text = f"{self.settings.max_answers} of {len(outcome.answer)} records, others next time"
        return because(query, ErrorCode.OTHER, f"{text} (max_answers)")

    def _not_synced(self, query: Query, step: Step) -> Answer:
        zone = zone_wire(step.qname, step.name, step.zone)
        return Answer(
            Rcode.SERVFAIL,
            authority=(soa(self.index, self.view, zone),),
            errors=freshness.not_synced(query, self.status),
            keep_until=0.0,
            plugin=NAME,
        )

    async def _pass_on(self, query: Query, step: Step) -> Answer:
        """``fallthrough``: what comes after may answer, until the name exists here.

        Where nobody does, the name does not exist: the peer's SERVFAIL would be asked again and again.
        """
        if query.trace is not None:
            query.trace.append("kubernetes: falls through to the next directive")
        passed = await self.next(query)
        certain = self._is_certain(step)
        if passed.handled:
            keys = passed.keys.union(step.outcome.keys)
            return replace(passed, keys=keys, keep_until=passed.keep_until if certain else 0.0)
        if not certain:
            return self._not_synced(query, step)
        return depending(self._assemble(query, step, missing=True), passed)


def _told(step: Step) -> str:
    outcome, asked = step.outcome, step.outcome.asked
    parts = [f"looks up {wire_to_text(step.qname)} in zone {to_text(step.zone)}"]
    if asked is not None and asked.kind in {"svc", "pod"}:
        fields = ("namespace", "service", "endpoint", "port", "protocol")
        named = [f"{field} {value}" for field in fields if (value := getattr(asked, field))]
        parts.append(" ".join([asked.kind, *named]))
    parts.append(
        "found" if outcome.answer else "no such record" if outcome.exists else "no such name"
    )
    return "; ".join(parts)
