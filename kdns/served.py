"""A zone of a server block, as the responder knows it: whom to ask, and what holds for all of its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from kdns.metrics.meters import Meter
from kdns.plugins.interface import Handler, Observer
from kdns.wire.constants import Rcode, Type
from kdns.wire.message import Answer, Query
from kdns.wire.names import Name

_OTHER_CLASSES: Final = frozenset({"chaos", "forward", "proxy", "whoami"})


class Served(Struct, frozen=True):
    """A zone of a server block on one address."""

    zone: Name
    handler: Handler
    meter: Meter
    observers: tuple[Observer, ...] = ()
    directives: tuple[str, ...] = ()
    notified: Callable[[Query], Answer] | None = None
    """Who takes a NOTIFY (RFC 1996)."""
    recursion_available: bool = False
    """Whether any name can be asked for: a ``forward`` covers the root. Stub resolvers and dnsmasq
    want to see RA, on authoritative answers too."""

    @property
    def rotates(self) -> bool:
        """Whether a kept reply has its addresses in turn."""
        return "loadbalance" in self.directives

    @property
    def other_classes(self) -> bool:
        """Whether a directive answers for classes besides IN."""
        return not _OTHER_CLASSES.isdisjoint(self.directives)

    def take_notice(self, query: Query) -> Answer:
        """NOTIFY (RFC 1996) is about SOA records only (section 3.7), and for who fetches zones."""
        if self.notified is None or query.qtype != Type.SOA:
            return Answer(Rcode.NOTIMP, authoritative=False, keep_until=0.0)
        return self.notified(query)
