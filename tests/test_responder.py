"""From request bytes to reply bytes: who answers, what is kept, what is counted, and that a kept reply
is the one that would be made anew."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from functools import partial

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kdns.metrics import Metrics
from kdns.packet_cache import PacketCache
from kdns.plugins.blocks import Served
from kdns.plugins.interface import Handler
from kdns.records.objects import Change, Namespace, Object, Put, Service
from kdns.responder import MAX_RENEWED, Responder
from kdns.wire import names, question
from kdns.wire.constants import EdnsOption, Flag, Rcode, Type
from kdns.wire.message import Answer, Edns, Query, Record, Transport
from kdns.wire.names import Name
from tests.plugins.chains import Chain
from tests.records import probes

ADDRESS = b"\x0a\0\0\1"


def record(query: Query, *, ttl: int = 5, at: int = 1) -> Record:
    return Record(query.qname, Type.A, ttl, at.to_bytes(4, "big"))


async def one(query: Query) -> Answer:
    return Answer(answer=(record(query),), keys=frozenset({("svc", "shop", "web")}), plugin="one")


async def several(query: Query) -> Answer:
    return Answer(answer=tuple(record(query, at=at) for at in range(3)), plugin="several")


def told(**fields: object) -> Handler:
    async def handler(query: Query) -> Answer:
        return replace(await one(query), **fields)

    return handler


class Server:
    """A responder with its caches, asked as a listener does."""

    def __init__(
        self, handler: Handler = one, zone: Name = (), directives: tuple[str, ...] = ()
    ) -> None:
        self.metrics = Metrics()
        served = Served(zone, handler, self.metrics.meter("dns://:53", "."), (), directives)
        self.responder = Responder("dns://:53", {zone: served}, self.metrics)
        self.caches: dict[Transport, PacketCache] = {"udp": PacketCache(), "tcp": PacketCache()}
        self.responder.caches = self.caches

    def respond(
        self, data: bytes, transport: Transport = "udp", client: str = "192.0.2.1"
    ) -> object:
        return self.responder.respond(data, client, 5353, transport)

    def ask(
        self, message: dns.message.Message, transport: Transport = "udp", client: str = "192.0.2.1"
    ) -> dns.message.Message:
        reply = self.respond(message.to_wire(), transport, client)
        assert isinstance(reply, bytes), "it took waiting"
        return dns.message.from_wire(reply)

    def kept(self, transport: Transport = "udp") -> int:
        return len(self.caches[transport].entries)

    def count(self, name: str) -> float:
        """The sum of a family's samples at the scrape."""
        for cache in self.caches.values():
            cache.fold()
        return sum(
            sample.value
            for metric in self.metrics.collect()
            for sample in metric.samples
            if sample.name == name
        )


def ask(name: str = "web.", qtype: str = "A", **fields: object) -> dns.message.Message:
    make = partial(dns.message.make_query, name, qtype)
    return make(**fields)  # type: ignore[arg-type]


# ---- at once, or later


def test_an_answer_from_memory_is_there_at_once() -> None:
    """Without a loop there could be no task."""
    asked = ask()
    reply = Server().ask(asked)
    assert reply.id == asked.id
    assert reply.flags == Flag.QR | Flag.AA | Flag.RD
    assert len(reply.answer) == 1


async def test_a_handler_that_waits_is_finished_in_a_task() -> None:
    arrived: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def slow(query: Query) -> Answer:
        at = await arrived
        await asyncio.sleep(0)
        return Answer(answer=(record(query, at=at),))

    server = Server(slow)
    asked = ask()
    reply = server.respond(asked.to_wire())
    assert inspect.isawaitable(reply)
    task = asyncio.ensure_future(reply)
    await asyncio.sleep(0)
    assert not task.done()
    arrived.set_result(7)
    message = dns.message.from_wire(await task)
    assert message.id == asked.id
    assert str(message.answer[0][0]) == "0.0.0.7"
    assert not server.kept(), "what it depends on may have changed meanwhile"


async def test_waiting_can_be_given_up() -> None:
    seen: list[str] = []

    async def slow(query: Query) -> Answer:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        raise AssertionError

    reply = Server(slow).respond(ask().to_wire())
    assert inspect.isawaitable(reply)
    task = asyncio.ensure_future(reply)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]


