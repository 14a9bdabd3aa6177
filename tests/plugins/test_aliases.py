"""Chains of aliases within directives and across directives and blocks: length, loops, ends, dependencies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import cycle, islice
from pathlib import Path

import dns.asyncquery
import dns.message
import pytest

from kdns.records.objects import Kind, Namespace, Object, Put, Service
from kdns.wire.aliases import MAX_ALIASES
from kdns.wire.constants import Rcode, Type
from kdns.wire.message import FOREVER, Answer, Query
from kdns.wire.names import Name, from_text, wire_to_text
from tests.cluster.processes import free_dns_port
from tests.plugins.chains import Chain, question, told
from tests.plugins.peers import Peers, check
from tests.server.running import InProcess
from tests.waiting import until

HEAD = "$TTL 60\n@ SOA ns hostmaster 1 2 3 4 30\n@ NS ns\n"
END = "end.hosts.test."
"""Has an address."""
ZONES = {
    "kubernetes": "shop.svc.cluster.local.",
    "k8s_external": "shop.external.test.",
    "file": "file.test.",
    "template": "template.test.",
    "rewrite": "rewrite.test.",
}
"""By directive, where its aliases are."""


class Block(Chain):
    """A server block among others."""

    def __init__(self, servers: Servers, zone: str, text: str, objects: Iterable[Object]) -> None:
        self.servers = servers
        super().__init__(f"{zone} {{\n{text}\n}}\n", objects)

    async def resolve(self, query: Query) -> Answer:
        self.servers.resolved.append(query)
        return await self.servers.answer(query)


class Servers:
    """A server of several blocks."""

    def __init__(self, blocks: Mapping[str, str], objects: Iterable[Object] = ()) -> None:
        self.resolved: list[Query] = []
        """What its directives asked."""
        found = (Namespace("shop"), *objects)
        self.blocks = {
            from_text(zone): Block(self, zone, text, found) for zone, text in blocks.items()
        }

    async def answer(self, query: Query) -> Answer:
        for labels in range(len(query.name) + 1):
            if block := self.blocks.get(query.name[labels:]):
                return await block.handler(query)
        return Answer(Rcode.REFUSED, authoritative=False, handled=False)

    def ask(self, text: str) -> Answer:
        query = question(text)
        zone: Name = next(z for n in range(9) if (z := query.name[n:]) in self.blocks)
        return self.blocks[zone].ask(text)

    def files_changed(self, zone: str) -> None:
        """Have a block's text files read again."""
        for file in self.blocks[from_text(zone)].files:
            file.load()


def name_of(directive: str, at: int) -> str:
    return f"a{at}.{ZONES[directive]}"


def serve(folder: Path, aliases: Mapping[tuple[str, int], str], together: bool = False) -> Servers:
    """A server where these are the aliases, by directive and number; in one block or in one for each zone."""
    of: dict[str, list[tuple[int, str]]] = {directive: [] for directive in ZONES}
    for (directive, at), target in aliases.items():
        of[directive].append((at, target))
    (folder / "hosts").write_text(f"192.0.2.7 {END}\n")
    lines = [f"a{at} CNAME {target}\n" for at, target in of["file"]]
    (folder / "file").write_text(HEAD + "".join(lines))
    # The alias in the file leads to a name that has nothing; where it is to lead the rule says.
    lines = [f"a{at} CNAME old{at}\n" for at, _ in of["rewrite"]]
    (folder / "rewrite").write_text(HEAD + "".join(lines))
    rules = [f"rewrite continue cname old{at}.rewrite.test. {to}\n" for at, to in of["rewrite"]]
    templates = "".join(
        f'template IN ANY template.test {{\nmatch "^a{at}[.]"\nanswer "{{{{ .Name }}}} 60 CNAME {to}"\n'
        "fallthrough\n}\n"
        for at, to in of["template"]
    )
    cluster = "k8s_external external.test\nkubernetes cluster.local\n"
    blocks = {
        "hosts.test": f"hosts {folder}/hosts {{\nfallthrough\n}}\n",
        "fail.test": "template IN ANY fail.test {\nrcode SERVFAIL\n}\n",
        "cluster.local": cluster,
        "external.test": cluster,
        "file.test": f"file {folder}/file\n",
        "rewrite.test": f"{''.join(rules)}file {folder}/rewrite\n",
        "template.test": f"{templates}template IN ANY template.test {{\nrcode NXDOMAIN\n}}\n",
    }
    if together:
        of_zones = f"file {folder}/file file.test\nfile {folder}/rewrite rewrite.test\n"
        hosts = f"hosts {folder}/hosts {{\nfallthrough\n}}\n"
        blocks = {".": "".join([*rules, templates, hosts, cluster, of_zones])}
    objects = [Service("shop", f"a{at}", external_name=to[:-1]) for at, to in of["kubernetes"]]
    objects += [
        Service("shop", f"a{at}", cluster_ips=("10.0.0.1",), ingress=(to[:-1],))
        for at, to in of["k8s_external"]
    ]
    return Servers(blocks, objects)


