"""From a request to its reply: who answers, what is cached, what is counted, and that a cached reply is
the one that would be made now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Never

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kdns.answers import repeats, reply_cache
from kdns.answers.later import Later
from kdns.answers.responder import MAX_REFRESHED, Responder
from kdns.metrics import Metrics
from kdns.plugins.blocks import Served
from kdns.plugins.budget import Budget
from kdns.plugins.interface import Handler
from kdns.records.objects import Change, Namespace, Object, Put, Service
from kdns.wire import layouts, names
from kdns.wire.constants import EdnsOption, Flag, Rcode, Type
from kdns.wire.message import Answer, Edns, Query, Record, Transport
from kdns.wire.names import Name
from tests.fakes.replies import Address
from tests.plugins.chains import Chain
from tests.records import probes

ADDRESS = b"\x0a\0\0\1"


@pytest.fixture(autouse=True)
def time_to_explain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The texts of reasons are not short, however busy the machine is."""
    monkeypatch.setattr(Budget, "allows", lambda self, now: True)


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
        self.responder = Responder("dns://:53", self.metrics, [served])
        self.address = Address(self.responder)
        self.hit, self.cache = self.address.hit, self.address.cache
        self.listeners = self.address.listeners

    def respond(
        self, data: bytes, transport: Transport = "udp", client: str = "192.0.2.1"
    ) -> object:
        return self.responder.respond(data, client, 5353, transport, "127.0.0.1")

    def ask(
        self, message: dns.message.Message, transport: Transport = "udp", client: str = "192.0.2.1"
    ) -> dns.message.Message:
        reply = self.respond(message.to_wire(), transport, client)
        assert isinstance(reply, bytes), "it took waiting"
        return dns.message.from_wire(reply)

    def cached(self) -> int:
        return len(self.cache)

    def change(self, **fields: object) -> None:
        """Change the server block."""
        (served,) = self.responder.zones.values()
        self.responder.zones[served.zone] = replace(served, **fields)

    def count(self, name: str) -> float:
        """The sum of a family's samples at the scrape."""
        self.cache.report()
        return sum(
            sample.value
            for metric in self.metrics.collect()
            for sample in metric.samples
            if sample.name == name
        )


async def wait_for(reply: object) -> bytes:
    """The octets of a reply that takes waiting."""
    assert isinstance(reply, Later)
    async with asyncio.timeout(30):
        data = await reply
    assert data is not None
    return data


class Failing:
    """A view, an observer or a receiver of NOTIFY that raises."""

    by_asker = False

    def __init__(self, wanted: bool | None = None) -> None:
        self.wanted = wanted

    def wants(self, query: Query, answer: Answer) -> bool:
        if self.wanted is None:
            raise KeyError("wants")
        return self.wanted

    def __call__(self, query: Query, *of_an_observer: object) -> Never:
        raise KeyError("called")


@pytest.mark.parametrize(
    ("part", "opcode"),
    [
        pytest.param({"view": Failing()}, dns.opcode.QUERY, id="view"),
        pytest.param({"observers": (Failing(),)}, dns.opcode.QUERY, id="observer, wants"),
        pytest.param({"observers": (Failing(True),)}, dns.opcode.QUERY, id="observer"),
        pytest.param({"notified": Failing()}, dns.opcode.NOTIFY, id="notify"),
    ],
)
def test_whatever_raises_costs_no_other_query(part: dict[str, object], opcode: int) -> None:
    """With a reply or without one; the batch of datagrams goes on."""
    server = Server()
    meter = server.metrics.meter("dns://:53", "odd.")
    server.responder.add(replace(Served(("odd",), one, meter), **part))
    asked = ask("odd.", "SOA")
    asked.set_opcode(dns.opcode.Opcode(opcode))
    server.respond(asked.to_wire())
    assert server.ask(ask()).answer
    assert server.count("coredns_panics_total") == 1


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


async def test_a_handler_that_waits_is_finished_later() -> None:
    arrived: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def slow(query: Query) -> Answer:
        at = await arrived
        await asyncio.sleep(0)
        return Answer(answer=(record(query, at=at),))

    server = Server(slow)
    asked = ask()
    reply = server.respond(asked.to_wire())
    assert isinstance(reply, Later)
    task = asyncio.ensure_future(wait_for(reply))
    await asyncio.sleep(0)
    assert not task.done()
    arrived.set_result(7)
    message = dns.message.from_wire(await task)
    assert message.id == asked.id
    assert str(message.answer[0][0]) == "0.0.0.7"
    assert not server.cached(), "what it depends on may have changed meanwhile"


