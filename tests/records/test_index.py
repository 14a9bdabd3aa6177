"""The index after any changes: the same as one built fresh, and every difference has its key.

The second property is what the reply cache stands on: a kept answer is right as long as none of its
keys was among those of a change.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.records.index import Index
from kdns.records.objects import (
    Change,
    Endpoint,
    Gone,
    Kind,
    Namespace,
    Object,
    Port,
    Put,
    Replaced,
    Service,
    Slice,
)
from kdns.records.reverse import prefixes
from tests.records import probes
from tests.records.probes import ADDRESSES, NAMESPACES, SERVICES, VIEWS, World

INSIDE = {name for name in vars(Index()) if name not in {"serial", "synced", "clusterset"}}


def contents(index: Index) -> dict[str, object]:
    """Everything that the finders tell."""
    pairs = [(ns, name) for ns in (*NAMESPACES, "") for name in (*SERVICES, "")]
    every_prefix = {prefix for address in ADDRESSES for prefix in prefixes(address)}
    return {
        "namespaces": index.namespaces,
        "service": {pair: index.service(*pair) for pair in pairs},
        "services": index.services,
        "slices": {pair: set(index.slices(*pair)) for pair in pairs},
        "ready": {pair: set(index.ready(*pair)) for pair in pairs},
        "namespaces_with": {name: set(index.namespaces_with(name)) for name in SERVICES},
        "services_at": {a: list(index.services_at(a)) for a in ADDRESSES},
        "slices_at": {a: set(index.slices_at(a)) for a in ADDRESSES},
        "pods_at": {a: set(index.pods_at(a)) for a in ADDRESSES},
        "prefixes": {p for p in every_prefix if index.has_addresses_below(p)},
        "pods": index.pods,
        "sizes": index.sizes(),
    }


@settings(max_examples=60, deadline=None)
@given(probes.worlds, st.sampled_from(sorted(VIEWS)))
def test_any_changes_lead_where_a_fresh_start_would(world: World, view: str) -> None:
    index, state = probes.synced(world.state), world.state
    for change, after in world.changes(10):
        index.apply(change, now=2)
        state = after
    fresh = probes.synced(state)
    assert contents(index) == contents(fresh)
    ours, theirs = probes.ask_all(index, VIEWS[view]), probes.ask_all(fresh, VIEWS[view])
    for probe, (seen, _) in ours.items():
        if "endpoints ready" in seen.text or "has no port" in seen.text:
            continue  # these list what there is, in the order in which it came
        assert seen == theirs[probe][0], probe


@pytest.mark.parametrize("view", VIEWS)
@settings(max_examples=20, deadline=None)
@given(world=probes.worlds)
def test_what_differs_after_a_change_has_a_key_in_it(view: str, world: World) -> None:
    index = probes.synced(world.state)
    before = probes.ask_all(index, VIEWS[view])
    for change, _ in world.changes(6):
        changed = index.apply(change, now=2)
        after = probes.ask_all(index, VIEWS[view])
        for probe, (seen, keys) in before.items():
            if after[probe][0] != seen:
                assert keys & changed, (change, probe, seen, after[probe][0], sorted(keys), changed)
        before = after


@given(probes.worlds)
def test_nothing_is_left_behind(world: World) -> None:
    index = probes.synced(world.state)
    for change, _ in world.changes(10):
        index.apply(change, now=2)
    for kind in Kind:
        index.apply(Replaced(kind, ()), now=3)
    for each in (index, index.clusterset):
        assert {name: getattr(each, name) for name in INSIDE} == {name: {} for name in INSIDE}


@given(probes.worlds)
def test_one_by_one_leaves_nothing_behind_either(world: World) -> None:
    index = Index()
    for item in world.state:
        index.apply(Put(item), now=2)
    for item in sorted(world.state, key=hash):
        index.apply(Gone(*probes.identity(item)), now=3)
    for each in (index, index.clusterset):
        assert {name: getattr(each, name) for name in INSIDE} == {name: {} for name in INSIDE}


@given(probes.worlds)
def test_the_same_again_changes_nothing(world: World) -> None:
    index = probes.synced(world.state)
    for change, _ in world.changes(3):
        index.apply(change, now=2)
        serial = index.serial
        assert index.apply(change, now=9) == set()
        assert index.serial == serial


WEB = Service("shop", "web", cluster_ips=("10.0.0.1",), ports=(Port("http", "tcp", 80),))
PIECE = Slice("shop", "web-1", "web", (Endpoint(("10.0.1.1",), hostname="a"),), WEB.ports)
SERIAL = ("serial",)
IP_KEYS = {("ip", "10.0.0.1"), ("prefix", "10."), ("prefix", "10.0."), ("prefix", "10.0.0.")}


@pytest.mark.parametrize(
    ("before", "change", "keys"),
    [
        (
            (),
            Put(WEB),
            {("svc", "shop", "web"), ("names", "shop"), ("named", "web"), *IP_KEYS},
        ),
        ((WEB,), Put(WEB), set()),
        (
            (WEB,),
            Put(Service("shop", "web", cluster_ips=("10.0.0.1",))),
            {("svc", "shop", "web")},
        ),
        ((WEB, PIECE), Put(Slice("shop", "web-1", "web", PIECE.endpoints, WEB.ports, 9.0)), set()),
        (
            (PIECE,),
            Put(Slice("shop", "web-1", "web", (Endpoint(("10.0.1.1",), False, "a"),), WEB.ports)),
            {
                *(("svc", "shop", "web"), ("ip", "10.0.1.1")),
                *(("prefix", "10."), ("prefix", "10.0."), ("prefix", "10.0.1.")),
            },
        ),
        ((), Put(Namespace("shop")), {("ns", "shop"), ("namespaces",)}),
        ((), Gone(Kind.SERVICE, "shop", "web"), set()),
        ((), Gone(Kind.NAMESPACE, "", "shop"), set()),
    ],
    ids=[
        "service created",
        "nothing new",
        "ports changed",
        "only the trigger time",
        "readiness flipped",
        "namespace created",
        "unknown service gone",
        "unknown namespace gone",
    ],
)
def test_keys(before: tuple[Object, ...], change: Change, keys: set[tuple[str, ...]]) -> None:
    index = probes.synced(before)
    assert index.apply(change, now=2) == (keys | {SERIAL} if keys else set())


def test_serial_is_the_time_of_the_last_change_and_never_goes_back() -> None:
    index = Index()
    assert index.serial == 0
    index.apply(Put(WEB), now=100.7)
    assert index.serial == 100
    index.apply(Put(WEB), now=200)
    assert index.serial == 100, "nothing has changed"
    index.apply(Gone(Kind.SERVICE, "shop", "web"), now=50)
    assert index.serial == 100


def test_a_whole_list_says_synced_once() -> None:
    index = Index()
    assert ("synced",) in index.apply(Replaced(Kind.SERVICE, ()), now=1)
    assert index.apply(Replaced(Kind.SERVICE, ()), now=2) == set()
    assert index.synced == {Kind.SERVICE}


def test_a_relist_never_lets_an_object_vanish() -> None:
    index = probes.synced((WEB, PIECE))
    assert index.apply(Replaced(Kind.SERVICE, (WEB,)), now=2) == set()


def test_every_index_is_of_the_known_parts() -> None:
    """A new dictionary must be emptied as well: this names it if it is of another type."""
    assert all(isinstance(getattr(Index(), name), dict) for name in INSIDE)