def chain(directives: Iterable[str], length: int, end: str = END) -> dict[tuple[str, int], str]:
    """So many aliases, of these directives in turn, one leading to the next and the last one to ``end``."""
    kinds = list(islice(cycle(directives), length))
    targets = [*(name_of(kind, at) for at, kind in enumerate(kinds[1:], 1)), end]
    return {(kind, at): to for at, (kind, to) in enumerate(zip(kinds, targets, strict=True))}


def aliases_in(answer: Answer) -> list[tuple[str, str]]:
    records = [record for record in answer.answer if record.rtype == Type.CNAME]
    return [(wire_to_text(one.owner), wire_to_text(one.rdata)) for one in records]


def reasons(answer: Answer) -> list[str]:
    return [error.text for error in answer.errors]


ONE = {directive: (directive,) for directive in ZONES}
MIXED = {
    "two": ("kubernetes", "file"),
    "there and back": ("kubernetes", "file", "template", "kubernetes"),
    "all": tuple(ZONES),
    "runs": ("file", "file", "file", "kubernetes", "kubernetes", "rewrite"),
}
WAYS = pytest.mark.parametrize("directives", [*ONE.values(), *MIXED.values()], ids=[*ONE, *MIXED])
TOGETHER = pytest.mark.parametrize("together", [False, True], ids=["blocks", "one block"])


@TOGETHER
@WAYS
@pytest.mark.parametrize("length", [1, 2, 9, 10, 11, 12, 13, 40])
def test_a_chain(tmp_path: Path, directives: tuple[str, ...], length: int, together: bool) -> None:
    aliases = chain(directives, length)
    answer = serve(tmp_path, aliases, together).ask(f"{name_of(directives[0], 0)} A")
    expected = [(name_of(kind, at), to) for (kind, at), to in aliases.items()]
    if length <= MAX_ALIASES:
        assert answer.rcode == Rcode.NOERROR
        assert aliases_in(answer) == expected
        assert answer.answer[-1].rdata == bytes((192, 0, 2, 7))
        assert len(answer.answer) == length + 1
        assert reasons(answer) == []
    else:
        assert answer.rcode == Rcode.SERVFAIL
        assert aliases_in(answer) == expected[: MAX_ALIASES + 1]
        assert len(answer.answer) == MAX_ALIASES + 1
        assert Type.SOA not in [record.rtype for record in answer.authority], "it denies nothing"
        assert len(answer.errors) == 1
        assert "more than 11 aliases" in reasons(answer)[0]


@TOGETHER
@WAYS
@pytest.mark.parametrize("before", [0, 1, 3], ids=["itself", "one before", "three before"])
@pytest.mark.parametrize("length", [1, 2, 5, 11])
def test_a_loop(
    tmp_path: Path, directives: tuple[str, ...], length: int, before: int, together: bool
) -> None:
    total = length + before
    kinds = list(islice(cycle(directives), total))
    aliases = chain(directives, total, name_of(kinds[before], before))
    answer = serve(tmp_path, aliases, together).ask(f"{name_of(directives[0], 0)} A")
    expected = [(name_of(kind, at), to) for (kind, at), to in aliases.items()]
    assert Type.SOA not in [record.rtype for record in answer.authority], "it denies nothing"
    assert len(answer.errors) == 1
    if total <= MAX_ALIASES + 1:
        assert answer.rcode == Rcode.NOERROR
        assert aliases_in(answer) == expected
        assert len(answer.answer) == total
        assert f"the aliases form a loop of {length}: a{before}." in reasons(answer)[0]
    else:
        assert answer.rcode == Rcode.SERVFAIL
        assert aliases_in(answer) == expected[: MAX_ALIASES + 1]


@pytest.mark.parametrize("directive", ZONES)
def test_a_loop_is_named(tmp_path: Path, directive: str) -> None:
    first, second = name_of(directive, 0), name_of(directive, 1)
    server = serve(tmp_path, chain((directive,), 2, first))
    assert (
        f"the aliases form a loop of 2: {first} -> {second} -> {first}"
        in (reasons(server.ask(f"{first} A"))[0])
    )
    assert server.ask(f"{first.upper()} A").rcode == Rcode.NOERROR