@pytest.mark.parametrize("needs_task", [False, True])
async def test_waiting_can_be_given_up(needs_task: bool) -> None:
    ended: list[str] = []

    async def slow(query: Query) -> Answer:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("ended")
        raise AssertionError

    server = Server(slow)
    server.change(needs_task=needs_task)
    reply = server.respond(ask().to_wire())
    assert isinstance(reply, Later)
    reply.on_done(lambda *_: ended.append("called"))
    await asyncio.sleep(0)
    reply.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ended == ["ended"]


async def test_what_it_waits_for_may_be_given_up() -> None:
    """A cancelled future is a failure of this query, and of no other."""
    waits: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    async def slow(query: Query) -> Answer:
        return await waits

    reply = Server(slow).respond(ask().to_wire())
    waits.cancel()
    assert dns.message.from_wire(await wait_for(reply)).rcode() == dns.rcode.SERVFAIL


async def test_other_stages_may_set_a_time_limit_after_the_first_wait() -> None:
    async def slow(query: Query) -> Answer:
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(0.01):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            return Answer(Rcode.SERVFAIL)
        raise AssertionError

    server = Server(slow)
    server.change(needs_task=True)
    reply = await wait_for(server.respond(ask().to_wire()))
    assert dns.message.from_wire(reply).rcode() == dns.rcode.SERVFAIL


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
    data = reply if isinstance(reply, bytes) else await wait_for(reply)
    message = dns.message.from_wire(data)
    assert message.rcode() == dns.rcode.SERVFAIL
    assert not message.flags & dns.flags.AA
    (error,) = message.options
    assert isinstance(error, dns.edns.EDEOption)
    assert error.text == "internal error; the server's log has it"
    assert server.count("coredns_panics_total") == 1
    assert [each.message for each in caplog.records] == ["web.shop. A: RuntimeError('a mistake')"]
    assert not server.cached()


