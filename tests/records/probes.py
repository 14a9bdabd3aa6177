"""A small world of objects that get in each other's way, and the questions that can tell them apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import Final

from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from kdns.records.apex import NameServers
from kdns.records.explain import explain
from kdns.records.index import Index
from kdns.records.lookup import lookup
from kdns.records.objects import (
    Change,
    Endpoint,
    Gone,
    Import,
    Imported,
    Kind,
    Namespace,
    Node,
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


class World:
    """Objects, and changes after them, that follow from a number.

    Plain ``random`` and not strategies: few examples must differ much, and a change should mostly
    meet an object that is there.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self._random = seed, Random(seed)
        exposed = map(Namespace, NAMESPACES if self._chance(0.8) else ())
        made = [self._object() for _ in range(self._random.randrange(16))]
        self.state: tuple[Object, ...] = _unique((*exposed, *made))

    def __repr__(self) -> str:
        return f"World({self.seed})"

    def changes(self, count: int) -> Iterator[tuple[Change, tuple[Object, ...]]]:
        """Changes one after the other, each with the objects that there are after it."""
        state = self.state
        for _ in range(count):
            change = self._change(state)
            state = follow(state, change)
            yield change, state

    def _change(self, state: tuple[Object, ...]) -> Change:
        known = self._random.choice(state) if state else self._object()
        what = self._random.choice(
            ["new", "new", "other", "other", "other", "gone", "gone", "list"]
        )
        if what == "new":
            return Put(self._object())
        if what == "other":
            return Put(self._variant(known))
        if what == "gone":
            return Gone(*identity(known))
        kind = identity(known)[0]
        of_kind = [item for item in state if identity(item)[0] is kind and self._chance(0.6)]
        fresh = [item for _ in range(4) if identity(item := self._object())[0] is kind]
        return Replaced(kind, _unique((*of_kind, *fresh)))

    def _object(self) -> Object:
        make = (
            *(self._service, self._slice, self._slice, self._pod),
            *(self._namespace, self._node, self._imported),
        )
        return self._random.choice(make)()

    def _variant(self, known: Object) -> Object:
        """Another object of the same identity, which may have changed in little."""
        match known:
            case Service(namespace, name):
                return replace(self._service(), namespace=namespace, name=name)
            case Slice(endpoints=endpoints) if endpoints and self._chance(0.6):
                first = replace(endpoints[0], ready=not endpoints[0].ready)
                return replace(known, endpoints=(first, *endpoints[1:]))
            case Slice(namespace, name):
                return replace(self._slice(), namespace=namespace, name=name)
            case Pod(namespace, name):
                return replace(self._pod(), namespace=namespace, name=name)
            case Namespace():
                return known
            case Node(name):
                return Node(name, self._addresses())
            case Import(service):
                return Import(
                    replace(
                        self._imported().service, namespace=service.namespace, name=service.name
                    )
                )

    def _service(self) -> Service:
        namespace, name = self._random.choice(NAMESPACES), self._random.choice(SERVICES)
        if self._chance(0.1):
            targets = ["web.shop.svc.cluster.local", "example.org", "10.0.0.9"]
            return Service(namespace, name, external_name=self._random.choice(targets))
        if self._chance(0.4):
            return Service(namespace, name, headless=True, ports=self._ports())
        return Service(namespace, name, cluster_ips=self._addresses(), ports=self._ports())

    def _imported(self) -> Import:
        service = self._service()
        headless = service.headless or not service.cluster_ips
        return Import(replace(service, external_name="", headless=headless))

    def _slice(self) -> Slice:
        random = self._random
        endpoints = [
            Endpoint(
                self._addresses(),
                ready=self._chance(0.7),
                hostname=random.choice(["", "ep", "ep2"]),
                pod=random.choice(["", "ep", "ep2"]),
                zone=random.choice(["", "a", "b"]),
            )
            for _ in range(random.randrange(4))
        ]
        return Slice(
            namespace=random.choice(NAMESPACES),
            name=random.choice(["s1", "s2"]),
            service=random.choice(["", *SERVICES, *SERVICES]),
            imported=random.choice(
                [None, Imported(random.choice(SERVICES), random.choice(["", "east", "west"]))]
            ),
            endpoints=tuple(endpoints),
            ports=self._ports(),
            triggered=random.choice([0.0, 1.0]),
        )

    def _pod(self) -> Pod:
        name = self._random.choice(["p1", "p2"])
        return Pod(self._random.choice(NAMESPACES), name, self._addresses(), self._chance(0.3))

    def _namespace(self) -> Namespace:
        return Namespace(self._random.choice(NAMESPACES))

    def _node(self) -> Node:
        return Node(self._random.choice(["n1", "n2"]), self._addresses())

    def _addresses(self) -> tuple[str, ...]:
        return tuple(self._random.sample(ADDRESSES, self._random.choice([0, 1, 1, 2])))

    def _ports(self) -> tuple[Port, ...]:
        return tuple(self._random.sample(PORTS, self._random.randrange(3)))

    def _chance(self, of: float) -> bool:
        return self._random.random() < of


worlds: Final = st.integers(0, 2**64 - 1).map(World)


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
        case Node():
            return Kind.NODE, "", item.name
        case Import():
            return Kind.IMPORT, item.namespace, item.name


def _unique(items: Iterable[Object]) -> tuple[Object, ...]:
    return tuple({identity(item): item for item in items}.values())


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