def test_a_loop_by_way_of_a_name_that_is_rewritten(tmp_path: Path) -> None:
    """No name of it is the client's: the names that aliases lead to are what comes again."""
    (tmp_path / "zone").write_text(f"{HEAD}b CNAME a\n")
    server = Servers({"x.test": f"rewrite name a.x.test b.x.test\nfile {tmp_path}/zone x.test\n"})
    answer = server.ask("a.x.test. A")
    assert answer.rcode == Rcode.NXDOMAIN, "inside of the zone nothing is rewritten"
    (tmp_path / "zone").write_text(f"{HEAD}b CNAME a.y.test.\n")
    server = Servers(
        {
            "x.test": f"file {tmp_path}/zone x.test\n",
            "y.test": f"rewrite name a.y.test b.x.test\nfile {tmp_path}/zone x.test\n",
        }
    )
    answer = server.ask("a.y.test. A")
    assert answer.rcode == Rcode.NOERROR
    assert reasons(answer) == ["the aliases form a loop of 1: a.y.test. -> a.y.test."]
    assert len(server.resolved) < 3


@pytest.mark.parametrize("directive", ZONES)
@pytest.mark.parametrize("qtype", ["CNAME", "ANY"])
def test_a_query_for_the_alias_itself_follows_none(
    tmp_path: Path, directive: str, qtype: str
) -> None:
    server = serve(tmp_path, chain((directive,), 3))
    answer = server.ask(f"{name_of(directive, 0)} {qtype}")
    assert (answer.rcode, len(answer.answer)) == (Rcode.NOERROR, 1)
    assert not server.resolved
    if qtype == "CNAME":
        assert aliases_in(answer) == [(name_of(directive, 0), name_of(directive, 1))]


@pytest.mark.parametrize("directive", ZONES)
@pytest.mark.parametrize(
    ("target", "rcode", "soa"),
    [
        ("none.file.test.", Rcode.NXDOMAIN, "file.test."),
        ("none.shop.svc.cluster.local.", Rcode.NXDOMAIN, "cluster.local."),
        ("file.test.", Rcode.NOERROR, "file.test."),
        ("x.fail.test.", Rcode.SERVFAIL, ""),
        ("x.nowhere.test.", Rcode.NOERROR, ""),
        ("none.hosts.test.", Rcode.NOERROR, ""),
    ],
)
@pytest.mark.parametrize("length", [1, 3])
def test_the_end_decides_the_response_code(
    tmp_path: Path, directive: str, target: str, rcode: int, soa: str, length: int
) -> None:
    """RFC 6604 section 3; the SOA of a denial is that of the end (RFC 2308 section 2)."""
    aliases = chain((directive,), length, target)
    answer = serve(tmp_path, aliases).ask(f"{name_of(directive, 0)} A")
    assert answer.rcode == rcode
    assert len(answer.answer) == length == len(aliases_in(answer))
    found = [record for record in answer.authority if record.rtype == Type.SOA]
    assert [wire_to_text(record.owner) for record in found] == ([soa] if soa else [])


@pytest.mark.parametrize("directive", ZONES)
@pytest.mark.parametrize("length", [1, 3])
def test_a_negative_part_is_depended_on(tmp_path: Path, directive: str, length: int) -> None:
    """A hosts file that is asked in vain: once it has the name, the answer is another one."""
    server = serve(tmp_path, chain((directive,), length, "late.hosts.test."))
    asked = f"{name_of(directive, 0)} A"
    before = server.ask(asked)
    (tmp_path / "hosts").write_text("192.0.2.9 late.hosts.test.\n")
    server.files_changed("hosts.test")
    after = server.ask(asked)
    assert told(before) != told(after)
    assert after.answer[-1].rdata == bytes((192, 0, 2, 9))
    assert ("file", f"{tmp_path}/hosts") in before.keys & after.keys


@pytest.mark.parametrize("directive", ZONES)
def test_a_part_that_is_for_one_client_is_not_cached_for_others(
    tmp_path: Path, directive: str
) -> None:
    server = serve(tmp_path, chain((directive,), 1, "x.whoami.test."))
    server.blocks[from_text("whoami.test")] = Block(
        server, "whoami.test", 'template IN A {\nanswer "{{ .Name }} 1 A {{ .Remote }}"\n}', ()
    )
    answer = server.ask(f"{name_of(directive, 0)} A")
    assert (answer.keep_until, answer.answer[-1].rdata) == (0.0, bytes((10, 0, 0, 9)))


