"""``shortnames [NAMESPACE] { pods; prefer cluster|outside }``: names as a Pod would write them.

A Pod's resolver appends ``NAMESPACE.svc.D``, ``svc.D`` and ``D`` in turn to a name with fewer than five
dots. For clients without that search list this stage does the same on the server: ``redis-master``,
``redis-master.my-ns``, ``_http._tcp.web`` are answered by a CNAME to the full name and its records.

Which one wins when a name exists outside too: the cluster's (as in a Pod), or with ``prefer outside``
what the rest of the server answers unless that is NXDOMAIN. A name that is in the cluster's zones or
in no way short is passed on untouched.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins import k8s_external, kubernetes
from kdns.plugins.interface import Context, Handler
from kdns.plugins.kubernetes.stage import Cluster
from kdns.plugins.zones import Fallthrough, longest_match
from kdns.records.search import NDOTS, search_list
from kdns.wire.constants import Class, ErrorCode, Rcode, Type
from kdns.wire.message import FOREVER, Answer, ExtendedError, Key, Query, Record
from kdns.wire.names import MAX_NAME, Name, plain_address, to_text, to_wire
from kdns.wire.reasons import because

NAME: Final = "shortnames"

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # an RFC 1123 label

ACL: Final = "acl"
"""The directive whose answers to a completion are final."""

SVC: Final = "svc"
"""The label below which the cluster's Services are."""

TELLING: Final = 2
"""Labels of a name that nobody has, at most, for its asker to be told why the cluster has none either:
``redis`` and ``redis.shop`` were meant for it. So were longer ones that end in ``svc``."""


class Settings(Struct, frozen=True):
    """What the directive says."""

    namespace: str = "default"
    """Where names without a namespace are looked for."""
    pods: bool = False
    """Whether a Pod's source address makes its own namespace the default one."""
    outside_first: bool = False
    directive: Option = Option(NAME)


