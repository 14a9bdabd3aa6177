"""``cache``: its options, what is kept for how long, and what the reply cache gets of it."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

import pytest
from msgspec.structs import replace

from kdns.answers.later import Later
from kdns.answers.responder import Responder
from kdns.plugins.blocks import Served
from kdns.plugins.cache import Settings
from kdns.plugins.cache.settings import Bounds, Prefetch, Stale
from kdns.plugins.cache.stage import Cache
from kdns.plugins.cache.store import MEAN_OCTETS
from kdns.plugins.interface import Context
from kdns.wire import rdata
from kdns.wire.constants import ErrorCode, Flag, Rcode, Type, type_name
from kdns.wire.encode import encode, reply
from kdns.wire.message import FOREVER, Answer, Denial, Edns, Key, Query, Record
from kdns.wire.names import from_text, wire_from_text
from kdns.wire.responses import Response, decode
from tests.fakes.nameserver import NameServer
from tests.fakes.replies import Address
from tests.plugins.chains import question, refusal, settings, told
from tests.plugins.forwarding import Block
from tests.waiting import until

START = 1_000_000.25
SOA_DATA = rdata.soa(b"\2ns\0", b"\4root\0", 1, (2, 3, 4, 60))


def soa(ttl: int = 300) -> Record:
    return Record(wire_from_text("test."), Type.SOA, ttl, SOA_DATA)


def a(name: str = "a.test.", ttl: int = 300, address: str = "192.0.2.1") -> Record:
    return Record(wire_from_text(name), Type.A, ttl, rdata.a(address))


def alias(name: str, target: str, ttl: int = 300) -> Record:
    return Record(wire_from_text(name), Type.CNAME, ttl, wire_from_text(target))


def said(*answer: Record, **fields: object) -> Answer:
    blank = Answer(
        answer=answer, authoritative=False, keep_until=0.0, fetched=True, plugin="forward"
    )
    return replace(blank, **fields)


NXDOMAIN = said(rcode=Rcode.NXDOMAIN, authority=(soa(),))
NODATA = said(authority=(soa(),))
SERVFAIL = said(rcode=Rcode.SERVFAIL, failure="no reply")


class World:
    """A cache in front of answers that the test chooses, on a clock that it moves."""

    def __init__(self, options: str = "", **answers: Answer) -> None:
        self.now = START
        self.answers = {f"{name}.test.": answer for name, answer in answers.items()}
        self.asked: list[Query] = []
        self.gate: asyncio.Event | None = None
        self.block = Block("whoami")
        found = settings(f"cache {{\n{options}\n}}")
        assert isinstance(found, Settings)
        context = cast("Context", self.block)
        self.cache = Cache(found, self.upstream, context, lambda: self.now)

    async def upstream(self, query: Query) -> Answer:
        denial = Denial(World, query.name)
        if query.denied is not None and query.denied[0] == denial:
            return query.denied[1]
        self.asked.append(query)
        if self.gate is not None:
            await self.gate.wait()
        name = ".".join(query.name) + "."
        answer = self.answers.get(f"{name} {type_name(query.qtype)}") or self.answers.get(name)
        assert answer is not None, name
        return replace(answer, denial=denial) if answer.rcode == Rcode.NXDOMAIN else answer

    def set(self, text: str, answer: Answer) -> None:
        self.answers[text] = answer

    async def ask(
        self, text: str = "a.test. A", fields: Mapping[str, object] = MappingProxyType({})
    ) -> Answer:
        return await self.cache.answer(replace(question(text), **fields))

    async def settle(self) -> None:
        while self.cache.refreshes:
            await asyncio.gather(*self.cache.refreshes)


class TestOptions:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("cache", Settings()),
            ("cache 30", Settings(success=Bounds(30), denial=Bounds(30))),
            ("cache 30 a.test", Settings((("a", "test"),), Bounds(30), Bounds(30))),
            ("cache a.test b.test", Settings((("a", "test"), ("b", "test")))),
            ("cache {\nsuccess 5000\n}", Settings(success=Bounds(3600, 5000))),
            ("cache {\nsuccess 9984 30\ndenial 9984 5\n}", Settings((), Bounds(30), Bounds(5))),
            ("cache 900 {\ndenial 9984 30\n}", Settings((), Bounds(900), Bounds(30))),
            ("cache {\ndenial 2000 30 1\n}", Settings(denial=Bounds(30, 2000, 1))),
            ("cache {\nsuccess 10\n}", Settings(success=Bounds(3600, 1024))),
            ("cache {\nprefetch 2\n}", Settings(prefetch=Prefetch(2))),
            ("cache {\nprefetch 2 10s 20%\n}", Settings(prefetch=Prefetch(2, 10, 20))),
            ("cache {\nprefetch 0\n}", Settings()),
            ("cache {\nserve_stale\n}", Settings(stale=Stale())),
            ("cache {\nserve_stale 2h\n}", Settings(stale=Stale(7200))),
            ("cache {\nserve_stale 0s\n}", Settings()),
            ("cache {\nserve_stale 1h verify\n}", Settings(stale=Stale(verify=True))),
            (
                "cache {\nserve_stale 1h verify 100ms 30s 10s\n}",
                Settings(stale=Stale(3600, True, 0.1, 30, 10)),
            ),
            (
                "cache {\nserve_stale 1h immediate 30s 10s\nserve_stale_policy prefer_positive\n}",
                Settings(stale=Stale(3600, False, 0, 30, 10, True)),
            ),
            ("cache {\nservfail 0\n}", Settings(servfail=0)),
            ("cache {\nkeepttl\n}", Settings(keep_ttl=True)),
            ("cache {\ndisable denial\n}", Settings(denial_off=((),))),
            (
                "cache 30 {\ndisable success cluster.local\ndisable denial cluster.local\n}",
                Settings(
                    (),
                    Bounds(30),
                    Bounds(30),
                    success_off=(("cluster", "local"),),
                    denial_off=(("cluster", "local"),),
                ),
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_taken(self, text: str, expected: Settings) -> None:
        assert settings(text) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("cache 0", "2: cache: the TTL must be more than 0"),
            ("cache -1", "2: cache: the TTL must be more than 0"),
            ("cache a..b", "2: not a zone"),
            ("cache {\nfoo\n}", "3: foo: unknown option of cache; known are denial, disable"),
            ("cache {\nsuccess\n}", "3: success: expected CAPACITY"),
            ("cache {\nsuccess x\n}", "3: success: expected a whole number, got 'x'"),
            ("cache {\nsuccess 1 0\n}", "3: success: the TTL must be more than 0"),
            ("cache {\ndenial 1 1 -1\n}", "3: denial: MINTTL cannot be negative"),
            ("cache {\nprefetch\n}", "3: prefetch: expected AMOUNT"),
            ("cache {\nprefetch -1\n}", "3: prefetch: AMOUNT cannot be negative"),
            ("cache {\nprefetch 1 1m 20\n}", "3: prefetch: expected a percentage"),
            ("cache {\nprefetch 1 1m 95%\n}", "3: prefetch: expected a percentage from 10 to 90"),
            ("cache {\nserve_stale -1h\n}", "3: serve_stale: cannot be negative"),
            (
                "cache {\nserve_stale 1h sometimes\n}",
                "3: serve_stale: expected immediate or verify",
            ),
            ("cache {\nserve_stale 1h immediate 1ms\n}", "the TTL must be whole seconds"),
            ("cache {\nserve_stale 1h immediate 1s 6m\n}", "3: serve_stale: 300s is the most"),
            (
                "cache {\nserve_stale 1h immediate 1s 1s 1s\n}",
                "3: serve_stale: expected [DURATION]",
            ),
            ("cache {\nserve_stale_policy prefer_positive\n}", "no effect without serve_stale"),
            (
                "cache {\nserve_stale\nserve_stale_policy x\n}",
                "4: serve_stale_policy: expected pref",
            ),
            ("cache {\nservfail 6m\n}", "3: servfail: 300s is the most"),
            ("cache {\ndisable\n}", "3: disable: expected success or denial"),
            ("cache {\ndisable all\n}", "3: disable: expected success or denial"),
            ("cache {\nkeepttl 1\n}", "3: keepttl: takes no argument"),
            ("cache\ncache", "3: cache: is there already"),
        ],
    )
    def test_refused(self, text: str, expected: str) -> None:
        assert expected in refusal(text)


class TestPositive:
    async def test_each_record_counts_down_by_itself(self) -> None:
        chain = said(alias("a.test.", "b.test.", 100), a("b.test.", 30))
        world = World(a=chain)
        first = await world.ask()
        world.now += 10
        second = await world.ask()
        assert told(first) == "NOERROR; a.test. 100 CNAME b.test.; b.test. 30 A 192.0.2.1"
        assert told(second) == "NOERROR; a.test. 90 CNAME b.test.; b.test. 20 A 192.0.2.1"
        assert (first.plugin, second.plugin, len(world.asked)) == ("forward", "cache", 1)
        assert second.keep_until == int(world.now) + 1, "on the clock that nobody sets"

    @pytest.mark.parametrize(("seconds", "asked"), [(29.7, 1), (29.8, 2)])
    async def test_until_the_first_record_ends(self, seconds: float, asked: int) -> None:
        """30 s from the whole second in which it came, which was a quarter old."""
        world = World(a=said(a(ttl=30), alias("x.test.", "y.test.", 300)))
        await world.ask()
        world.now += seconds
        await world.ask()
        assert len(world.asked) == asked

    @pytest.mark.parametrize(
        ("options", "ttl", "shown"),
        [
            ("", 0, 5),
            ("", 7, 7),
            ("", 9999, 3600),
            ("success 9984 60 20", 7, 20),
            ("success 9984 60 0", 7, 7),
        ],
    )
    async def test_bounds(self, options: str, ttl: int, shown: int) -> None:
        """Also in the answer that was just fetched: 3600 is not to be followed by 60."""
        world = World(options, a=said(a(ttl=ttl)))
        for _ in range(2):
            assert told(await world.ask()) == f"NOERROR; a.test. {shown} A 192.0.2.1"

    async def test_a_ttl_of_0_is_not_kept_where_the_least_is_0(self) -> None:
        world = World("success 9984 60 0", a=said(a(ttl=0)))
        for _ in range(2):
            assert told(await world.ask()) == "NOERROR; a.test. 0 A 192.0.2.1"
        assert len(world.asked) == 2

    async def test_letter_case_never_matters(self) -> None:
        world = World(a=said(a()))
        names = ("A.test.", "a.TEST.", "a.test.")
        assert [told(await world.ask(f"{name} A")) for name in names] == [
            "NOERROR; a.test. 300 A 192.0.2.1"
            if name == "a.test."
            else f"NOERROR; {name} 300 A 192.0.2.1"
            for name in names
        ]
        assert len(world.asked) == 1

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param({"qtype": Type.AAAA}, id="type"),
            pytest.param({"qclass": 3}, id="class"),
            pytest.param({"flags": Flag.RD}, id="RD"),
            pytest.param({"flags": Flag.CD}, id="CD"),
            pytest.param({"edns": Edns(dnssec_ok=True)}, id="DO"),
            pytest.param({"edns": Edns(options=((8, b"\0\1\0\0"),))}, id="client subnet"),
        ],
    )
    async def test_what_makes_another_question(self, other: dict[str, object]) -> None:
        world = World(a=said(a()))
        await world.ask()
        await world.ask(fields=other)
        assert len(world.asked) == 2

    @pytest.mark.parametrize(
        "same",
        [
            pytest.param({"client": "192.0.2.99"}, id="asker"),
            pytest.param({"transport": "tcp"}, id="transport"),
            pytest.param({"edns": None}, id="no EDNS"),
            pytest.param({"edns": Edns(512, options=((10, b"12345678"),))}, id="cookie"),
            pytest.param({"flags": Flag.AD}, id="AD"),
        ],
    )
    async def test_what_does_not(self, same: dict[str, object]) -> None:
        world = World(a=said(a()))
        await world.ask()
        await world.ask(fields=same)
        assert len(world.asked) == 1

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(said(a(), truncated=True), id="truncated"),
            pytest.param(said(rcode=Rcode.REFUSED), id="REFUSED"),
            pytest.param(said(alias("a.test.", "b.test.")), id="CNAME that leads nowhere"),
            pytest.param(said(rcode=Rcode.NXDOMAIN), id="NXDOMAIN without SOA"),
            pytest.param(said(), id="nothing at all"),
            pytest.param(replace(said(a()), fetched=False), id="depends on the asker"),
        ],
    )
    async def test_not_kept(self, answer: Answer) -> None:
        world = World(a=answer)
        for _ in range(2):
            assert (await world.ask()).plugin == "forward"
        assert len(world.asked) == 2

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(said(alias("a.test.", "b.test.")), id="lone CNAME"),
            pytest.param(said(a(), truncated=True), id="truncated"),
            pytest.param(said(rcode=Rcode.REFUSED, authority=(soa(),)), id="REFUSED"),
            pytest.param(said(rcode=Rcode.SERVFAIL, authority=(soa(),)), id="SERVFAIL"),
            pytest.param(said(rcode=Rcode.NXDOMAIN, additional=(a(),)), id="NXDOMAIN without SOA"),
        ],
    )
    @pytest.mark.parametrize("options", ["", "disable success\ndisable denial"])
    async def test_ttls_are_capped_also_where_nothing_is_kept(
        self, answer: Answer, options: str
    ) -> None:
        world = World(f"success 9984 10\ndenial 9984 10\n{options}", a=answer)
        found = await world.ask()
        records = (*found.answer, *found.authority, *found.additional)
        assert [record.ttl for record in records] == [10]

    async def test_transfers_and_other_zones_pass(self) -> None:
        world = World(a=said(a()))
        world.cache.zones, world.cache.serves_all = (("other",),), False
        await world.ask()
        await world.ask()
        world.cache.zones, world.cache.serves_all = ((),), True
        await world.ask("a.test. AXFR")
        await world.ask("a.test. AXFR")
        assert len(world.asked) == 4

    async def test_disable(self) -> None:
        world = World(
            "disable success b.test\ndisable denial a.test", a=said(a()), b=said(a("b.test."))
        )
        world.set("a.test. MX", NODATA)
        for text in ("a.test. A", "b.test. A", "a.test. MX") * 2:
            await world.ask(text)
        kinds = [f"{'.'.join(q.name)} {Type(q.qtype).name}" for q in world.asked]
        assert sorted(kinds) == ["a.test A", "a.test MX", "a.test MX", "b.test A", "b.test A"]

    async def test_disable_of_both_kinds_looks_for_nothing(self) -> None:
        """The zone of one inside that of the other: only below the inner one is nothing kept."""
        world = World(
            "disable success in.a.test\ndisable denial a.test",
            **{"in.a": said(a("in.a.test.")), "a": said(a())},
        )
        assert world.cache.uncached == (("in", "a", "test"),)
        for text in ("in.a.test. A", "a.test. A") * 2:
            await world.ask(text)
        kinds = [".".join(q.name) for q in world.asked]
        assert sorted(kinds) == ["a.test", "in.a.test", "in.a.test"]
        assert world.cache.counted["miss"] == 3

    async def test_keepttl(self) -> None:
        world = World("keepttl", a=said(a(ttl=30)))
        await world.ask()
        world.now += 20
        answer = await world.ask()
        assert told(answer) == "NOERROR; a.test. 30 A 192.0.2.1"
        world.now += 10
        await world.ask()
        assert len(world.asked) == 2

    async def test_no_more_than_the_capacity(self) -> None:
        world = World("success 1024")
        for number in range(1100):
            world.set(f"n{number}.test.", said(a(f"n{number}.test.")))
            await world.ask(f"n{number}.test. A")
        assert (len(world.cache.store.success), world.cache.store.success.evictions) == (1024, 76)


class TestMemory:
    @staticmethod
    def large(name: str) -> Answer:
        """3 KB in ten records, as another server sends them."""
        owner = wire_from_text(name)
        texts = [rdata.strings(f"{at}" + "x" * 248) for at in range(12)]
        answer = said(*(Record(owner, Type.TXT, 300, text) for text in texts))
        query = Query(owner, from_text(name), Type.TXT, transport="tcp")
        response = decode(b"\0\0" + reply(query, encode(query, answer)))
        assert isinstance(response, Response)
        return replace(answer, answer=response.answer)

    async def test_bounded_in_octets(self) -> None:
        """And what counts is what is allocated, whatever was looked at meanwhile."""
        world = World("success 1024\nkeepttl")
        names = [f"n{number}.test." for number in range(800)]

        async def ask(number: int) -> None:
            world.answers = {names[number]: self.large(names[number])}
            for _ in range(2):
                (first, *_) = (await world.ask(f"{names[number]} TXT")).answer
                assert first.owner == wire_from_text(names[number])
            world.asked.clear()

        await ask(0)
        tracemalloc.start()
        try:
            for number in range(1, len(names)):
                await ask(number)
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        store = world.cache.store.success
        assert store.currsize <= 1024 * MEAN_OCTETS
        assert 0.7 * store.currsize < taken < 1.3 * store.currsize
        assert 300 < len(store) < 1024
        assert store.evictions == len(names) - len(store)

    async def test_the_last_ones_asked_for_stay(self) -> None:
        world = World("success 1024")
        for number in range(2000):
            world.answers = {f"n{number}.test.": self.large(f"n{number}.test.")}
            world.set("a.test.", said(a()))
            await world.ask(f"n{number}.test. TXT")
            await world.ask()
        assert [query.name[0] for query in world.asked].count("a") == 1


class TestNegative:
    async def test_the_lesser_of_the_soas_ttl_and_minimum(self) -> None:
        world = World(a=NXDOMAIN)
        assert (await world.ask()).authority[0].ttl == 60
        world.now += 59
        assert (await world.ask()).authority[0].ttl == 1
        world.now += 1
        await world.ask()
        assert len(world.asked) == 2

    @pytest.mark.parametrize(
        ("qtype", "rcode"),
        [
            *((qtype, rcode) for qtype in (0, 255, 65535) for rcode in (0, 2, 4)),
            *((qtype, Rcode.NXDOMAIN) for qtype in (0, 41, 249, 250)),
        ],
    )
    async def test_no_type_stands_for_the_name(self, qtype: int, rcode: int) -> None:
        """Whatever is said of a type that no record has, records of other types are still answered."""
        world = World(a=said(rcode=rcode, authority=(soa(),)))
        world.set("a.test. A", said(a()))
        world.set("a.test. MX", said(a()))
        for text in ("a.test. A", "a.test. TXT", "a.test. A", "a.test. MX"):
            answer = await world.ask(text, {"qtype": qtype} if text.endswith("TXT") else {})
            assert bool(answer.answer) != text.endswith("TXT")

    async def test_nxdomain_is_for_every_type_of_the_same_upstream(self) -> None:
        with NameServer() as server:
            async with Block(f"cache\nforward . 127.0.0.1:{server.port}") as block:
                for rtype in ("A", "AAAA", "MX", "AAAA", "A"):
                    assert (await block.answer(f"a.test. {rtype}")).rcode == Rcode.NXDOMAIN
        assert len(server.udp) == 1

    @pytest.mark.parametrize(
        ("directives", "denied", "expected"),
        [
            (
                'template IN A test {\nanswer "{{ .Name }} 60 IN A 192.0.2.7"\nfallthrough\n}',
                "a.test. AAAA",
                "a.test. A",
            ),
            (
                'template IN TXT test {\nanswer "{{ .Name }} 60 IN TXT x"\nfallthrough\n}',
                "a.test. A",
                "a.test. TXT",
            ),
            (
                "hosts {\n192.0.2.7 x.test\nfallthrough\n}",
                "7.2.0.192.in-addr.arpa. MX",
                "7.2.0.192.in-addr.arpa. PTR",
            ),
            (
                "forward . 127.0.0.1:FIRST {\nnext_on_nodata\n}",
                "both.test. AAAA",
                "both.test. A",
            ),
        ],
    )
    async def test_nxdomain_hides_nothing_that_another_directive_has(
        self, directives: str, denied: str, expected: str
    ) -> None:
        """RFC 8020 holds within one server's tree."""
        zone = denied.partition(" ")[0].partition(".")[2]
        with NameServer("both.test. 60 IN A 192.0.2.8") as first, NameServer(zone=zone) as last:
            text = directives.replace("FIRST", str(first.port))
            async with Block(f"cache 30\n{text}\nforward . 127.0.0.1:{last.port}") as block:
                for _ in range(2):
                    await block.answer(denied)
                    answer = await block.answer(expected)
                    assert (answer.rcode, len(answer.answer)) == (Rcode.NOERROR, 1)
        assert 1 <= len(last.udp) <= 2  # data end a denial of the name

    async def test_a_denial_ends_for_all_types_at_once(self) -> None:
        world = World("denial 9984 60 0", a=NXDOMAIN)
        await world.ask("a.test. A")
        world.now += 59
        assert (await world.ask("a.test. AAAA")).authority[0].ttl == 1
        world.now += 1
        for rtype in ("A", "AAAA"):
            await world.ask(f"a.test. {rtype}")
        assert len(world.asked) == 2

    async def test_no_data_is_for_its_type(self) -> None:
        world = World(a=NODATA)
        for rtype in ("A", "AAAA", "A"):
            await world.ask(f"a.test. {rtype}")
        assert len(world.asked) == 2

    async def test_data_of_any_type_end_nxdomain(self) -> None:
        world = World(a=NXDOMAIN)
        gate = world.gate = asyncio.Event()
        both = asyncio.gather(world.ask("a.test. AAAA"), world.ask("a.test. A"))
        await until(lambda: len(world.asked) == 2)
        world.set("a.test. A", said(a()))
        gate.set()
        await both
        assert (await world.ask("a.test. A")).rcode == Rcode.NOERROR
        assert len(world.asked) == 2
        await world.ask("a.test. MX")  # not denied by what was said before
        assert len(world.asked) == 3

    async def test_a_name_with_addresses_is_not_denied(self) -> None:
        """An upstream that says NXDOMAIN to AAAA and has an A record: no such type, then."""
        world = World(a=said(a()))
        world.set("a.test. AAAA", NXDOMAIN)
        await world.ask("a.test. A")
        assert (await world.ask("a.test. AAAA")).rcode == Rcode.NOERROR
        assert told(await world.ask("a.test. A")) == "NOERROR; a.test. 300 A 192.0.2.1"
        assert len(world.asked) == 2

    async def test_nxdomain_behind_an_alias_is_not_for_the_name(self) -> None:
        answer = replace(NXDOMAIN, answer=(alias("a.test.", "b.test.", 20),))
        world = World(a=answer)
        assert (await world.ask("a.test. A")).rcode == Rcode.NXDOMAIN
        await world.ask("a.test. A")
        await world.ask("a.test. TXT")
        assert len(world.asked) == 2
        world.now += 20
        await world.ask("a.test. A")
        assert len(world.asked) == 3

    @pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.NOTIMP])
    async def test_failures_for_a_moment(self, rcode: Rcode) -> None:
        world = World(a=replace(SERVFAIL, rcode=rcode))
        assert (await world.ask()).failure == "no reply"
        kept = await world.ask()
        assert (kept.rcode, kept.failure, len(world.asked)) == (rcode, "", 1)
        world.now += 5
        await world.ask()
        assert len(world.asked) == 2

    async def test_failures_not_at_all(self) -> None:
        world = World("servfail 0", a=SERVFAIL)
        for _ in range(2):
            await world.ask()
        assert len(world.asked) == 2

    async def test_an_insertion_costs_the_same_however_much_has_ended(self) -> None:
        world = World("denial 5000")
        for number in range(4096):
            world.set(f"n{number}.test.", NXDOMAIN)
            await world.ask(f"n{number}.test. A")
        world.now += 60
        await world.ask("n0.test. A")
        assert len(world.cache.store.denial) > 4000