def test_a_template_that_has_the_target_itself_asks_nobody() -> None:
    lines = 'answer "{{ .Name }} 60 CNAME b.test."\nanswer "b.test. 60 A 192.0.2.1"'
    server = Servers({"a.test": f"template IN A {{\n{lines}\n}}"})
    answer = server.ask("a.test. A")
    assert told(answer) == "NOERROR; a.test. 60 CNAME b.test.; b.test. 60 A 192.0.2.1"
    assert not server.resolved


def test_dnames_count(tmp_path: Path) -> None:
    """RFC 6672 section 3.1: the CNAME that is made from one is followed as another is."""
    lines = "".join(f"d{at} DNAME d{at + 1}\n" for at in range(20))
    (tmp_path / "zone").write_text(f"{HEAD}{lines}x.d20 A 192.0.2.1\n")
    server = Servers({"x.test": f"file {tmp_path}/zone x.test\n"})
    answer = server.ask("x.d9.x.test. A")
    assert (answer.rcode, len(aliases_in(answer))) == (Rcode.NOERROR, 11)
    answer = server.ask("x.d8.x.test. A")
    assert (answer.rcode, len(aliases_in(answer))) == (Rcode.SERVFAIL, 12)


def test_a_target_that_is_not_yet_known_is_not_denied() -> None:
    alias = Service("shop", "in", external_name="none.shop.svc.cluster.local")
    server = Servers({".": "kubernetes cluster.local"}, [alias])
    block = server.blocks[()]
    assert server.ask("in.shop.svc.cluster.local. A").rcode == Rcode.NXDOMAIN
    block.index.synced.discard(Kind.SERVICE)
    block.status.resources["services"].synced = False
    answer = server.ask("in.shop.svc.cluster.local. A")
    assert (answer.rcode, answer.keep_until) == (Rcode.SERVFAIL, 0.0)
    assert "not synced yet" in reasons(answer)[-1]


# ---- the serial in a cached denial


@pytest.mark.parametrize(
    ("name", "ttl", "seconds"),
    [
        ("none.shop.svc.cluster.local. A", 5, 5),
        ("web.shop.svc.cluster.local. TXT", 30, 30),
        ("web.shop.svc.cluster.local. TXT", 0, 1),
        ("web.shop.svc.cluster.local. TXT", 3600, 300),
        ("in.shop.svc.cluster.local. TXT", 30, 30),
        ("none.external.test. A", 5, 5),
        ("web.shop.svc.cluster.local. AAAA", 30, 30),
    ],
)
def test_a_serial_lags_by_the_negative_ttl_at_most(
    name: str, ttl: int, seconds: int, clock: float
) -> None:
    """Not dropped at every change in the cluster, a denial shows the serial for as long as in a resolver."""
    web = Service("shop", "web", cluster_ips=("10.0.0.1",))
    alias = Service("shop", "in", external_name="web.shop.svc.cluster.local")
    text = f"no_aaaa\nk8s_external external.test\nkubernetes cluster.local {{\nttl {ttl}\n}}"
    server = Servers({".": text}, [web, alias])
    answer = server.ask(name)
    assert [record.rtype for record in answer.authority] == [Type.SOA]
    assert answer.keep_until == clock + seconds
    assert ("serial",) not in answer.keys
    assert server.ask("web.shop.svc.cluster.local. A").keep_until == FOREVER
    server.blocks[()].index.apply(
        Put(Service("shop", "new", cluster_ips=("10.0.0.2",))), server.blocks[()].now()
    )
    assert server.ask(name).authority != answer.authority


def test_the_soa_itself_is_never_stale() -> None:
    server = Servers({".": "k8s_external external.test\nkubernetes cluster.local"})
    for zone in ("cluster.local.", "external.test."):
        answer = server.ask(f"{zone} SOA")
        assert answer.keep_until == FOREVER
        assert answer.keys == {("serial",)}


def test_without_aaaa_a_zones_apex_denies_with_its_soa(tmp_path: Path) -> None:
    (tmp_path / "zone").write_text(f"{HEAD}@ A 192.0.2.1\n")
    server = Servers({".": f"no_aaaa\nfile {tmp_path}/zone x.test"})
    answer = server.ask("x.test. AAAA")
    assert [(record.rtype, record.ttl) for record in answer.authority] == [(Type.SOA, 30)]
    assert ("zone", "x.test.") in answer.keys