def parse(directive: Option) -> Settings:
    """Read the directive. Raises ``ConfigError`` naming the line that cannot be used."""
    if len(directive.args) > 1:
        directive.fail(f"takes one namespace, got {len(directive.args)} arguments")
    pods = outside_first = False
    for option in directive.options:
        if option.name == "pods":
            option.none()
            pods = True
        elif option.name == "prefer" and option.one() in {"cluster", "outside"}:
            outside_first = option.one() == "outside"
        else:
            option.fail("not an option of shortnames; these are pods, prefer cluster|outside")
    namespace = directive.args[0].lower() if directive.args else "default"
    if not _NAMESPACE.fullmatch(namespace):
        directive.fail(f"expected a namespace, not {namespace[:40]!r}")
    return Settings(namespace, pods, outside_first, directive)


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Raise ``ConfigError`` when the block has no ``kubernetes`` directive to complete names for."""
    cluster = next(context.block.named("kubernetes"), None)
    if cluster is None:
        settings.directive.fail("needs a kubernetes directive in the same server block")
    # A miss must come back as a miss here, whatever the directive lets fall through.
    options = replace(kubernetes.parse(cluster), fallthrough=Fallthrough())
    return ShortNames(settings, options, next_handler, context).answer


class ShortNames:
    """The stage: try the completions in order, then pass the name on."""

    def __init__(
        self,
        settings: Settings,
        options: kubernetes.Settings,
        next_handler: Handler,
        context: Context,
    ) -> None:
        self.settings, self.next = settings, next_handler
        self.cluster = Cluster(options, next_handler, context)
        self.inside: Handler = self.cluster.answer
        if outside := next(context.block.named(k8s_external.NAME), None):
            shown = k8s_external.parse(outside)
            self.inside = k8s_external.wrap(shown, self.cluster.answer, context)
        if next(context.block.named(ACL), None) is not None:
            from kdns.plugins import acl  # noqa: PLC0415 - most blocks have none

            # It stands behind this directive, and completions do not come to it.
            self.inside = acl.Guard(acl.rules_of(context), self.inside, context).answer
        self.zone = self.cluster.view.primary
        # By source address the Pods are needed even where no Pod names are served.
        self.pods = context.cluster(options.access(pods=True))[0] if settings.pods else None

    async def answer(self, query: Query) -> Answer:
        if not self._is_short(query):
            return await self.next(query)
        outside = Answer(handled=False)
        if self.settings.outside_first:
            outside = await self.next(query)
            if outside.handled and outside.rcode != Rcode.NXDOMAIN:
                return outside
        tried, found = await self._complete(query)
        if found or (tried.rcode == Rcode.SERVFAIL and len(query.name) == 1):
            answer = tried
        else:
            if not self.settings.outside_first:
                outside = await self.next(query)
            answer = self._elsewhere(query, outside, tried)
        # What depends on the asker's address must not be kept for others.
        kept = 0.0 if self.pods else min(tried.keep_until, outside.keep_until)
        return replace(answer, keys=tried.keys | outside.keys, keep_until=kept)

    def _elsewhere(self, query: Query, outside: Answer, tried: Answer) -> Answer:
        """What the rest of the server has, told with the cluster's reasons where that is nothing."""
        if not outside.handled:
            return self._nowhere(query, tried)
        if outside.rcode != Rcode.NOERROR:
            return replace(outside, errors=(*outside.errors, *self._telling_errors(query, tried)))
        return outside

    def _telling_errors(self, query: Query, tried: Answer) -> tuple[ExtendedError, ...]:
        """Why the cluster has no name that was meant for it."""
        if len(_host(query.name)) <= TELLING or query.name[-1] == SVC:
            return tried.errors
        if SVC in query.name[2:]:
            text = f"names of the cluster's Services end in svc.{to_text(self.zone)}"
            return because(query, ErrorCode.OTHER, text)
        return ()

    def _is_short(self, query: Query) -> bool:
        return (
            0 < len(query.name) <= NDOTS
            and query.qclass == Class.IN
            and query.transport != "internal"
            and longest_match(self.cluster.view.zones, query.name) is None
        )

    async def _complete(self, query: Query) -> tuple[Answer, bool]:
        """The first completion that exists, or the last that does not; with what all depend on."""
        keys: frozenset[Key] = frozenset()
        kept, last, found = FOREVER, Answer(Rcode.NXDOMAIN), False
        reasons: tuple[ExtendedError, ...] = ()
        suffixes = self._suffixes(query)
        for at, suffix in enumerate(suffixes, 1):
            ending = to_wire(suffix)
            if len(query.qname) - 1 + len(ending) > MAX_NAME:
                continue
            qname = query.qname[:-1] + ending
            if query.trace is not None:
                query.trace.append(f"shortnames: tries {to_text(query.name + suffix)}")
            last = await self.inside(replace(query, qname=qname, name=query.name + suffix))
            keys, kept = keys | last.keys, min(kept, last.keep_until)
            if last.rcode == Rcode.NOERROR or last.answer or last.plugin == ACL:
                last, found = self._lead_to(query, qname, last), True
            if found or last.rcode == Rcode.SERVFAIL:
                break
            if at == self._telling(_host(query.name), suffixes[0][0]):
                reasons = last.errors
        if reasons and not found:
            last = replace(last, errors=reasons)
        return replace(last, keys=keys, keep_until=kept), found

    def _telling(self, name: Name, namespace: str) -> int:
        """Whose reason says most: ``redis`` is a Service, ``redis.shop`` has a namespace.

        But ``db-0.db`` is an endpoint where there is a Service ``db``, and only the zone is missing from
        ``redis.shop.svc``.
        """
        if name[-1] == SVC:
            return 3  # the third completion appends nothing else
        if len(name) == 2 and self.cluster.index.service(namespace, name[1]):
            return 1
        return len(name)

    def _suffixes(self, query: Query) -> tuple[Name, ...]:
        """The search list of a Pod in the asker's namespace."""
        namespace = self.settings.namespace
        if self.pods and query.client:
            pod = self.pods.sole_pod(str(plain_address(query.client)))
            namespace = pod.namespace if pod else namespace
        return search_list(namespace, self.zone)

    def _lead_to(self, query: Query, qname: bytes, answer: Answer) -> Answer:
        if answer.plugin == ACL:
            return answer
        record = Record(query.qname, Type.CNAME, self.cluster.view.ttl, qname)
        records = () if query.qtype == Type.CNAME else answer.answer
        return replace(answer, answer=(record, *records), plugin=NAME)

    def _nowhere(self, query: Query, last: Answer) -> Answer:
        """Nobody answers for the name: it does not exist, as in a Pod without an upstream."""
        if last.rcode == Rcode.SERVFAIL:
            return last
        tried = ", ".join(to_text(suffix) for suffix in self._suffixes(query))
        name = to_text(query.name)
        text = f"nothing here answers for {name}, nor is it in the cluster with {tried} appended"
        nowhere = because(query, ErrorCode.OTHER, text)
        errors = (*self._telling_errors(query, last), *nowhere)
        return Answer(Rcode.NXDOMAIN, errors=errors, plugin=NAME)


def _host(name: Name) -> Name:
    """Without a port and protocol in front, as in ``_http._tcp.web``."""
    return name[2:] if len(name) > 2 and name[0][:1] == name[1][:1] == "_" else name