KEY: Key = ("svc", "default", "a")


class TestKeys:
    async def test_what_changed_is_forgotten(self) -> None:
        world = World(a=replace(NXDOMAIN, keys=frozenset({KEY})))
        await world.ask()
        world.cache.store.changes.note([("svc", "default", "other")])
        await world.ask()
        assert len(world.asked) == 1
        world.cache.store.changes.note([KEY])
        await world.ask("a.test. AAAA")
        assert len(world.asked) == 2

    async def test_also_what_changed_while_it_was_asked_for(self) -> None:
        world = World(a=replace(NXDOMAIN, keys=frozenset({KEY})))
        gate = world.gate = asyncio.Event()
        asking = asyncio.ensure_future(world.ask())
        await until(lambda: world.asked)
        world.cache.store.changes.note([KEY])
        gate.set()
        await asking
        await world.ask()
        assert len(world.asked) == 2

    async def test_many_changes_cost_bounded_memory_and_no_truth(self) -> None:
        world = World(a=replace(NXDOMAIN, keys=frozenset({KEY})), b=NXDOMAIN)
        await world.ask()
        await world.ask("b.test. A")
        world.cache.store.changes.note([KEY])
        for number in range(20000):
            world.cache.store.changes.note([("svc", "default", str(number))])
        await world.ask()
        await world.ask("b.test. A")
        assert len(world.asked) == 3
        assert len(world.cache.store.changes._last) <= 16384

    async def test_the_server_tells_of_changes(self) -> None:
        """A miss in the cluster that an upstream denies goes when the cluster has it."""
        with NameServer() as server:
            text = "cache\nhosts {\n192.0.2.5 here.test\nfallthrough\n}\n"
            async with Block(text + f"forward . 127.0.0.1:{server.port}") as block:
                assert len(block.forgetful) == 1
                answer = await block.answer("a.test. A")
                for key in answer.keys:
                    block.change(key)
                await block.answer("a.test. A")
        assert len(server.udp) == (2 if answer.keys else 1)

    async def test_answers_from_memory_pass(self) -> None:
        """They are current without a cache; only their TTL is capped, as ``cache 10`` promises."""
        memory = Answer(answer=(a(ttl=300),), keys=frozenset({KEY}), plugin="kubernetes")
        world = World("success 9984 10", a=memory)
        for _ in range(2):
            answer = await world.ask()
            assert told(answer) == "NOERROR; a.test. 10 A 192.0.2.1"
            assert (answer.keep_until, answer.keys) == (FOREVER, frozenset({KEY}))
        assert len(world.asked) == 2


