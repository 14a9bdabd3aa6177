"""A zone's records one after the other are what its names answer, no more and no fewer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.records.apex import NAME_SERVER, NameServers, soa
from kdns.records.enumeration import cluster_records
from kdns.records.index import Index
from kdns.records.locations import pack
from kdns.records.lookup import lookup
from kdns.records.objects import Gone, Kind, Service
from kdns.records.outcome import PodMode, View
from kdns.wire.constants import Type, type_name
from kdns.wire.message import Record
from kdns.wire.names import Name, from_wire, is_below, to_text, to_wire
from tests.records import probes, test_lookup
from tests.records.probes import CLUSTER, LOCAL, PROBES, VIEWS, ZONES, World

TYPES = (Type.A, Type.AAAA, Type.SRV, Type.CNAME, Type.PTR, Type.TXT, Type.SOA, Type.NS)

RRsets = dict[tuple[Name, int], set[Record]]


def listed(index: Index, view: View) -> RRsets:
    """All RRsets; fails where the records of one do not follow one another, or come twice."""
    found: RRsets = defaultdict(set)
    for zone in view.zones:
        before: tuple[Name, int] | None = None
        for record in cluster_records(index, view, LOCAL, zone):
            key = from_wire(record.owner), record.rtype
            assert is_below(key[0], zone)
            assert key == before or key not in found
            assert record not in found[key]
            found[key].add(record)
            before = key
    return found


def answered(index: Index, view: View, name: Name, qtype: int) -> set[Record]:
    """What the stage ``kubernetes`` would answer, aliases not followed."""
    zone = max((each for each in view.zones if is_below(name, each)), key=len)
    qname, servers = to_wire(name), NameServers(index, view, LOCAL)
    if name == zone and qtype == Type.SOA:
        return {soa(index, view, qname)}
    if name == zone and qtype == Type.NS:
        return set(servers.records(qname, qname)[0])
    if name == (*NAME_SERVER, *zone):
        size = {Type.A: 4, Type.AAAA: 16}.get(Type(qtype))
        addresses = [data for data in map(pack, servers.addresses()) if len(data) == size]
        return {Record(qname, qtype, view.ttl, data) for data in addresses}
    return set(lookup(index, view, zone, qname, name, qtype).answer)


def endless(index: Index, view: View, name: Name) -> bool:
    """Whether a name is one of those without end that are left out on purpose."""
    if "pod" in name:
        known = {
            (pod.namespace, data) for pod in index.pods.values() for data in map(pack, pod.ips)
        }
        held = [(name[1], each.rdata) for each in answered(index, view, name, Type.A)]
        held += [(name[1], each.rdata) for each in answered(index, view, name, Type.AAAA)]
        return view.pods is PodMode.INSECURE and not known.intersection(held)
    if name[1:3] == ("prefer", "_zone"):
        return not answered(index, view, (name[0], "pin", *name[2:]), Type.A)
    return name[0] == "_"


def told(rrsets: Iterable[tuple[Name, int]]) -> list[str]:
    return sorted(f"{to_text(name)} {type_name(rtype)}" for name, rtype in rrsets)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@settings(max_examples=25)  # each asks for hundreds of names
@given(world=probes.worlds)
def test_what_is_listed_is_what_is_answered(view: View, world: World) -> None:
    index = probes.synced(world.state)
    found = listed(index, view)
    for (name, qtype), records in found.items():
        assert records == answered(index, view, name, qtype), to_text(name)
    names = {name for name, _ in found} | {probe.name for probe in PROBES}
    names |= {(*NAME_SERVER, *CLUSTER), ("ns", "dns", "in-addr", "arpa"), *ZONES}
    missing = {
        (name, qtype)
        for name in names
        for qtype in TYPES
        if (name, qtype) not in found and not endless(index, view, name)
        # an alias answers to every type, and is listed once
        if any(each.rtype == qtype for each in answered(index, view, name, qtype))
    }
    assert told(missing) == []


def test_names_that_nobody_can_ask_for_are_left_out() -> None:
    """Hosts that are no labels, addresses with trailing colons, and letters that DNS folds."""
    view = View(ZONES, pods=PodMode.VERIFIED, endpoint_pod_names=True, zonal=True)
    index = probes.synced(
        (*test_lookup.OBJECTS, Service("shop", "Web", cluster_ips=("10.0.0.99",)))
    )
    found = listed(index, view)
    for (name, qtype), records in found.items():
        assert records == answered(index, view, name, qtype), to_text(name)
    names = {to_text(name).removesuffix(".cluster.local.") for name, _ in found}
    assert {
        "web.shop.svc",
        "_http._tcp.web.shop.svc",
        "ep.web.shop.svc",
        "b.pin._zone.db.shop.svc",
    } <= names
    assert {"fd00-1--0.db.shop.svc", "out.shop.svc", "dns-version", "ns.dns"} <= names
    assert {"10-244-0-1.shop.pod", "fd00-70-3--0.shop.pod"} <= names
    assert not [name for name in names if "hidden" in name]
    below = {name for name in names if name.endswith(".long.shop.svc")}
    assert below == {"_http._tcp.long.shop.svc"}, "the host names there are no labels"


def test_a_zone_inside_another_keeps_its_names() -> None:
    inner = ("shop", "svc", "cluster", "local")
    view = View((CLUSTER, inner))
    index = probes.synced(test_lookup.OBJECTS)
    outside = {from_wire(each.owner) for each in cluster_records(index, view, LOCAL, CLUSTER)}
    assert outside
    assert not [name for name in outside if is_below(name, inner)]
    for (name, qtype), records in listed(index, view).items():
        assert records == answered(index, view, name, qtype), to_text(name)


def test_the_soa_comes_first() -> None:
    index = probes.synced(test_lookup.OBJECTS)
    for zone in ZONES:
        first, second, *_ = cluster_records(index, View(ZONES), LOCAL, zone)
        assert (first.rtype, second.rtype) == (Type.SOA, Type.NS)


@settings(max_examples=25)
@given(world=probes.worlds, seed=st.integers(0, 9))
def test_a_copy_does_not_change_with_its_index(world: World, seed: int) -> None:
    index = probes.synced(world.state)
    copy, before = index.copy(), listed(index, VIEWS["verified"])
    for change, _ in World(world.seed + seed).changes(5):
        index.apply(change, now=9)
    index.apply(Gone(Kind.NAMESPACE, "", "shop"), now=9)
    assert listed(copy, VIEWS["verified"]) == before
