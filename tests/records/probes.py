"""A small world of objects that get in each other's way, and the questions that can tell them apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hypothesis import strategies as st
from msgspec import Struct

from kdns.records.apex import NameServers
from kdns.records.explain import explain
from kdns.records.index import Index
from kdns.records.lookup import lookup
from kdns.records.objects import (
    Change,
    Endpoint,
    Gone,
    Kind,
    Namespace,
    Object,
    Pod,
    Port,
    Put,
    Replaced,
    Service,
    Slice,
)
from kdns.records.outcome import Outcome, PodMode, View
from kdns.wire.constants import Type
from kdns.wire.message import Key, Record
from kdns.wire.names import Name, from_text, reverse, to_wire

CLUSTER: Final[Name] = ("cluster", "local")
ZONES: Final[tuple[Name, ...]] = (CLUSTER, ("in-addr", "arpa"), ("ip6", "arpa"))
LOCAL: Final = ("10.0.0.1", "fd00::1")
"""This server's own addresses."""

NAMESPACES: Final = ("shop", "store", "db")
SERVICES: Final = ("db", "web", "webb", "shop")
ADDRESSES: Final = ("10.0.0.1", "10.0.0.2", "10.0.1.1", "fd00::1", "fd00::1:1")
PORTS: Final = (Port("http", "tcp", 80), Port("dns", "udp", 53), Port("", "tcp", 7))

VIEWS: Final = {
    "plain": View(ZONES, pods=PodMode.INSECURE),
    "verified": View(ZONES, pods=PodMode.VERIFIED, endpoint_pod_names=True),
    "namespaces": View(ZONES, namespaces=frozenset({"shop"}), pods=PodMode.VERIFIED),
    "labelled": View(ZONES, labelled=True, ignore_empty=True),
    "zonal": View(ZONES, zonal=True),
    "noendpoints": View(ZONES, endpoints=False, ignore_empty=True),
}


# ---- objects and changes

_namespaces = st.sampled_from(NAMESPACES)
_names = st.sampled_from(SERVICES)
_addresses = st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True).map(tuple)
_ports = st.lists(st.sampled_from(PORTS), max_size=2, unique=True).map(tuple)
_labels = st.sampled_from(["", "ep", "ep2"])

services = st.one_of(
    st.builds(Service, _namespaces, _names, st.just(False), _addresses, _ports),
    st.builds(Service, _namespaces, _names, st.just(True), st.just(()), _ports),
    st.builds(
        Service,
        *(_namespaces, _names, st.just(False), st.just(()), st.just(())),
        external_name=st.sampled_from(["web.shop.svc.cluster.local", "example.org", "10.0.0.9"]),
    ),
)
endpoints = st.builds(
    Endpoint, _addresses, st.booleans(), _labels, _labels, st.sampled_from(["", "a", "b"])
)
slices = st.builds(
    Slice,
    *(_namespaces, st.sampled_from(["s1", "s2"]), st.sampled_from(["", *SERVICES])),
    st.lists(endpoints, max_size=3).map(tuple),
    _ports,
    st.sampled_from([0.0, 1.0]),
)
pods = st.builds(Pod, _namespaces, st.sampled_from(["p1", "p2"]), _addresses, st.booleans())
namespaces = st.builds(Namespace, _namespaces)

BY_KIND: Final[dict[Kind, st.SearchStrategy[Object]]] = {
    Kind.SERVICE: services,
    Kind.SLICE: slices,
    Kind.POD: pods,
    Kind.NAMESPACE: namespaces,
}
objects: st.SearchStrategy[Object] = st.one_of(*BY_KIND.values())


def identity(item: Object) -> tuple[Kind, str, str]:
    match item:
        case Service():
            return Kind.SERVICE, item.namespace, item.name
        case Slice():
            return Kind.SLICE, item.namespace, item.name
        case Pod():
            return Kind.POD, item.namespace, item.name
        case Namespace():
            return Kind.NAMESPACE, "", item.name


def _unique(items: Iterable[Object]) -> tuple[Object, ...]:
    return tuple({identity(item): item for item in items}.values())


