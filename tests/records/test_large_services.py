"""Services of many slices: the same records as from a walk over all endpoints, without that walk."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from ipaddress import ip_address
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kdns.records.index import MANY_SLICES, Index
from kdns.records.locations import endpoint_label
from kdns.records.lookup import lookup
from kdns.records.objects import Endpoint, Namespace, Object, Port, Put, Service, Slice
from kdns.records.outcome import Outcome, View
from kdns.wire.constants import Type
from kdns.wire.message import Answer, Record
from kdns.wire.names import from_text, from_wire, reverse, to_text, to_wire
from kdns.wire.windows import windows
from tests.records.probes import ZONES, synced

HTTP, DNS, DNS_TCP = Port("http", "tcp", 80), Port("dns", "udp", 53), Port("dns-tcp", "tcp", 53)
NAME = "big.shop.svc.cluster.local."
VIEW = View(ZONES, ttl=5)

ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.1.0", "0.1.0.10", "fd00::", "fd00::1", "fd00:1::2")
LABELS = ("", "", "db-0", "DB-0", "db-1", "10-0-0-1", "fd00--1")

endpoints = st.builds(
    Endpoint,
    addresses=st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=2, unique=True).map(tuple),
    ready=st.sampled_from([True, True, True, False]),
    hostname=st.sampled_from(LABELS),
    pod=st.sampled_from(["", "db-1", "pod"]),
)
contents = st.tuples(
    st.lists(endpoints, max_size=4).map(tuple),
    st.sampled_from([(), (HTTP,), (HTTP, DNS, DNS_TCP), (Port("http", "tcp", 8080),)]),
)


def slices(made: list[tuple[tuple[Endpoint, ...], tuple[Port, ...]]]) -> Iterator[Slice]:
    for number, (held, ports) in enumerate(made):
        yield Slice("shop", f"big-{number}", "big", held, ports)


def cluster(*held: Object) -> Index:
    return synced((Namespace("shop"), Service("shop", "big", headless=True), *held))


def asked(index: Index, name: str, qtype: Type, view: View = VIEW) -> Outcome:
    labels = from_text(name)
    zone = max((zone for zone in ZONES if labels[-len(zone) :] == zone), key=len)
    return lookup(index, view, zone, to_wire(labels), labels, qtype)


def walked(held: list[Slice], pod_names: bool) -> Iterator[tuple[str, str, Port | None]]:
    """Label, address and port of each ready endpoint."""
    for each in held:
        for endpoint in each.endpoints:
            for address in endpoint.addresses if endpoint.ready else ():
                for port in each.ports or (None,):
                    yield endpoint_label(endpoint, address, pod_names), address, port


def expected(
    held: list[Slice], label: str, qtype: Type, pod_names: bool
) -> tuple[set[Record], set[Record]]:
    """The answer and additional sections for the Service, or for the endpoint ``label`` of it."""
    qname = to_wire(from_text(f"{label}.{NAME}" if label else NAME))
    found = [each for each in walked(held, pod_names) if label in {"", each[0].lower()}]
    answer, additional = set(), set()
    for own, address, port in found:
        packed = ip_address(address).packed
        rtype = Type.A if len(packed) == 4 else Type.AAAA
        if rtype == qtype:
            answer.add(Record(qname, qtype, 5, packed))
        if qtype == Type.SRV and port:
            target = to_wire(from_text(f"{own.lower()}.{NAME}"))
            numbers = [0, max(100 // len(found), 1), port.number]
            data = b"".join([number.to_bytes(2) for number in numbers]) + target
            answer.add(Record(qname, Type.SRV, 5, data))
            additional.add(Record(target, rtype, 5, packed))
    return answer, additional


@given(st.lists(contents, max_size=MANY_SLICES + 3), st.booleans())
def test_the_same_records_as_from_a_walk(
    made: list[tuple[tuple[Endpoint, ...], tuple[Port, ...]]], pod_names: bool
) -> None:
    held = list(slices(made))
    index, view = cluster(*held), View(ZONES, ttl=5, endpoint_pod_names=pod_names)
    labels = {label.lower() for label, *_ in walked(held, pod_names=False)}
    for label in ("", "db-0", "db-1", "pod", "10-0-0-1", "fd00--", *labels):
        for qtype in (Type.A, Type.AAAA, Type.SRV):
            found = asked(index, f"{label}.{NAME}" if label else NAME, qtype, view)
            answer, additional = expected(held, label, qtype, pod_names)
            assert (set(found.answer), set(found.additional)) == (answer, additional)
            assert len(found.answer) == len(answer)
            assert len(found.additional) == len(additional)
    for address in ADDRESSES:
        targets = {
            f"{label.lower()}.{NAME}" for label, own, _ in walked(held, pod_names) if own == address
        }
        pointers = asked(index, to_text(reverse(address)), Type.PTR, view).answer
        assert {to_text(from_wire(record.rdata)) for record in pointers} == targets


@pytest.mark.parametrize("label", ["fd00-1-0-0-0-0-0-2", "fd00-1--02", "FD00-1--2x", "0-1-0-010"])
def test_an_address_has_one_label(label: str) -> None:
    index = cluster(Slice("shop", "big-1", "big", tuple(Endpoint((a,)) for a in ADDRESSES)))
    assert not asked(index, f"{label}.{NAME}", Type.A).exists
    assert not asked(index, f"{label}.{NAME}", Type.AAAA).exists


def large(hostnames: bool, slices: int) -> Index:
    """A Service with so many slices of 100 endpoints."""
    held = []
    for first in range(0, slices * 100, 100):
        made = [
            Endpoint((f"10.1.{at >> 8}.{at & 255}",), hostname=f"db-{at}" * hostnames)
            for at in range(first, first + 100)
        ]
        held.append(Slice("shop", f"big-{first}", "big", tuple(made), (HTTP,)))
    return cluster(*held)


def calls(index: Index, name: str, qtype: Type) -> int:
    """How many functions a query calls."""
    found = 0

    def note(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal found
        found += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        asked(index, name, qtype)
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize("hostnames", [False, True])
@pytest.mark.parametrize(
    ("name", "qtype"),
    [
        (NAME, Type.A),
        (NAME, Type.AAAA),
        (NAME, Type.TXT),
        ("_http._tcp." + NAME, Type.A),
        ("10-1-0-7." + NAME, Type.A),
        ("db-7." + NAME, Type.A),
        ("nobody." + NAME, Type.A),
        ("7.0.1.10.in-addr.arpa.", Type.PTR),
    ],
)
def test_a_query_costs_as_much_as_there_are_slices(hostnames: bool, name: str, qtype: Type) -> None:
    few, many = large(hostnames, slices=10), large(hostnames, slices=100)
    for index in (few, many):
        asked(index, name, qtype)  # what is packed at the first query is not counted
    assert calls(many, name, qtype) - calls(few, name, qtype) <= 90 * 10


def test_a_changed_slice_is_seen() -> None:
    index = large(hostnames=True, slices=MANY_SLICES + 2)
    before = set(asked(index, NAME, Type.A).answer)
    assert len(before) == 100 * (MANY_SLICES + 2)
    index.apply(Put(Slice("shop", "big-0", "big", (Endpoint(("10.9.9.9",)),), (HTTP,))), 2)
    after = set(asked(index, NAME, Type.A).answer)
    assert {record.rdata for record in after - before} == {bytes((10, 9, 9, 9))}
    assert len(before - after) == 100


@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("hostnames", [False, True])
def test_parts_of_a_large_answer(hostnames: bool, size: int) -> None:
    found = asked(large(hostnames, slices=2), NAME, Type.SRV)
    lazy = Answer(answer=found.answer, additional=found.additional, at_most=size)
    made = replace(lazy, answer=tuple(found.answer), additional=tuple(found.additional))
    parts = windows(lazy, 3, 7.0)
    assert parts == windows(made, 3, 7.0)
    for part in parts:
        targets = {record.rdata[6:] for record in part.answer}
        assert {record.owner for record in part.additional} == targets
        assert len(part.additional) == size
