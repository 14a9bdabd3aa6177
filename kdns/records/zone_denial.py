"""NSEC records that prove what a signed zone does not have (RFC 4035 section 3.1.3).

The zone is signed elsewhere; this only finds the records that stand in it. NSEC3 is not supported, as
in CoreDNS: such a zone answers, without proofs.
"""

from __future__ import annotations

from bisect import bisect_right

from kdns.records.zone_nodes import Node, canonical_order, rrset_of
from kdns.wire.constants import Type
from kdns.wire.message import Record
from kdns.wire.names import Name


class Denial:
    """The NSEC chain of a zone; sorted at the first question that needs it."""

    def __init__(self, nodes: dict[Name, Node]) -> None:
        self._nodes = nodes
        self._chain: list[Name] | None = None
        self._keys: list[tuple[bytes, ...]] = []

    def no_data(self, name: Name, wildcard: Name | None) -> list[Record]:
        """That ``name`` lacks the type asked for; ``wildcard`` is where its records come from."""
        if wildcard:
            return self._unique(self.at(wildcard), self.covering(name))
        return self.at(name) or self.covering(name)

    def no_name(self, name: Name, encloser: Name) -> list[Record]:
        """That neither ``name`` exists nor a wildcard at its closest encloser."""
        return self._unique(self.covering(name), self.covering(("*", *encloser)))

    def at(self, name: Name) -> list[Record]:
        """The NSEC at ``name`` with its signatures."""
        node = self._nodes.get(name, ())
        signatures = [r for r in rrset_of(node, Type.RRSIG) if r.rdata[:2] == b"\0\x2f"]
        return [*nsec, *signatures] if (nsec := rrset_of(node, Type.NSEC)) else []

    def covering(self, name: Name) -> list[Record]:
        """The NSEC whose span holds ``name``."""
        if self._chain is None:
            signed = [key for key, node in self._nodes.items() if rrset_of(node, Type.NSEC)]
            self._chain = sorted(signed, key=canonical_order)
            self._keys = [canonical_order(key) for key in self._chain]
        before = bisect_right(self._keys, canonical_order(name)) - 1
        return self.at(self._chain[before]) if before >= 0 else []

    @staticmethod
    def _unique(*parts: list[Record]) -> list[Record]:
        return list(dict.fromkeys(record for part in parts for record in part))