def test_an_answer_that_cannot_be_encoded_is_servfail_too(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(query: Query) -> Answer:
        return Answer(answer=(record(query, ttl=-1),))

    server = Server(handler)
    assert server.ask(ask()).rcode() == dns.rcode.SERVFAIL
    assert server.count("coredns_panics_total") == 1
    assert len(caplog.records) == 1
    assert not server.cached()


# ---- who answers


def test_the_longest_zone_answers() -> None:
    server = Server(told(plugin="root"))
    for zone in (("local",), ("cluster", "local")):
        served = Served(zone, told(rcode=Rcode.NXDOMAIN), server.metrics.meter("s", "z"))
        server.responder.add(served)
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
    assert not server.cached()
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
    data = ask(use_edns=0, options=[client]).to_wire()
    again = [server.hit(data, client=each) for each in ("192.0.2.1", "192.0.2.2")]
    for reply, hit in zip(replies, again, strict=True):
        assert hit is not None
        assert shown(hit)[-1] == shown(reply.to_wire())[-1]
        assert dns.message.from_wire(hit).options[0].otype == EdnsOption.COOKIE
    assert again[0] != again[1], "cached is the answer, and the cookie is one client's"
    assert server.cached() == 1


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
    assert server.cached() == 1


# ---- what is kept


COOKIE = dns.edns.CookieOption(b"12345678", b"")
NSID = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")


def test_one_entry_for_every_spelling_size_cookie_and_transport() -> None:
    server = Server()
    server.ask(ask())
    for other in (ask(), ask("WEB."), ask("wEb.")):
        assert server.hit(other.to_wire(), "udp")
        assert server.hit(other.to_wire(), "tcp")
    assert server.cached() == 1
    server.ask(ask(use_edns=0))
    for other in (
        ask("WEB.", use_edns=0, payload=1400),
        ask(use_edns=0, payload=0),
        ask(use_edns=0, payload=65535, options=[COOKIE]),
        ask(use_edns=0, options=[dns.edns.CookieOption(b"12345678", bytes(16))]),
    ):
        assert server.hit(other.to_wire(), "udp")
        assert server.hit(other.to_wire(), "tcp")
    assert server.cached() == 2


@pytest.mark.parametrize(
    "other",
    [
        ask(qtype="AAAA"),
        ask(rdclass="CH"),
        ask("web.shop."),
        ask(use_edns=0),
        ask(use_edns=0, want_dnssec=True),
        ask(use_edns=0, options=[NSID]),
        ask(use_edns=0, options=[NSID, COOKIE]),
        ask(use_edns=0, options=[COOKIE, COOKIE]),
        ask(use_edns=1),
        ask(flags=0),
        ask(flags=Flag.RD | Flag.AD),
        ask(flags=Flag.RD | Flag.CD),
    ],
    ids=lambda message: message.to_text().replace("\n", " ")[:200],
)
def test_what_may_be_answered_differently_is_another_entry(other: dns.message.Message) -> None:
    server = Server()
    server.ask(ask())
    assert server.hit(other.to_wire()) is None
    server.ask(other)
    assert server.hit(ask().to_wire())


@pytest.mark.parametrize("types", [(Type.HTTPS, 0x61), (0x4100, 0x6100), (0x41, 0x6141)])
def test_types_are_not_folded(types: tuple[int, int]) -> None:
    """HTTPS is 65, which is the letter A."""
    server = Server()
    first, second = (ask(qtype=f"TYPE{rtype}").to_wire() for rtype in types)
    server.respond(first)
    assert server.hit(first)
    assert server.hit(second) is None


def test_a_cached_reply_is_the_reply() -> None:
    server, asked = Server(), ask("Web.", use_edns=0)
    data = asked.to_wire()
    reply = server.respond(data)
    for _ in range(5):  # put together at first, finished later
        assert server.hit(data) == reply
    assert server.listeners["udp"].entries


def test_each_client_gets_its_own_letter_case() -> None:
    server = Server()
    server.ask(ask("web.shop."))
    for name in ("WEB.shop.", "wEB.sHOP.", "web.SHOP."):
        data = server.hit(ask(name).to_wire())
        assert data is not None
        message = dns.message.from_wire(data)
        owner, question = message.answer[0].name, message.question[0].name
        assert str(owner) == str(question) == name


@given(st.binary(min_size=0, max_size=60), st.integers(0, 3))
def test_no_request_gets_a_reply_to_another(damage: bytes, where: int) -> None:
    """Whatever follows or replaces parts of a request that was answered: cached is as not cached."""
    cached, fresh = Server(), Server()
    known = ask(use_edns=0, options=[COOKIE]).to_wire(), ask().to_wire()
    for data in known:
        cached.respond(data)
    data = known[where & 1]
    at = 12 if where & 2 else len(data) - 11
    data = data[:at] + damage + data[at + len(damage) :] if len(damage) % 2 else data[:at] + damage
    hit, made = cached.hit(data), fresh.respond(data)
    if hit is not None:
        assert isinstance(made, bytes)
        assert shown(hit) == shown(made)


@pytest.mark.parametrize(
    "handler", [told(keep_until=0.0), told(silent=True)], ids=["not", "silent"]
)
def test_not_cached(handler: Handler) -> None:
    server = Server(handler)
    server.respond(ask().to_wire())
    assert not server.cached()


async def test_cached_until_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that never goes back, whatever the system's does."""
    clock = [100.0]
    for module in (reply_cache, repeats):
        monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    server, data = Server(told(keep_until=110.0)), ask().to_wire()
    server.respond(data)
    assert server.hit(data)
    clock[0] = 109.0
    assert server.hit(data)
    clock[0] = 110.1
    assert server.hit(data) is None


def test_addresses_turn_only_with_loadbalance() -> None:
    for directives, turns in (((), 1), (("loadbalance",), 3)):
        server, data = Server(several, directives=directives), ask().to_wire()
        server.respond(data)
        assert len({server.hit(data) for _ in range(6)}) == turns


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
    assert (seen.calls, server.cached()) == ((1, 0) if wanted else (0, 1))


def test_hits_are_counted_as_questions() -> None:
    server, data = Server(), ask().to_wire()
    server.respond(data)
    for _ in range(4):
        assert server.hit(data)
    assert server.count("coredns_dns_requests_total") == 5
    assert server.count("coredns_dns_requests_total") == 5
    assert server.count("coredns_dns_request_duration_seconds_count") == 5


# ---- made anew when a change has dropped it


class Refreshing(Server):
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

    def move(self, at: int) -> None:
        self.at = at
        self.responder.refresh(self.cache.drop([("svc", "shop", "web")]))


def test_a_dropped_reply_is_made_anew_and_not_counted() -> None:
    server, data = Refreshing(), ask().to_wire()
    server.respond(data)
    server.move(2)
    hit = server.hit(data)
    assert hit is not None
    assert str(dns.message.from_wire(hit).answer[0][0]) == "0.0.0.2"
    assert server.made == 2
    assert server.count("coredns_dns_requests_total") == 2
    assert server.count("coredns_dns_request_duration_seconds_count") == 2


def test_what_two_listeners_have_of_an_entry_goes_with_it() -> None:
    """The same octets came over UDP and TCP."""
    server, data = Server(), ask().to_wire()
    server.respond(data)
    transports: tuple[Transport, ...] = ("udp", "tcp", "udp")
    for transport in transports:
        for _ in range(4):
            assert server.hit(data, transport)
    server.cache.drop([("svc", "shop", "web")])
    assert [server.hit(data, transport) for transport in transports] == [None] * 3
    assert not any(listener.entries for listener in server.listeners.values())


def test_octets_of_what_is_replaced_after_a_drop_are_given_back_once() -> None:
    server, requests = Server(), [ask(f"web{at}.").to_wire() for at in range(1000)]
    for data in requests:
        server.respond(data)
    server.cache.drop([("svc", "shop", "web")])
    for data in reversed(requests):
        server.respond(data)
    assert not server.cache._removed
    assert server.cache.octets == sum(each.octets for each in server.cache.entries.values())


def test_it_is_made_anew_once_for_each_time_that_it_was_asked_for() -> None:
    server, data = Refreshing(), ask().to_wire()
    server.respond(data)
    server.move(2)
    server.move(3)
    assert (server.made, server.cached()) == (2, 0)
    server.respond(data)
    server.move(4)
    assert server.hit(data)
    server.move(5)
    assert (server.made, server.cached()) == (5, 1)


def test_only_so_many_are_made_anew() -> None:
    server = Refreshing()
    for number in range(MAX_REFRESHED + 5):
        server.respond(ask(f"web{number}.").to_wire())
    server.move(2)
    assert 0 < server.cached() <= MAX_REFRESHED


def test_what_would_have_to_wait_is_not_made_anew() -> None:
    server, data = Refreshing(), ask().to_wire()
    server.respond(data)
    server.waits = True
    server.move(2)
    assert (server.made, server.cached()) == (2, 0)


# ---- a kept reply is always right

OPTIONS = {
    "plain": "",
    "verified": "pods verified\nendpoint_pod_names\nttl 30",
    "namespaces": "namespaces shop\nignore empty_service",
    "zonal": "zonal\nfallthrough in-addr.arpa svc.cluster.local",
    "noendpoints": "noendpoints",
}


@pytest.fixture(autouse=True, scope="module")
def full_reasons() -> Iterator[None]:
    """Reasons do not become shorter while much is queried."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Budget, "allows", lambda *_: True)
        yield


class Cluster(Chain):
    """A server block with a cluster that changes, and two responders: one keeps, one does not."""

    def __init__(self, options: str, objects: tuple[Object, ...]) -> None:
        zones = "cluster.local in-addr.arpa ip6.arpa"
        directives = f"shortnames shop\nloadbalance\nkubernetes {zones} {{\n{options}\n}}"
        super().__init__(f". {{\n{directives}\n}}", objects, probes.LOCAL)
        self.keeps, self.forgets = Server(self.handler), Server(self.handler)
        self.forgets.responder.cache = None

    def apply(self, change: Change) -> None:
        keys = self.index.apply(change, now=2)
        self.keeps.responder.refresh(self.keeps.cache.drop(keys))

    def check(self, data: bytes) -> None:
        kept = self.keeps.hit(data) or self.keeps.respond(data)
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
    header = layouts.HEADER.pack(7, 0x0100, 1, 0, 0, 1)
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
    assert cluster.keeps.cached() > len(QUESTIONS) / 2
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
    assert cluster.keeps.cached() == 1
    cluster.apply(Put(Service("other", "new", cluster_ips=("10.0.0.8",))))
    cluster.apply(Put(Service("shop", "new", cluster_ips=("10.0.0.9",))))
    found = cluster.keeps.hit(data)
    assert found is not None
    assert dns.message.from_wire(found).rcode() == dns.rcode.NOERROR
    cluster.check(data)


def test_a_change_elsewhere_costs_nothing() -> None:
    service = Service("shop", "web", cluster_ips=("10.0.0.1",))
    cluster = Cluster("", (Namespace("shop"), service))
    cluster.keeps.ask(ask("web.shop.svc.cluster.local."))
    cluster.apply(Put(Service("shop", "other", cluster_ips=("10.0.0.2",))))
    assert cluster.keeps.cached() == 1


@given(st.binary(max_size=80))
def test_any_octets_give_a_reply_or_silence(data: bytes) -> None:
    reply = Server().respond(data)
    assert reply is None or (isinstance(reply, bytes) and reply[:2] == data[:2] and reply[2] & 0x80)


def test_edns_is_what_came() -> None:
    async def handler(query: Query) -> Answer:
        assert query.edns == Edns(1400)
        return Answer()

    assert Server(handler).ask(ask(use_edns=0, payload=1400)).payload == 1232