async def test_a_time_limit_holds_after_the_first_wait() -> None:
    async def slow(query: Query) -> Answer:
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(0.01):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            return Answer(Rcode.SERVFAIL)
        raise AssertionError

    reply = Server(slow).respond(ask().to_wire())
    assert isinstance(reply, Awaitable)
    assert dns.message.from_wire(await reply).rcode() == dns.rcode.SERVFAIL


# ---- failures


def broken(*, after: int) -> Handler:
    async def handler(query: Query) -> Answer:
        for _ in range(after):
            await asyncio.sleep(0)
        raise RuntimeError("a mistake")

    return handler


@pytest.mark.parametrize("after", [0, 2])
async def test_an_exception_is_servfail_a_line_and_counted(
    after: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(broken(after=after))
    reply = server.respond(ask("Web.shop.", use_edns=0).to_wire())
    data = await reply if isinstance(reply, Awaitable) else reply
    assert isinstance(data, bytes)
    message = dns.message.from_wire(data)
    assert message.rcode() == dns.rcode.SERVFAIL
    assert not message.flags & dns.flags.AA
    (error,) = message.options
    assert isinstance(error, dns.edns.EDEOption)
    assert error.text == "internal error; the server's log has it"
    assert server.count("coredns_panics_total") == 1
    assert [each.message for each in caplog.records] == ["web.shop. A: RuntimeError('a mistake')"]
    assert not server.kept()


def test_an_answer_that_cannot_be_encoded_is_servfail_too(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(query: Query) -> Answer:
        return Answer(answer=(record(query, ttl=-1),))

    server = Server(handler)
    assert server.ask(ask()).rcode() == dns.rcode.SERVFAIL
    assert server.count("coredns_panics_total") == 1
    assert len(caplog.records) == 1
    assert not server.kept()


# ---- who answers


def test_the_longest_zone_answers() -> None:
    server = Server(told(plugin="root"))
    for zone in (("local",), ("cluster", "local")):
        served = Served(zone, told(rcode=Rcode.NXDOMAIN), server.metrics.meter("s", "z"))
        server.responder.zones[zone] = served
    found = {
        name: server.responder.find(Query(b"", names.from_text(name), Type.A))[0]
        for name in ("a.cluster.local.", "local.", "org.", ".")
    }
    zones = [served.zone if served else None for served in found.values()]
    assert zones == [("cluster", "local"), ("local",), (), ()]


def test_names_outside_all_zones_are_refused() -> None:
    server = Server(zone=("local",))
    reply = server.ask(ask("example.org.", use_edns=0))
    assert reply.rcode() == dns.rcode.REFUSED
    assert not reply.flags & dns.flags.AA
    (error,) = reply.options
    assert isinstance(error, dns.edns.EDEOption)
    assert (int(error.code), error.text) == (20, "no server block here is for this name")


@pytest.mark.parametrize(
    ("directives", "refused"),
    [((), True), (("chaos",), False), (("forward",), False), (("whoami",), True)],
)
def test_other_classes(directives: tuple[str, ...], refused: bool) -> None:
    reply = Server(directives=directives).ask(ask(rdclass="CH"))
    assert (reply.rcode() == dns.rcode.REFUSED) == refused


async def test_questions_of_the_servers_own() -> None:
    responder = Server(zone=("local",)).responder
    inside = await responder.resolve(Query(b"\5local\0", ("local",), Type.A))
    assert inside.plugin == "one"
    outside = await responder.resolve(Query(b"\3org\0", ("org",), Type.A))
    assert (outside.rcode, outside.handled) == (Rcode.REFUSED, False)


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "short"), (b"x" * 11, "short"), (b"\0\0\x80" + bytes(9), "response")]
)
def test_silence_is_counted(data: bytes, reason: str) -> None:
    server = Server()
    assert server.respond(data) is None
    assert f'reason="{reason}"'.encode() in server.metrics.expose()


