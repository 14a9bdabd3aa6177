"""``autopath [ZONES…] RESOLV-CONF|@kubernetes``: the search path is walked here and not by the asker.

A Pod asks first for ``NAME.its-namespace.svc.D``. When that does not exist, the other names that its
resolver would try are looked up at once, and the first that exists is the answer, behind an alias.

With ``@kubernetes`` the path is that of the Pod with the asker's address, and only where exactly one Pod
has it: Pods in the node's network share theirs, and what is not sure is left to the asker.
"""

from __future__ import annotations

import logging
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config import resolv_conf
from kdns.config.tree import Option
from kdns.metrics import families
from kdns.plugins import kubernetes
from kdns.plugins.counting import counted
from kdns.plugins.interface import Context, Handler
from kdns.plugins.zones import longest_match, parse_zones, served_zones
from kdns.records.outcome import PodMode
from kdns.records.search import search_list
from kdns.wire.constants import Class, Rcode, Type
from kdns.wire.message import Answer, Query, Record
from kdns.wire.names import (
    MAX_NAME,
    BadNameError,
    Name,
    from_text,
    from_wire,
    is_below,
    plain_address,
    to_wire,
    wire_to_text,
)

logger: Final = logging.getLogger("kdns.autopath")

NAME: Final = "autopath"
NODE_FILE: Final = "/etc/resolv.conf"
"""The kubelet adds the node's search list to that of its Pods; ours is the node's."""

FAILURES: Final = frozenset({Rcode.SERVFAIL, Rcode.REFUSED, Rcode.FORMERR, Rcode.NOTIMP})


class Settings(Struct, frozen=True):
    """What the directive says."""

    zones: tuple[Name, ...] = ()
    """Only what is asked below these; empty for the zones of the server block."""
    path: str = ""
    """A file such as ``/etc/resolv.conf``; "" for ``@kubernetes``."""
    directive: Option = Option(NAME)


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.no_options()
    if not directive.args:
        directive.fail("takes a file such as /etc/resolv.conf, or @kubernetes")
    *zones, source = directive.args
    if source.startswith("@") and source != "@kubernetes":
        directive.fail(f"only @kubernetes knows who asks, not {source}")
    path = "" if source.startswith("@") else source
    return Settings(parse_zones(directive, tuple(zones)), path, directive)


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Raise ``ConfigError`` when there is nothing that tells the asker's search path."""
    paths = FromFile(settings, context) if settings.path else FromPods(settings, context)
    return Walker(settings, paths, next_handler, context).answer


class FromFile:
    """The same search path for everybody."""

    per_asker = False

    def __init__(self, settings: Settings, context: Context) -> None:
        self.file = context.text_file(settings.path, 0, read_search)

    def of(self, query: Query) -> tuple[Name, ...]:
        """The suffixes to be tried, most likely first."""
        return (*self.file.value, ()) if self.file.value else ()


def read_search(text: str) -> tuple[Name, ...]:
    """The search list of a resolv.conf."""
    return tuple(name for name in map(_name, resolv_conf.parse(text).search) if name)


def _name(text: str) -> Name:
    try:
        return from_text(text)
    except BadNameError:
        return ()


class FromPods:
    """The search path that the kubelet wrote for the Pod with the asker's address."""

    per_asker = True

    def __init__(self, settings: Settings, context: Context) -> None:
        cluster = next(context.block.named("kubernetes"), None)
        if cluster is None:
            settings.directive.fail("@kubernetes needs that directive in the same server block")
        options = kubernetes.parse(cluster)
        self.view = options.view(context.block)
        self.index, _ = context.cluster(options.access())
        # As with the peer: otherwise nobody watches Pods, and all is passed on.
        self.works = options.pods is PodMode.VERIFIED
        if not self.works:
            place = settings.directive.location
            logger.warning("%s: autopath @kubernetes has no effect without pods verified", place)
        self.node = context.text_file(NODE_FILE, 0, read_search)

    def of(self, query: Query) -> tuple[Name, ...]:
        """Nothing where the address tells no Pod, or several."""
        zone = longest_match(self.view.zones, query.name)
        if not self.works or not query.client or zone is None:
            return ()
        pod = self.index.sole_pod(str(plain_address(query.client)))
        return (*search_list(pod.namespace, zone), *self.node.value, ()) if pod else ()


class Walker:
    """The stage."""

    def __init__(
        self,
        settings: Settings,
        paths: FromFile | FromPods,
        next_handler: Handler,
        context: Context,
    ) -> None:
        self.paths, self.next, self.context = paths, next_handler, context
        self.zones = served_zones(settings.zones, context)

    async def answer(self, query: Query) -> Answer:
        # The server's own questions are for the name that stands there.
        own = query.transport == "internal" or query.qclass != Class.IN
        if own or longest_match(self.zones, query.name) is None:
            return await self.next(query)
        path = self.paths.of(query)
        if not path or query.name == path[0] or not is_below(query.name, path[0]):
            answer = await self.next(query)
        else:
            answer = await self._walk(query, path)
        return replace(answer, keep_until=0.0) if self.paths.per_asker else answer

    async def _walk(self, query: Query, path: tuple[Name, ...]) -> Answer:
        """The first answer of a name that exists; else that of the name asked, for the asker to go on."""
        base = query.qname[: len(query.qname) - len(to_wire(path[0]))]
        first: Answer | None = None
        keys, until = frozenset[tuple[str, ...]](), float("inf")
        for suffix in path:
            qname = base + to_wire(suffix)
            if len(qname) > MAX_NAME or qname == b"\0":
                continue
            if query.trace is not None:
                query.trace.append(f"autopath: tries {wire_to_text(qname)}")
            # What was asked itself keeps its letter case.
            itself = suffix == path[0]
            tried = query if itself else replace(query, qname=qname, name=from_wire(qname))
            reply = await self.next(tried)
            keys, until = keys | reply.keys, min(until, reply.keep_until)
            first = first or reply
            if reply.handled and reply.rcode != Rcode.NXDOMAIN and reply.rcode not in FAILURES:
                answer = replace(_lead(query, reply), keys=keys, keep_until=until)
                metrics, server = self.context.metrics, self.context.server
                return counted(answer, metrics, families.AUTOPATH_SUCCESS, server)
        first = first or await self.next(query)
        return replace(first, keys=first.keys | keys, keep_until=min(first.keep_until, until))


def _lead(query: Query, reply: Answer) -> Answer:
    """With an alias from the name asked to where the answer begins, unless it begins there."""
    asked = query.qname.lower()
    if not reply.answer or any(record.owner.lower() == asked for record in reply.answer):
        return reply
    begin = reply.answer[0]
    alias = Record(query.qname, Type.CNAME, begin.ttl, begin.owner)
    return replace(reply, answer=(alias, *reply.answer))
