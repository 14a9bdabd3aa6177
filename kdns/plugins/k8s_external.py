"""``k8s_external [ZONES…] { … }``: Services seen from outside.

Answers from the objects of the ``kubernetes`` directive in the same server block.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins import kubernetes
from kdns.plugins.aliases import AliasChaser, depending
from kdns.plugins.interface import Context, Handler
from kdns.plugins.kubernetes import freshness
from kdns.plugins.options import read_number
from kdns.plugins.permission import Permission
from kdns.plugins.zones import (
    Fallthrough,
    longest_match,
    parse_fallthrough,
    parse_zones,
    served_zones,
)
from kdns.records.client_view import ClientView
from kdns.records.explain import missing_outside
from kdns.records.external import External, Found
from kdns.records.lookup import zone_wire
from kdns.records.reachable import Shown
from kdns.wire.aliases import chain_end
from kdns.wire.constants import Class, ErrorCode, Rcode, Type
from kdns.wire.message import FOREVER, Answer, ExtendedError, Key, Query, Record
from kdns.wire.names import BadNameError, Name, from_text, from_wire, to_text
from kdns.wire.reasons import because

NAME: Final = "k8s_external"
MAX_TTL: Final = 3600  # seconds; the peer's limit


class Settings(Struct, frozen=True):
    """What the directive says."""

    zones: tuple[Name, ...] = ()
    """Empty for those of the server block."""
    ttl: int = 5
    apex: Name = ("dns",)
    headless: bool = False
    fallthrough: Fallthrough = Fallthrough()
    directive: Option = Option(NAME)
    node_ports: bool = False
    external_names: bool = False


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    settings = Settings(parse_zones(directive, directive.args), directive=directive)
    for option in directive.options:
        match option.name:
            case "ttl":
                ttl = read_number(option, option.one(), 0, MAX_TTL, "seconds")
                settings = replace(settings, ttl=ttl)
            case "apex":
                settings = replace(settings, apex=_apex(option))
            case "headless":
                settings = replace(settings, headless=True)
            case "nodeports":
                option.none()
                settings = replace(settings, node_ports=True)
            case "external_names":
                option.none()
                settings = replace(settings, external_names=True)
            case "fallthrough":
                settings = replace(settings, fallthrough=parse_fallthrough(option))
            case _:
                known = "apex, ttl, headless, nodeports, external_names, fallthrough"
                option.fail(f"not an option of {NAME}; these are {known}")
    return settings


def _apex(option: Option) -> Name:
    try:
        apex = from_text(option.one())
    except BadNameError as error:
        option.fail(str(error))
    if not apex:
        option.fail("takes a label such as dns")
    return apex


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Raise ``ConfigError`` when the block has no ``kubernetes`` directive to take Services from."""
    cluster = next(context.block.named("kubernetes"), None)
    if cluster is None:
        settings.directive.fail("needs a kubernetes directive in the same server block")
    return Stage(settings, kubernetes.parse(cluster), next_handler, context).answer


class Stage:
    """The stage: zone match, look-up, aliases followed through the whole server."""

    def __init__(
        self,
        settings: Settings,
        cluster: kubernetes.Settings,
        next_handler: Handler,
        context: Context,
    ) -> None:
        self.settings, self.next, self.context = settings, next_handler, context
        self.index, self.status = context.cluster(cluster.access())
        self.permission = Permission(context)
        self.zones = served_zones(settings.zones, context)
        shown = Shown(
            *(self.zones, settings.ttl, settings.apex, settings.headless),
            *(settings.node_ports, settings.external_names),
        )
        local = context.local_addresses()
        self.aliases = AliasChaser(context.resolve, "the alias")
        self.external = External(self.index, cluster.view(context.block), shown, local)

    async def answer(self, query: Query) -> Answer:
        zone = longest_match(self.zones, query.name)
        if zone is None:
            return await self.next(query)
        if query.qclass != Class.IN or query.qtype in {Type.AXFR, Type.IXFR}:
            return Answer(Rcode.REFUSED, authoritative=False, plugin=NAME)
        found = self.external.look_up(zone, query.qname, query.name, query.qtype)
        if query.trace is not None:
            what = "found" if found.answer else f"no such {'record' if found.exists else 'name'}"
            query.trace.append(
                f"{NAME}: looks up {to_text(query.name)} in zone {to_text(zone)}; {what}"
            )
        if not found.exists:
            if not self.index.synced.issuperset(found.needs):
                return self._failed(query)
            if self.settings.fallthrough.covers(query.name):
                passed = await self.next(query)
                return replace(passed, keys=passed.keys | frozenset(found.keys))
        answer = self._say(query, zone, found)
        if found.target:
            return await self.aliases.follow(query, answer, tuple(found.answer))
        return await self._add_addresses(query, answer, found.hosts) if found.hosts else answer

    def _say(self, query: Query, zone: Name, found: Found) -> Answer:
        keys: frozenset[Key] = frozenset(found.keys)
        authority: tuple[Record, ...] = ()
        errors: tuple[ExtendedError, ...] = ()
        now = self.context.now()
        stale = freshness.staleness(query, self.status, now)
        until = freshness.keep_until(self.status, stale=bool(stale))
        if not found.answer:
            authority = (self.external.soa(zone_wire(query.qname, query.name, zone)),)
            until = min(until, freshness.serial_until(authority[0]))
        if query.wants_reason:
            text, more, kept = self._why(query, zone, found)
            errors, keys = because(query, ErrorCode.OTHER, text) if text else (), keys | more
            until = min(until, kept)
        return Answer(
            rcode=Rcode.NOERROR if found.exists else Rcode.NXDOMAIN,
            answer=found.answer,
            authority=authority,
            additional=found.additional,
            errors=(*errors, *stale),
            keys=keys,
            keep_until=until,
            plugin=NAME,
        )

    def _why(self, query: Query, zone: Name, found: Found) -> tuple[str, frozenset[Key], float]:
        """The reason, its keys, and until when it holds (``Answer.keep_until``)."""
        if found.missing:
            client = self.permission.of(query)
            shown = ClientView(self.index, self.external.view, zone, client)
            text, keys = missing_outside(shown, found.missing)
            return text, frozenset(keys), client.keep_until
        return found.note if found.answer else found.why, frozenset(), FOREVER

    def _failed(self, query: Query) -> Answer:
        errors = freshness.not_synced(query, self.status)
        return Answer(
            Rcode.SERVFAIL, authoritative=False, errors=errors, keep_until=0.0, plugin=NAME
        )

    async def _add_addresses(
        self, query: Query, answer: Answer, hosts: tuple[bytes, ...]
    ) -> Answer:
        """The addresses of what SRV records name (RFC 2782)."""
        followed = query.followed or (query.name,)
        for host in hosts:
            name = from_wire(host)
            if chain_end(query.followed, name):
                continue  # reached by way of a ``rewrite`` to SRV
            asked = query.follow(host, (*followed, name))
            for rtype in (Type.A, Type.AAAA):
                found = await self.context.resolve(replace(asked, qtype=rtype))
                records = found.answer if found.handled else ()
                additional = (*answer.additional, *records)
                answer = depending(replace(answer, additional=additional), found)
        return answer