class TestPrefetch:
    async def test_what_is_popular_is_fetched_before_its_end(self) -> None:
        world = World("prefetch 3 1m 10%", a=said(a(ttl=100)))
        await world.ask()
        for second in (10, 20, 30, 80):
            world.now = START + second
            await world.ask()
        assert len(world.asked) == 1
        world.now = START + 91
        assert told(await world.ask()) == "NOERROR; a.test. 9 A 192.0.2.1"
        await world.settle()
        assert len(world.asked) == 2
        assert (world.asked[1].transport, world.asked[1].client) == ("internal", "")
        assert told(await world.ask()) == "NOERROR; a.test. 100 A 192.0.2.1"

    async def test_not_what_is_asked_for_rarely(self) -> None:
        world = World("prefetch 3 5s 10%", a=said(a(ttl=100)))
        await world.ask()
        for second in (10, 20, 30, 80, 91, 97):
            world.now = START + second
            await world.ask()
        assert len(world.asked) == 1

    async def test_once_at_a_time(self) -> None:
        world = World("prefetch 1", a=said(a(ttl=100)))
        await world.ask()
        gate = world.gate = asyncio.Event()
        world.now += 95
        for _ in range(5):
            await world.ask()
        await asyncio.sleep(0)
        assert len(world.asked) == 2
        gate.set()
        await world.settle()

    async def test_a_failure_leaves_what_is_there(self) -> None:
        world = World("prefetch 1", a=said(a(ttl=100)))
        await world.ask()
        world.set("a.test.", SERVFAIL)
        world.now += 95
        await world.ask()
        await world.settle()
        assert (await world.ask()).rcode == Rcode.NOERROR