replaced = st.sampled_from(Kind).flatmap(
    lambda kind: st.builds(
        Replaced, st.just(kind), st.lists(BY_KIND[kind], max_size=5).map(_unique)
    )
)
changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(Put, objects),
    st.builds(Put, objects),
    objects.map(lambda item: Gone(*identity(item))),
    replaced,
)
states = st.lists(objects, max_size=14).map(_unique)


def synced(items: Iterable[Object]) -> Index:
    """An index that has seen a list of each kind."""
    index = Index()
    items = tuple(items)
    for kind in Kind:
        of_kind = tuple(item for item in items if identity(item)[0] is kind)
        index.apply(Replaced(kind, of_kind), now=1)
    return index


def follow(items: Iterable[Object], change: Change) -> tuple[Object, ...]:
    """The objects after a change."""
    known = {identity(item): item for item in items}
    match change:
        case Put(item):
            known[identity(item)] = item
        case Gone(kind, namespace, name):
            known.pop((kind, namespace, name), None)
        case Replaced(kind, fresh):
            known = {key: item for key, item in known.items() if key[0] is not kind}
            known |= {identity(item): item for item in fresh}
    return tuple(known.values())


# ---- questions


class Probe(Struct, frozen=True):
    name: Name
    qtype: int


class Seen(Struct, frozen=True):
    """What can be noticed of an outcome; the order of records is no part of it."""

    exists: bool
    answer: frozenset[Record]
    additional: frozenset[Record]
    reason: object
    target: bytes
    text: str


def _probes() -> list[Probe]:
    left: list[str] = ["", "svc", "pod", "dns-version", "other"]
    for namespace in NAMESPACES:
        left += [f"{namespace}.svc", f"{namespace}.pod"]
        left += [f"{a}.{namespace}.pod" for a in ("10-0-0-1", "fd00--1", "ep")]
        for service in SERVICES:
            below = ["", "ep.", "10-0-0-1.", "web.", "_http._tcp.", "_._udp.", "_tcp."]
            below += ["a.pin._zone.", "a.prefer._zone.", "_zone."] * (service == "web")
            left += [f"{part}{service}.{namespace}.svc" for part in below]
    found = [
        Probe((*from_text(text), *CLUSTER), qtype)
        for text in left
        for qtype in (Type.A, Type.AAAA, Type.SRV)
    ]
    for address in ADDRESSES:
        whole = reverse(address)
        found += [Probe(whole[labels:], Type.PTR) for labels in range(len(whole) - 2)]
        found.append(Probe(whole, Type.A))
    return list(dict.fromkeys(found))


PROBES: Final = _probes()


def ask(index: Index, view: View, probe: Probe) -> tuple[Seen, frozenset[Key]]:
    """What is answered, with its explanation, and all keys that the answer is kept under."""
    zone = max((z for z in ZONES if probe.name[-len(z) :] == z), key=len)
    outcome = lookup(index, view, zone, to_wire(probe.name), probe.name, probe.qtype)
    text, keys = ("", ()) if outcome.answer else explain(index, view, outcome)
    return _seen(outcome, text), frozenset((*outcome.keys, *keys))


def ask_all(index: Index, view: View) -> dict[object, tuple[Seen, frozenset[Key]]]:
    found: dict[object, tuple[Seen, frozenset[Key]]] = {
        probe: ask(index, view, probe) for probe in PROBES
    }
    servers = NameServers(index, view, LOCAL)
    answer, additional = servers.records(to_wire(CLUSTER), to_wire(CLUSTER))
    keys = frozenset(servers.keys())
    found["NS"] = _seen(Outcome(answer=answer, additional=additional), ""), keys
    found["ns.dns"] = _seen(Outcome(), " ".join(sorted(servers.addresses()))), keys
    return found


def _seen(outcome: Outcome, text: str) -> Seen:
    return Seen(
        outcome.exists,
        frozenset(outcome.answer),
        frozenset(outcome.additional),
        outcome.reason,
        outcome.target,
        text,
    )
