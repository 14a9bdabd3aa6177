"""Who holds an address, and below which reverse names there are any: parts of the index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from kdns.records.reverse import prefixes
from kdns.wire.message import Key

Id: TypeAlias = tuple[str, str]
"""Namespace and name; the namespace of a Namespace and of a Node is ""."""


def move(
    holders: dict[str, tuple[Id, ...]], key: Id, old: Iterable[str], new: Iterable[str]
) -> None:
    """Let ``key`` be found at the addresses ``new`` instead of ``old``."""
    was, now = set(old), set(new)
    for address in was - now:
        rest = tuple(holder for holder in holders[address] if holder != key)
        if rest:
            holders[address] = rest
        else:
            del holders[address]
    alone = (key,)  # one tuple for all addresses of an object: most have a single holder
    for address in now - was:
        # In order, so that the first of several does not depend on who came first.
        holders[address] = tuple(sorted((*holders[address], key))) if address in holders else alone


class Prefixes(dict[str, int]):
    """How many addresses are below each reverse prefix, for the empty non-terminals."""

    def count(self, old: Iterable[str], new: Iterable[str], keys: set[Key]) -> None:
        """Take the addresses ``new`` in the place of ``old``; add the keys of what is different."""
        was, now = set(old), set(new)
        for address in was - now:
            keys.add(("ip", address))
            for prefix in prefixes(address):
                self[prefix] -= 1
                if not self[prefix]:
                    del self[prefix]
                    keys.add(("prefix", prefix))
        for address in now - was:
            keys.add(("ip", address))
            for prefix in prefixes(address):
                if prefix not in self:
                    keys.add(("prefix", prefix))
                self[prefix] = self.get(prefix, 0) + 1