class TestStale:
    async def ended(self, options: str, **answers: Answer) -> World:
        world = World(options, **answers)
        await world.ask()
        world.now += 300
        return world

    async def test_immediate(self) -> None:
        world = await self.ended("serve_stale", a=said(a()))
        world.set("a.test.", said(a(address="192.0.2.2")))
        stale = await world.ask()
        assert told(stale) == "NOERROR; a.test. 0 A 192.0.2.1"
        assert [(e.code, e.text) for e in stale.errors] == [
            (ErrorCode.STALE_ANSWER, "ended 1s ago; a newer answer is not to be had")
        ]
        assert stale.keep_until == 0.0
        await world.settle()
        assert told(await world.ask()) == "NOERROR; a.test. 300 A 192.0.2.2"

    async def test_verify(self) -> None:
        world = await self.ended("serve_stale 1h verify", a=said(a()))
        world.set("a.test.", said(a(address="192.0.2.2")))
        assert told(await world.ask()) == "NOERROR; a.test. 300 A 192.0.2.2"

    @pytest.mark.parametrize("mode", ["immediate", "verify"])
    async def test_while_the_source_fails(self, mode: str) -> None:
        world = await self.ended(f"serve_stale 1h {mode}", a=said(a()))
        world.set("a.test.", SERVFAIL)
        for _ in range(3):
            assert told(await world.ask()) == "NOERROR; a.test. 0 A 192.0.2.1"
            await world.settle()
        assert len(world.asked) == 2  # the failure is kept for 5 s: nobody is asked meanwhile

    @pytest.mark.parametrize("mode", ["immediate", "verify"])
    async def test_a_denial_ends_it(self, mode: str) -> None:
        world = await self.ended(f"serve_stale 1h {mode}", a=said(a()))
        world.set("a.test.", NXDOMAIN)
        await world.ask()
        await world.settle()
        assert (await world.ask()).rcode == Rcode.NXDOMAIN

    async def test_verify_hands_on_what_is_newer_and_not_kept(self) -> None:
        """A denial without SOA: RFC 2308 section 5."""
        world = await self.ended("serve_stale 1h verify", a=said(a()))
        world.set("a.test.", said(rcode=Rcode.NXDOMAIN))
        for asked in (2, 3):
            assert told(await world.ask()) == "NXDOMAIN"
            assert len(world.asked) == asked

    async def test_denials_are_never_served_stale(self) -> None:
        for answer in (NXDOMAIN, NODATA, SERVFAIL):
            world = await self.ended("serve_stale", a=answer)
            world.set("a.test.", said(a()))
            assert told(await world.ask()) == "NOERROR; a.test. 300 A 192.0.2.1"

    async def test_no_longer_than_told(self) -> None:
        world = await self.ended("serve_stale 10s", a=said(a()))
        world.now += 10
        world.set("a.test.", SERVFAIL)
        assert (await world.ask()).rcode == Rcode.SERVFAIL

    async def test_verify_waits_no_longer_than_told(self) -> None:
        world = await self.ended("serve_stale 1h verify 10ms 30s", a=said(a()))
        world.set("a.test.", said(a(address="192.0.2.2")))
        gate = world.gate = asyncio.Event()
        assert told(await world.ask()) == "NOERROR; a.test. 30 A 192.0.2.1"
        gate.set()
        await world.settle()
        assert told(await world.ask()) == "NOERROR; a.test. 300 A 192.0.2.2"

    async def test_recheck(self) -> None:
        world = await self.ended("servfail 0\nserve_stale 1h immediate 0s 30s", a=said(a()))
        world.set("a.test.", SERVFAIL)
        for _ in range(3):
            await world.ask()
            await world.settle()
        assert len(world.asked) == 2
        world.now += 30
        await world.ask()
        await world.settle()
        assert len(world.asked) == 3

    @pytest.mark.parametrize("mode", ["immediate", "verify"])
    @pytest.mark.parametrize("denial", [NXDOMAIN, said(rcode=Rcode.NXDOMAIN)])
    async def test_prefer_positive(self, mode: str, denial: Answer) -> None:
        options = f"serve_stale 1h {mode}\nserve_stale_policy prefer_positive"
        world = await self.ended(options, a=said(a()))
        world.set("a.test.", denial)
        for _ in range(2):
            assert told(await world.ask()) == "NOERROR; a.test. 0 A 192.0.2.1"
            await world.settle()


