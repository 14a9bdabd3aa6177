"""``max_answers``: a part of a large headless Service in each reply, all of it over several replies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import gcd

import dns.edns
import dns.message
import dns.rdatatype
import pytest

from kdns.answers import repeats, reply_cache, responder
from kdns.answers.responder import Responder
from kdns.metrics import Metrics
from kdns.plugins.blocks import Served
from kdns.records.objects import Endpoint, Namespace, Object, Port, Service, Slice
from tests.fakes.replies import Address
from tests.plugins.chains import Chain

DB = "db.shop.svc.cluster.local."
PORTS = (Port("http", "tcp", 80), Port("https", "tcp", 443))


def cluster(endpoints: int, ports: tuple[Port, ...] = PORTS[:1]) -> list[Object]:
    ready = tuple(Endpoint((f"10.1.{n // 250}.{n % 250}",)) for n in range(endpoints))
    return [
        Namespace("shop"),
        Service("shop", "db", headless=True),
        Slice("shop", "db-1", "db", ready, ports),
        Service(
            "shop",
            "web",
            cluster_ips=("10.96.0.7",),
            ports=tuple(Port(f"p{n}", "tcp", n) for n in range(1, 20)),
        ),
        Service("shop", "alias", external_name="db.shop.svc.cluster.local"),
    ]


class Site:
    """A responder that is asked as a listener asks it: what is kept is taken from there."""

    def __init__(
        self, endpoints: int, cap: int, before: str = "", ports: tuple[Port, ...] = PORTS[:1]
    ) -> None:
        chain = Chain(
            f".:53 {{\n{before}\nkubernetes cluster.local {{\nmax_answers {cap}\n}}\n}}",
            cluster(endpoints, ports),
        )
        metrics = Metrics()
        served = Served(
            (), chain.handler, metrics.meter("dns://:53", "."), (), tuple(before.split())
        )
        self.address = Address(Responder("dns://:53", metrics, [served]))
        self.cache = self.address.cache

    def ask(self, name: str = DB, kind: str = "A", **options: object) -> dns.message.Message:
        data = dns.message.make_query(name, kind, use_edns=0, id=7, **options).to_wire()  # type: ignore[arg-type]
        return dns.message.from_wire(self.address.ask(data))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What is cached for a second stays until the test sets another time."""
    now = [100.0]
    monkeypatch.setattr(reply_cache, "monotonic", lambda: now[0])
    monkeypatch.setattr(repeats, "monotonic", lambda: now[0])
    monkeypatch.setattr(responder, "monotonic", lambda: now[0])
    return now


def data(message: dns.message.Message) -> list[str]:
    return [
        item.to_text()
        for rrset in message.answer
        for item in rrset
        if rrset.rdtype != dns.rdatatype.CNAME
    ]


def texts(message: dns.message.Message) -> Iterator[str]:
    return (o.text or "" for o in message.options if isinstance(o, dns.edns.EDEOption))


@pytest.mark.parametrize("before", ["", "loadbalance"])
@pytest.mark.parametrize(("endpoints", "cap"), [(25, 10), (11, 10), (30, 10), (2, 1), (16, 5)])
def test_each_record_is_sent_equally_often(endpoints: int, cap: int, before: str) -> None:
    site = Site(endpoints, cap, before)
    for _ in range(3):
        site.ask()  # made, put together from the cache, finished for a request that repeats
    counts = Counter[str]()
    for _ in range(endpoints // gcd(endpoints, cap)):
        part = data(site.ask())
        assert len(set(part)) == cap
        counts.update(part)
    assert site.cache.hits
    assert len(counts) == endpoints
    assert len(set(counts.values())) == 1


def test_more_parts_than_are_cached(clock: list[float]) -> None:
    """They are cached for a second; another time begins elsewhere, so all have their turn."""
    site = Site(1000, 3)
    counts = Counter[str]()
    for _ in range(400):
        site.ask()
        for _ in range(16):
            counts.update(data(site.ask()))
        clock[0] += 2
    assert len(counts) == 1000
    assert max(counts.values()) < 5 * sum(counts.values()) / 1000


def test_service_records_come_with_the_addresses_of_their_targets() -> None:
    reply = Site(40, 6, ports=PORTS).ask(kind="SRV")
    targets = {text.split()[3] for text in data(reply)}
    assert len(data(reply)) == 6
    assert {rrset.name.to_text() for rrset in reply.additional} == targets


def test_it_is_said_why_there_are_so_few() -> None:
    site = Site(40, 6)
    assert [*texts(site.ask())] == ["6 of 40 records, others next time (max_answers)"]
    assert not site.ask().flags & dns.flags.TC


def test_an_alias_stays_before_the_part() -> None:
    reply = Site(40, 6).ask("alias.shop.svc.cluster.local.")
    assert reply.answer[0].rdtype == dns.rdatatype.CNAME
    assert len(data(reply)) == 6


def test_parts_change_where_the_reply_is_one_clients_own() -> None:
    """A cookie comes back; parts change all the same."""
    site = Site(40, 1)
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    found = {data(site.ask(options=[cookie]))[0] for _ in range(60)}
    assert len(found) > 15


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        (DB, "A", 5),
        ("web.shop.svc.cluster.local.", "SRV", 19),
        ("10-1-0-3.db.shop.svc.cluster.local.", "A", 1),
    ],
)
def test_what_is_not_capped(name: str, kind: str, count: int) -> None:
    """What fits; ports of a ClusterIP, for each is another one; one endpoint."""
    reply = Site(5, 5).ask(name, kind)
    assert len(data(reply)) == count
    assert not [text for text in texts(reply) if "max_answers" in text]