@pytest.mark.parametrize(
    ("damage", "rcode"),
    [
        (lambda data: data + b"x", dns.rcode.FORMERR),
        (lambda data: data[:4] + b"\0\2" + data[6:], dns.rcode.FORMERR),
        (lambda data: data[:2] + b"\x28\0" + data[4:], dns.rcode.NOTIMP),
    ],
    ids=["garbage", "two questions", "update"],
)
def test_errors_are_counted_and_not_kept(damage: object, rcode: dns.rcode.Rcode) -> None:
    server = Server()
    data = damage(ask().to_wire())  # type: ignore[operator]
    reply = server.respond(data)
    assert isinstance(reply, bytes)
    assert reply[:2] == data[:2]
    assert reply[3] & 0xF == rcode
    assert not server.kept()
    assert server.count("coredns_dns_responses_total") == 1


# ---- EDNS options of the exchange


def test_cookies() -> None:
    server = Server()
    client = dns.edns.CookieOption(b"12345678", b"")
    replies = [
        server.ask(ask(use_edns=0, options=[client]), client=each)
        for each in ("192.0.2.1", "192.0.2.2")
    ]
    cookies = [option for reply in replies for option in reply.options]
    assert all(isinstance(each, dns.edns.CookieOption) for each in cookies)
    first, second = cookies
    assert isinstance(first, dns.edns.CookieOption)
    assert isinstance(second, dns.edns.CookieOption)
    assert first.client == second.client == b"12345678"
    assert len(first.server) == 16
    assert first.server[8:] != second.server[8:], "bound to the asker's address"
    assert not server.kept(), "the bytes are for one asker"


def test_keepalive_is_for_connections() -> None:
    option = dns.edns.GenericOption(dns.edns.OptionType.make(EdnsOption.TCP_KEEPALIVE), b"")
    server = Server()
    asked = ask(use_edns=0, options=[option])
    (kept,) = server.ask(asked, "tcp").options
    assert (int(kept.otype), kept.to_wire()) == (EdnsOption.TCP_KEEPALIVE, b"\0\x64")
    assert server.ask(asked, "udp").options == ()


def test_options_that_nobody_knows_are_left_out() -> None:
    option = dns.edns.GenericOption(dns.edns.OptionType.make(65001), b"x")
    server = Server()
    assert server.ask(ask(use_edns=0, options=[option])).options == ()
    assert server.kept() == 1


# ---- what is kept


def test_kept_by_transport_and_by_every_octet_but_the_id() -> None:
    server = Server()
    server.ask(ask())
    server.ask(ask())
    assert (server.kept("udp"), server.kept("tcp")) == (1, 0)
    server.ask(ask(), "tcp")
    assert (server.kept("udp"), server.kept("tcp")) == (1, 1)
    for other in (ask("WEB."), ask(qtype="AAAA"), ask(use_edns=0), ask(use_edns=0, payload=1400)):
        server.ask(other)
    assert server.kept("udp") == 5


def test_a_kept_reply_is_the_reply() -> None:
    server, asked = Server(), ask("Web.", use_edns=0)
    data = asked.to_wire()
    reply = server.respond(data)
    assert isinstance(reply, bytes)
    assert server.caches["udp"].entries[data[2:]].next_body() == reply[2:]


@pytest.mark.parametrize(
    "handler", [told(keep_until=0.0), told(silent=True)], ids=["not", "silent"]
)
def test_not_kept(handler: Handler) -> None:
    server = Server(handler)
    server.respond(ask().to_wire())
    assert not server.kept()


