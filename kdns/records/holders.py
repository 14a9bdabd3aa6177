"""Who holds an address, and below which reverse names there are any: parts of the index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from kdns.records.reverse import prefixes
from kdns.wire.message import Key

Id: TypeAlias = tuple[str, str]
"""Namespace and name; the namespace of a Namespace and of a Node is ""."""


def differences(old: Iterable[str], new: Iterable[str]) -> tuple[set[str], set[str]]:
    """What is in ``old`` alone, and in ``new`` alone."""
    was, now = set(old), set(new)
    return was - now, now - was


def move(
    holders: dict[str, tuple[Id, ...]], key: Id, gone: Iterable[str], come: Iterable[str]
) -> None:
    """Let ``key`` no longer be found at the addresses ``gone``, but at those that have ``come``."""
    for address in gone:
        known = holders[address]
        if len(known) == 1:  # itself
            del holders[address]
        else:
            holders[address] = tuple([holder for holder in known if holder != key])
    alone = (key,)  # one tuple for all addresses of an object: most have a single holder
    for address in come:
        # In order, so that the first of several does not depend on who came first.
        holders[address] = tuple(sorted((*holders[address], key))) if address in holders else alone


class Prefixes(dict[str, int]):
    """How many addresses are below each reverse prefix, for the empty non-terminals."""

    def count(self, gone: Iterable[str], come: Iterable[str], keys: set[Key]) -> None:
        """Count addresses out and in; add the keys of what is different."""
        for address in gone:
            keys.add(("ip", address))
            for prefix in prefixes(address):
                self[prefix] -= 1
                if not self[prefix]:
                    del self[prefix]
                    keys.add(("prefix", prefix))
        for address in come:
            keys.add(("ip", address))
            for prefix in prefixes(address):
                known = self.get(prefix, 0)
                self[prefix] = known + 1
                if not known:
                    keys.add(("prefix", prefix))
