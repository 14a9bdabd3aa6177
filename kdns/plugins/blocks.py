"""The server blocks of one address: which of them a question goes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.metrics.meters import Meter
from kdns.plugins.interface import Condition, Handler, Observer
from kdns.wire.constants import Rcode, Type
from kdns.wire.message import Answer, Query
from kdns.wire.names import BadNameError, Name, from_text, is_below

_ALIKE: Final = frozenset(
    {"bind", "bufsize", "cache", "debug", "errors", "header", "health", "loadbalance", "metadata"}
    | {"prometheus", "ready", "reload", "root", "tls", "transfer", "kubernetes"}
)
"""Directives that do the same with every name that ``kubernetes`` denies, whatever its first label."""

_SERVICE_LABELS: Final = 3
"""Labels of the shortest name of a Service: ``web.shop.svc``, where the zone is the root."""

_OTHER_CLASSES: Final = frozenset({"chaos", "forward", "proxy"})


def names_in(options: Iterable[Option]) -> Iterator[Name]:
    """What of the arguments of directives and their options may be a Service's name."""
    for option in options:
        for text in option.args:
            with suppress(BadNameError):
                if len(name := from_text(text)) >= _SERVICE_LABELS:
                    yield name
        yield from names_in(option.options)


class Served(Struct, frozen=True):
    """A zone of a server block on one address."""

    zone: Name
    handler: Handler
    meter: Meter
    observers: tuple[Observer, ...] = ()
    directives: tuple[str, ...] = ()
    notified: Callable[[Query], Answer] | None = None
    """Who takes a NOTIFY (RFC 1996)."""
    view: Condition | None = None
    """Which questions it is for; None for all."""
    otherwise: Served | None = None
    """Who is asked about the questions that it is not for, in the order of the Corefile."""
    recursion_available: bool = False
    """Whether any name can be asked for: a ``forward`` covers the root. Stub resolvers and dnsmasq
    want to see RA, on authoritative answers too."""

    named: frozenset[Name] = frozenset()
    """Names that arguments of its directives name, which may set them apart from their siblings."""

    needs_task: bool = False
    """Whether its handler may wait for what needs a task: directives of other packages are not known."""

    @property
    def rotates(self) -> bool:
        """Whether a kept reply has its addresses in turn."""
        return "loadbalance" in self.directives

    @property
    def other_classes(self) -> bool:
        """Whether a directive answers for classes besides IN."""
        return not _OTHER_CLASSES.isdisjoint(self.directives)

    @property
    def denies_alike(self) -> bool:
        """Whether siblings of a name that ``kubernetes`` denies are answered as that was."""
        if self.view is not None or self.observers or "kubernetes" not in self.directives:
            return False
        return _ALIKE.issuperset(self.directives[: self.directives.index("kubernetes")])

    def take_notice(self, query: Query) -> Answer:
        """NOTIFY (RFC 1996) is about SOA records only (section 3.7), and for who fetches zones."""
        if self.notified is None or query.qtype != Type.SOA:
            return Answer(Rcode.NOTIMP, authoritative=False, keep_until=0.0)
        return self.notified(query)


class Blocks:
    """By zone; several for the same zone stand one after the other, as in the Corefile."""

    def __init__(self, served: Iterable[Served] = ()) -> None:
        self.zones: dict[Name, Served] = {}
        self._depths: list[int] = []
        """Numbers of labels of the zones, the most first."""
        for each in served:
            self.add(each)

    def add(self, served: Served) -> None:
        """Use it for queries that those of the same zone which were added before are not for."""
        self.zones[served.zone] = _before(self.zones.get(served.zone), served)
        self._depths = sorted({len(zone) for zone in self.zones}, reverse=True)

    @property
    def blocks(self) -> Iterator[Served]:
        """All of them."""
        for first in self.zones.values():
            served: Served | None = first
            while served is not None:
                yield served
                served = served.otherwise

    def answers_alike(self, parent: Name, served: Served) -> bool:
        """Whether every denied name below ``parent`` comes to ``served``, and is answered there alike."""
        if not served.denies_alike or self.zones.get(served.zone) is not served:
            return False
        depth = len(served.zone)
        for zone in self.zones:
            # One that holds the parent has a view, which may be for some names only.
            if len(zone) > depth and (is_below(zone, parent) or is_below(parent, zone)):
                return False
        return not any(is_below(name, parent) for name in served.named)

    def find(self, query: Query) -> tuple[Served | None, bool]:
        """The one with the longest zone that holds the name, and whose view is for the query.

        Also whether another client could come to another one.
        """
        name, by_client = query.name, False
        size = len(name)
        for depth in self._depths:
            served = self.zones.get(name[size - depth :]) if depth <= size else None
            while served is not None:
                if served.view is None:
                    return served, by_client
                by_client |= served.view.by_asker
                if served.view(query):
                    return served, by_client
                served = served.otherwise
        return None, by_client


def _before(first: Served | None, last: Served) -> Served:
    if first is None:
        return last
    return replace(first, otherwise=_before(first.otherwise, last))