async def test_kept_until_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the wall clock says meanwhile: one that is set back keeps nothing longer."""
    from time import monotonic

    monkeypatch.setattr("kdns.responder.time", lambda: -1e9)
    server = Server(told(keep_until=monotonic() + 0.3))
    server.respond(ask().to_wire())
    server.respond(ask("other.").to_wire())
    assert server.kept() == 2
    async with asyncio.timeout(30):
        while server.kept():  # noqa: ASYNC110 (the cache tells nobody)
            await asyncio.sleep(0.01)


def test_addresses_turn_only_with_loadbalance() -> None:
    for directives, turns in (((), 1), (("loadbalance",), 3)):
        server, data = Server(several, directives=directives), ask().to_wire()
        server.respond(data)
        entry = server.caches["udp"].entries[data[2:]]
        assert len({entry.next_body() for _ in range(6)}) == turns


class Seen:
    """An observer."""

    def __init__(self, *, wanted: bool) -> None:
        self.wanted, self.calls = wanted, 0

    def wants(self, query: Query, answer: Answer) -> bool:
        return self.wanted

    def __call__(
        self, query: Query, answer: Answer, response_size: int, duration_seconds: float
    ) -> None:
        self.calls += 1
        assert response_size > 12
        assert duration_seconds >= 0


@pytest.mark.parametrize("wanted", [True, False])
def test_what_is_observed_is_made_anew_each_time(wanted: bool) -> None:
    server, seen = Server(), Seen(wanted=wanted)
    served = server.responder.zones[()]
    server.responder.zones[()] = replace(served, observers=(seen,))
    server.respond(ask().to_wire())
    assert (seen.calls, server.kept()) == ((1, 0) if wanted else (0, 1))


def test_hits_are_counted_as_questions() -> None:
    server, data = Server(), ask().to_wire()
    server.respond(data)
    server.caches["udp"].entries[data[2:]].hits += 4
    assert server.count("coredns_dns_requests_total") == 5
    assert server.count("coredns_dns_requests_total") == 5
    assert server.count("coredns_dns_request_duration_seconds_count") == 5


# ---- made anew when a change has dropped it


class Renewing(Server):
    """Answers as ``kubernetes``, from what the test sets, and how often it was asked."""

    def __init__(self) -> None:
        self.at, self.made, self.waits = 1, 0, False

        async def handler(query: Query) -> Answer:
            self.made += 1
            if self.waits:
                await asyncio.sleep(0)
            keys = frozenset({("svc", "shop", "web")})
            return Answer(answer=(record(query, at=self.at),), keys=keys, plugin="kubernetes")

        super().__init__(handler)

    def change(self, at: int) -> None:
        self.at = at
        dropped = self.caches["udp"].drop([("svc", "shop", "web")])
        self.responder.renew(dropped, "udp")


def test_a_dropped_reply_is_made_anew_and_not_counted() -> None:
    server, data = Renewing(), ask().to_wire()
    server.respond(data)
    server.change(2)
    entry = server.caches["udp"].entries[data[2:]]
    assert str(dns.message.from_wire(data[:2] + entry.next_body()).answer[0][0]) == "0.0.0.2"
    assert server.made == 2
    assert server.count("coredns_dns_requests_total") == 1
    assert server.count("coredns_dns_request_duration_seconds_count") == 1


def test_it_is_made_anew_once_for_each_time_that_it_was_asked_for() -> None:
    server, data = Renewing(), ask().to_wire()
    server.respond(data)
    server.change(2)
    server.change(3)
    assert (server.made, server.kept()) == (2, 0)
    server.respond(data)
    server.change(4)
    server.caches["udp"].entries[data[2:]].hits += 1
    server.change(5)
    assert (server.made, server.kept()) == (5, 1)


def test_only_so_many_are_made_anew() -> None:
    server = Renewing()
    for number in range(MAX_RENEWED + 5):
        server.respond(ask(f"web{number}.").to_wire())
    server.change(2)
    assert 0 < server.kept() <= MAX_RENEWED


def test_what_would_have_to_wait_is_not_made_anew() -> None:
    server, data = Renewing(), ask().to_wire()
    server.respond(data)
    server.waits = True
    server.change(2)
    assert (server.made, server.kept()) == (2, 0)


# ---- a kept reply is always right

OPTIONS = {
    "plain": "",
    "verified": "pods verified\nendpoint_pod_names\nttl 30",
    "namespaces": "namespaces shop\nignore empty_service",
    "zonal": "zonal\nfallthrough in-addr.arpa svc.cluster.local",
    "noendpoints": "noendpoints",
}


class Cluster(Chain):
    """A server block with a cluster that changes, and two responders: one keeps, one does not."""

    def __init__(self, options: str, objects: tuple[Object, ...]) -> None:
        zones = "cluster.local in-addr.arpa ip6.arpa"
        directives = f"shortnames shop\nloadbalance\nkubernetes {zones} {{\n{options}\n}}"
        super().__init__(f". {{\n{directives}\n}}", objects, probes.LOCAL)
        self.keeps, self.forgets = Server(self.handler), Server(self.handler)
        self.forgets.responder.caches = {}

    def apply(self, change: Change) -> None:
        keys = self.index.apply(change, now=2)
        for transport, cache in self.keeps.caches.items():
            self.keeps.responder.renew(cache.drop(keys), transport)

    def check(self, data: bytes) -> None:
        entry = self.keeps.caches["udp"].entries.get(data[2:])
        kept = data[:2] + entry.next_body() if entry else self.keeps.respond(data)
        made = self.forgets.respond(data)
        assert isinstance(kept, bytes)
        assert isinstance(made, bytes)
        if kept != made:
            assert shown(kept) == shown(made)


def shown(data: bytes) -> list[str]:
    """A reply as sorted lines, the serial of a negative answer's SOA left out."""
    message = dns.message.from_wire(data)
    lines = [
        f"{dns.rcode.to_text(message.rcode())} {dns.flags.to_text(message.flags)} {message.edns}"
    ]
    lines += [option.to_text() for option in message.options]
    for section in (message.answer, message.authority, message.additional):
        found = [line for rrset in section for line in rrset.to_text().splitlines()]
        if section is message.authority:
            found = [" ".join(line.split()[:6]) for line in found]
        lines += ["--", *sorted(found)]
    return lines