# ---- over the network, replies cached


async def test_a_hosts_file_that_gets_the_target_of_an_alias(tmp_path: Path) -> None:
    """The alias is another block's, which ``rewrite`` leads to a name that no directive has yet."""
    (tmp_path / "zone").write_text(f"{HEAD}www CNAME old\n")
    (tmp_path / "hosts").write_text("192.0.2.1 other.hosts.test\n")
    port = free_dns_port()
    running = InProcess(
        f"a.test:{port} {{\nbind 127.0.0.1\nrewrite cname exact old.a.test. late.hosts.test.\n"
        f"file {tmp_path}/zone\n}}\nhosts.test:{port} {{\nbind 127.0.0.1\n"
        f"hosts {tmp_path}/hosts {{\nreload 50ms\nfallthrough\n}}\n}}\n"
    )
    await running.start()
    try:
        query = dns.message.make_query("www.a.test.", "A", id=7)

        async def answer() -> list[str]:
            reply = await dns.asyncquery.udp(query, "127.0.0.1", 10, port)
            return [str(rdata) for rrset in reply.answer for rdata in rrset]

        for _ in range(3):
            assert await answer() == ["late.hosts.test."]
        assert len(running.endpoint.cache), "else nothing could be stale"
        (tmp_path / "hosts").write_text("192.0.2.9 late.hosts.test\n")

        async def is_there() -> bool:
            return await answer() == ["late.hosts.test.", "192.0.2.9"]

        await until(is_there)
        (tmp_path / "hosts").write_text("192.0.2.9 other.hosts.test\n")

        async def is_gone() -> bool:
            return await answer() == ["late.hosts.test."]

        await until(is_gone)
    finally:
        await running.stop()


# ---- CoreDNS beside it; chains in a cluster are among the conformance cases

LONG = 13
COREFILE = """
zone.test {
    bind 127.0.0.1
    file FOLDER/zone
}
odd.test {
    bind 127.0.0.1
    file FOLDER/odd
}
even.test {
    bind 127.0.0.1
    file FOLDER/even
}
template.test {
    bind 127.0.0.1
    TEMPLATES
}
"""
TEMPLATE = """template IN A {
    match "^aNUMBER[.]"
    answer "{{ .Name }} 60 VALUE"
    fallthrough
}
"""
CUT = "CoreDNS has other limits in a zone, between zones, and none in template"
ONE_LIMIT = {
    **{f"a{length}.zone.test A +tcp": CUT for length in (10, 11, 12, 13)},
    **{f"a{length}.odd.test A +tcp": CUT for length in (9, 11, 13)},
    **{f"a{length}.even.test A +tcp": CUT for length in (10, 12)},
    **{f"a{length}.template.test A +tcp": CUT for length in (12, 13)},
    "self.zone.test A": "CoreDNS has SERVFAIL for this loop",
    "ping.zone.test A": "CoreDNS repeats the CNAMEs of a loop",
}


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    folder = tmp_path_factory.mktemp("aliases")
    base = f"{HEAD}a0 A 192.0.2.1\n"
    steps = range(1, LONG + 1)
    loops = "self CNAME self\nping CNAME pong\npong CNAME ping\n"
    lines = "".join(f"a{at} CNAME a{at - 1}\n" for at in steps)
    (folder / "zone").write_text(base + lines + loops)
    for zone, other in (("odd", "even"), ("even", "odd")):
        lines = "".join(f"a{at} CNAME a{at - 1}.{other}.test.\n" for at in steps)
        (folder / zone).write_text(base + lines)
    data = ["A 192.0.2.1", *(f"CNAME a{at - 1}.template.test." for at in steps)]
    templates = [
        TEMPLATE.replace("NUMBER", str(at)).replace("VALUE", one) for at, one in enumerate(data)
    ]
    running = Peers(COREFILE.replace("TEMPLATES", "".join(templates)), folder)
    yield running
    running.stop()


def test_same_as_coredns(peers: Peers) -> None:
    zones = ("zone", "odd", "even", "template")
    lengths = {"odd": range(1, LONG + 1, 2), "even": range(2, LONG + 1, 2)}
    questions = [
        f"a{length}.{zone}.test A +tcp"
        for zone in zones
        for length in lengths.get(zone, range(LONG + 1))
    ]
    check(peers, [*questions, "self.zone.test A", "ping.zone.test A"], ONE_LIMIT)