class TestReplyCache:
    """Between the chain and the wire: a hit is cached until a TTL would change."""

    async def test_hits_are_cached_until_the_second_ends(self) -> None:
        with NameServer("a.test. 300 IN A 192.0.2.1") as server:
            async with Block(f"cache\nforward . 127.0.0.1:{server.port}") as block:
                meter = block.metrics.meter("dns://:53", ".")
                served = Served((), block.handler, meter)
                address = Address(Responder("dns://:53", block.metrics, [served]))
                request = b"\0\7\1\0\0\1\0\0\0\0\0\0\1a\4test\0\0\1\0\1"
                first = address.responder.respond(request, "192.0.2.9", 53, "udp")
                assert isinstance(first, Later)
                await first
                assert address.hit(request) is None  # it had waited
                reply = address.ask(request)
                hits = 0
                while (hit := address.hit(request)) is not None:
                    assert hit == reply
                    hits += 1
                    await asyncio.sleep(0.05)
                later = address.ask(request)
                assert int.from_bytes(later[-10:-6]) < int.from_bytes(reply[-10:-6])
                address.cache.report()
                counted = block.series("coredns_cache_hits_total")
                assert counted == {("dns://:53", "success", ".", ""): hits + 2}
                queries = block.series("coredns_cache_requests_total")
                assert queries == {("dns://:53", ".", ""): hits + 3}

    async def test_series(self) -> None:
        with NameServer("a.test. 300 IN A 192.0.2.1") as server:
            async with Block(f"cache test\nforward . 127.0.0.1:{server.port}") as block:
                for text in ("a.test. A", "a.test. A", "b.test. A", "b.test. MX"):
                    await block.answer(text)
                entries = block.series("coredns_cache_entries")
                assert entries == {
                    ("dns://:53", "success", "test.", ""): 1,
                    ("dns://:53", "denial", "test.", ""): 2,
                }
                assert block.series("coredns_cache_misses_total") == {("dns://:53", "test.", ""): 3}
        block.reports.clear()  # nobody asks a chain that is no longer in use
        assert set(block.series("coredns_cache_entries").values()) == {0}
