"""Who holds an address, below which reverse names there are any, what an object is: for the index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from kdns.records.objects import Endpoint, Imported, Namespace, Node, Object, Service, Slice
from kdns.records.reverse import prefixes
from kdns.wire.message import Key

Endpoints: TypeAlias = tuple[Endpoint, ...]

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


# ---- what the index wants to know of an object


def identity(item: Object) -> Id:
    """What an object is told apart by from others of its kind."""
    if isinstance(item, Namespace | Node):
        return "", item.name
    return item.namespace, item.name


def addresses_of(endpoints: Endpoints) -> list[str]:
    return [address for endpoint in endpoints for address in endpoint.addresses]


def ready_in(endpoints: Endpoints) -> list[str]:
    """The addresses that have a name: not ready ones have none, nor have reverse names above them."""
    return [address for each in endpoints if each.ready for address in each.addresses]


def same_content(old: Slice, new: Slice) -> bool:
    """Whether the same answers are made from both."""
    return old.endpoints == new.endpoints and old.ports == new.ports and old.cluster == new.cluster


def changed(old: Endpoints, new: Endpoints) -> set[Endpoint]:
    """The endpoints that are in one of the two, wherever.

    Mostly one of many has changed and the others are where they were: what is equal at the beginning
    and at the end is passed over, since comparing costs less than hashing.
    """
    first = last = 0
    shorter = min(len(old), len(new))
    while first < shorter and old[first] == new[first]:
        first += 1
    while last < shorter - first and old[-1 - last] == new[-1 - last]:
        last += 1
    return {*old[first : len(old) - last]} ^ {*new[first : len(new) - last]}


def in_clusterset(piece: Slice, imported: Imported) -> Slice:
    """The same endpoints as those of a ServiceImport."""
    place = (piece.namespace, piece.name, imported.service)
    return Slice(*place, piece.endpoints, piece.ports, cluster=imported.cluster)


def outside(service: Service) -> tuple[str, ...]:
    """Where a Service is reached from outside the cluster: addresses, and names of load balancers."""
    return (*service.external_ips, *service.ingress)