def _questions() -> list[bytes]:
    asked = [(names.to_wire(probe.name), probe.qtype) for probe in probes.PROBES]
    apex = names.to_wire(probes.CLUSTER)
    asked += [
        (apex, Type.SOA),
        (apex, Type.NS),
        (b"\2ns\3dns" + apex, Type.A),
        (b"\2ns\3dns" + apex, Type.AAAA),
    ]
    short = [
        ("web",),
        ("db", "store"),
        ("ep", "db"),
        ("web", "shop", "svc"),
        ("_http", "_tcp", "web"),
    ]
    asked += [(names.to_wire(name), kind) for name in short for kind in (Type.A, Type.SRV)]
    header = question.HEADER.pack(7, 0x0100, 1, 0, 0, 1)
    opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    return [
        header + qname + int(qtype).to_bytes(2, "big") + b"\0\1" + opt for qname, qtype in asked
    ]


QUESTIONS = _questions()


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=8, deadline=None)
@given(world=probes.worlds)
def test_a_kept_reply_is_the_one_that_would_be_made(options: str, world: probes.World) -> None:
    cluster = Cluster(OPTIONS[options], world.state)
    for data in QUESTIONS:
        cluster.check(data)
    assert cluster.keeps.kept() > len(QUESTIONS) / 2
    for change, _ in world.changes(6):
        cluster.apply(change)
        for data in QUESTIONS:
            cluster.check(data)


def test_a_name_that_was_just_created_is_never_hidden() -> None:
    cluster = Cluster("", (Namespace("shop"),))
    data = ask("new.shop.svc.cluster.local.").to_wire()
    (missing,) = [cluster.keeps.respond(data)]
    assert isinstance(missing, bytes)
    assert dns.message.from_wire(missing).rcode() == dns.rcode.NXDOMAIN
    assert cluster.keeps.kept() == 1
    cluster.apply(Put(Service("other", "new", cluster_ips=("10.0.0.8",))))
    cluster.apply(Put(Service("shop", "new", cluster_ips=("10.0.0.9",))))
    found = cluster.keeps.caches["udp"].entries[data[2:]].next_body()
    assert dns.message.from_wire(data[:2] + found).rcode() == dns.rcode.NOERROR
    cluster.check(data)


def test_a_change_elsewhere_costs_nothing() -> None:
    service = Service("shop", "web", cluster_ips=("10.0.0.1",))
    cluster = Cluster("", (Namespace("shop"), service))
    cluster.keeps.ask(ask("web.shop.svc.cluster.local."))
    cluster.apply(Put(Service("shop", "other", cluster_ips=("10.0.0.2",))))
    assert cluster.keeps.kept() == 1


@given(st.binary(max_size=80))
def test_any_octets_give_a_reply_or_silence(data: bytes) -> None:
    reply = Server().respond(data)
    assert reply is None or (isinstance(reply, bytes) and reply[:2] == data[:2] and reply[2] & 0x80)


def test_edns_is_what_came() -> None:
    async def handler(query: Query) -> Answer:
        assert query.edns == Edns(1400)
        return Answer()

    assert Server(handler).ask(ask(use_edns=0, payload=1400)).payload == 1400
