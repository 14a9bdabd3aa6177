"""SOA, NS and the addresses of the name servers."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from msgspec.structs import replace

from kdns.records.apex import NameServers, soa
from kdns.records.objects import Endpoint, Namespace, Object, Port, Put, Service, Slice
from kdns.records.outcome import View
from kdns.wire.constants import Type
from kdns.wire.message import Record
from kdns.wire.names import wire_from_text, wire_to_text
from tests.records import probes
from tests.records.probes import ZONES

ZONE = wire_from_text("Cluster.local.")
VIEW = View(ZONES, ttl=30)
PORT = (Port("dns", "udp", 53),)
DNS = Service("kube-system", "kube-dns", cluster_ips=("10.96.0.10", "fd00::a"), ports=PORT)
PIECE = Slice(
    "kube-system", "dns-1", "kube-dns", (Endpoint(("10.0.0.1",)), Endpoint(("10.0.0.2",))), PORT
)
NAMESPACE = Namespace("kube-system")
HEADLESS = Service("kube-system", "kube-dns", headless=True, ports=PORT)


def servers(
    *objects: Object, local: tuple[str, ...] = ("10.0.0.1",), view: View = VIEW
) -> NameServers:
    return NameServers(probes.synced(objects), view, local)


def lines(records: tuple[Record, ...]) -> list[str]:
    return [
        f"{wire_to_text(record.owner)} "
        + (wire_to_text(record.rdata) if record.rtype == Type.NS else str(ip_address(record.rdata)))
        for record in records
    ]


@pytest.mark.parametrize(("ttl", "own"), [(5, 5), (300, 300), (3600, 300), (0, 0)])
def test_soa(ttl: int, own: int) -> None:
    index = probes.synced(())
    index.apply(Put(DNS), now=1_700_000_000)
    record = soa(index, replace(VIEW, ttl=ttl), ZONE)
    assert (record.owner, record.ttl) == (ZONE, own)
    mname, rest = record.rdata[: 7 + len(ZONE)], record.rdata[7 + len(ZONE) :]
    assert wire_to_text(mname) == "ns.dns.Cluster.local."
    assert wire_to_text(rest) == "hostmaster.Cluster.local."
    numbers = record.rdata[-20:]
    found = [int.from_bytes(numbers[at : at + 4], "big") for at in range(0, 20, 4)]
    assert found == [1_700_000_000, 7200, 1800, 86400, ttl]


SELF = (["Cluster.local. ns.dns.Cluster.local."], ["ns.dns.Cluster.local. 10.0.0.1"])
THROUGH = (
    ["Cluster.local. kube-dns.kube-system.svc.Cluster.local."],
    [
        "kube-dns.kube-system.svc.Cluster.local. 10.96.0.10",
        "kube-dns.kube-system.svc.Cluster.local. fd00::a",
    ],
)
LABEL = "10-0-0-1.kube-dns.kube-system.svc.Cluster.local."

CASES: dict[str, tuple[tuple[Object, ...], tuple[list[str], list[str]]]] = {
    "outside a cluster": ((), SELF),
    "a ClusterIP Service": ((NAMESPACE, DNS, PIECE), THROUGH),
    "headless": (
        (NAMESPACE, HEADLESS, PIECE),
        ([f"Cluster.local. {LABEL}"], [f"{LABEL} 10.0.0.1"]),
    ),
    "no Service of the slice": ((NAMESPACE, PIECE), SELF),
    "not exposed": ((DNS, PIECE), SELF),
    "not ready": (
        (NAMESPACE, DNS, replace(PIECE, endpoints=(Endpoint(("10.0.0.1",), ready=False),))),
        SELF,
    ),
    "another's endpoint": (
        (NAMESPACE, DNS, replace(PIECE, endpoints=(Endpoint(("10.9.9.9",)),))),
        SELF,
    ),
    "no address yet": ((NAMESPACE, replace(DNS, cluster_ips=()), PIECE), SELF),
    "a label that is none": (
        (
            NAMESPACE,
            HEADLESS,
            replace(PIECE, endpoints=(Endpoint(("10.0.0.1",), hostname="日本"),)),
        ),
        SELF,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_name_servers(case: str) -> None:
    objects, expected = CASES[case]
    ns, addresses = servers(*objects).records(ZONE, ZONE)
    assert (lines(ns), lines(addresses)) == expected
    assert {record.ttl for record in (*ns, *addresses)} == {30}


def test_each_once_whatever_the_number_of_addresses() -> None:
    found = servers(NAMESPACE, DNS, PIECE, local=("10.0.0.1", "10.0.0.2"))
    assert [lines(part) for part in found.records(ZONE, ZONE)] == list(THROUGH)


def test_reverse_zones_name_servers_that_have_addresses() -> None:
    zone = wire_from_text("in-addr.arpa.")
    own, services = servers(), servers(NAMESPACE, DNS, PIECE)
    assert lines(own.records(zone, zone)[0]) == ["in-addr.arpa. ns.dns.in-addr.arpa."]
    ns, addresses = services.records(zone, zone)
    assert lines(ns) == ["in-addr.arpa. kube-dns.kube-system.svc.cluster.local."]
    assert lines(addresses) == [line.replace("Cluster", "cluster") for line in THROUGH[1]]


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ((), ["10.0.0.1"]),
        ((NAMESPACE, DNS, PIECE), ["10.96.0.10", "fd00::a"]),
        ((NAMESPACE, HEADLESS, PIECE), ["10.0.0.1"]),
    ],
    ids=["alone", "ClusterIP", "headless"],
)
def test_addresses_of_ns_dns(objects: tuple[Object, ...], expected: list[str]) -> None:
    assert servers(*objects).addresses() == expected


def test_keys_are_of_what_could_change_it() -> None:
    assert set(servers(PIECE).keys()) == {
        ("ip", "10.0.0.1"),
        ("ns", "kube-system"),
        ("svc", "kube-system", "kube-dns"),
    }
    assert servers().keys() == (("ip", "10.0.0.1"),)
