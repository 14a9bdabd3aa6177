"""``view``: which block a question goes to, beside CoreDNS; what is kept then; metadata in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import dns.asyncquery
import dns.message
import pytest

from kdns.config import corefile
from kdns.config.tree import ConfigError
from tests.cluster.processes import free_dns_port
from tests.plugins.chains import refusal
from tests.plugins.peers import Peers, check
from tests.server.running import InProcess


def block(answer: str, view: str = "", zone: str = "test") -> str:
    return f'{zone} {{\n{view}\ntemplate ANY ANY {{\nanswer "{{{{ .Name }}}} 60 IN TXT {answer}"\n}}\n}}\n'


def view(*expressions: str, name: str = "v") -> str:
    return f"view {name} {{\n" + "".join(f"expr {each}\n" for each in expressions) + "}"


COREFILE = (
    block("tcp", view("proto() == 'tcp'"))
    + block("mx", view("type() in ['MX', 'SRV']"))
    + block("both", view("name() startsWith 'a'", "name() matches '^a.*b\\\\.test\\\\.$'"))
    + block("near", view("incidr(client_ip(), '127.0.0.0/8') and name() == 'near.test.'"))
    + block("far", view("incidr(client_ip(), '192.0.2.0/24')"))
    + block("fails", view("[1][5] == 1"))
    + block("edns", view("bufsize() > 512"))
    + block("rest")
    + block("inner", view("name() == 'x.sub.test.'"), "sub.test")
    + block("other", view("type() == 'A'"), "other")
)
QUESTIONS = (
    *("a.test TXT", "a.test TXT +tcp", "a.test MX", "ab.test TXT", "axb.test SRV", "b.test TXT"),
    *("near.test TXT", "NEAR.test TXT", "x.test TXT +edns=1232", "test TXT"),
    *("x.sub.test TXT", "y.sub.test TXT", "x.other A", "x.other TXT", "elsewhere TXT"),
)


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    server = Peers(COREFILE, tmp_path_factory.mktemp("view"))
    yield server
    server.stop()


def test_beside_coredns(peers: Peers) -> None:
    check(peers, QUESTIONS, {})
    assert "rest" in peers.ask("kdns", "b.test TXT")
    assert "near" in peers.ask("kdns", "near.test TXT")


class Running(InProcess):
    """A server in this process; ``ask`` sends the same octets each time."""

    async def ask(
        self,
        name: str,
        source: str = "127.0.0.1",
        kind: str = "TXT",
        *,
        server: str = "127.0.0.1",
        tcp: bool = False,
    ) -> str:
        query = dns.message.make_query(name, kind, id=7)
        port = self.endpoint.address.port
        exchange = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        reply = await exchange(query, server, 30, port, source=source)
        return " ".join(item.to_text() for rrset in reply.answer for item in rrset).replace('"', "")

    @property
    def hits(self) -> int:
        return self.endpoint.cache.hits


@pytest.fixture
async def run() -> AsyncIterator[type[Running]]:
    servers: list[Running] = []

    class Noted(Running):
        def __init__(self, text: str) -> None:
            super().__init__(text)
            servers.append(self)

    yield Noted
    for each in servers:
        assert await each.stop() == 0


def bound(*blocks: str, host: str = "127.0.0.1") -> str:
    key = f"test:{free_dns_port()} {{\nbind {host}"
    return "".join(blocks).replace("test {", key)


async def test_what_an_asker_gets_no_other_gets(run: type[Running]) -> None:
    far = view("incidr(client_ip(), '127.0.0.2/32')")
    server = run(bound(block("far", far), block("near")))
    await server.start()
    for _ in range(3):
        assert await server.ask("a.test.") == "near"
        assert await server.ask("a.test.", "127.0.0.2") == "far"
    assert server.hits == 0


@pytest.mark.parametrize("tcp", [False, True], ids=["UDP", "TCP"])
async def test_the_address_queried_is_that_of_each_query(run: type[Running], tcp: bool) -> None:
    """Not that of the socket, which is bound to every address, nor the one the route to the client has."""
    second = view("server_ip() == '127.0.0.2'")
    server = run(bound(block("second", second), block("rest"), host="0.0.0.0"))
    await server.start()
    for _ in range(3):
        assert await server.ask("a.test.", server="127.0.0.2", tcp=tcp) == "second"
        assert await server.ask("a.test.", server="127.0.0.3", tcp=tcp) == "rest"
    assert server.hits == 0


async def test_what_the_question_decides_is_kept(run: type[Running]) -> None:
    server = run(bound(block("one", view("name() == 'one.test.'")), block("rest")))
    await server.start()
    for _ in range(3):
        assert await server.ask("one.test.") == "one"
        assert await server.ask("two.test.") == "rest"
    assert server.hits == 4


async def test_blocks_before_a_view_of_the_asker_are_kept(run: type[Running]) -> None:
    """Only what comes after it in the Corefile depends on the asker."""
    first, second = view("type() == 'TXT'"), view("client_ip() == '127.0.0.2'")
    server = run(bound(block("first", first), block("second", second), block("rest")))
    await server.start()
    for _ in range(2):
        assert await server.ask("a.test.") == "first"
        assert await server.ask("a.test.", kind="SRV") == "rest"
        assert await server.ask("a.test.", "127.0.0.2", "SRV") == "second"
    assert server.hits == 1


async def test_series_have_the_name_of_the_view(run: type[Running]) -> None:
    server = run(bound(block("one", view("type() == 'MX'", name="mail")), block("rest")))
    await server.start()
    await server.ask("a.test.", kind="MX")
    text = server.server.core.metrics.expose().decode()
    (endpoint,) = server.server.core.sockets
    where = f'server="dns://{endpoint.address}"'
    assert 'type="MX",view="mail",zone="test."} 1.0' in text
    assert f'name="template",{where},view="mail",zone="test."}} 1.0' in text
    assert f'name="template",{where},view="",zone="test."}} 1.0' in text


async def test_its_name_is_metadata(run: type[Running]) -> None:
    told = 'template ANY ANY {\nanswer "{{ .Name }} 60 IN TXT <{{ .Meta \\"view/name\\" }}>"\n}\n'
    server = run(bound(f"test {{\nmetadata\n{view(name='mine')}\n{told}}}\n"))
    await server.start()
    assert await server.ask("a.test.") == "<mine>"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("view", "2: view: takes exactly one argument, got 0"),
        ("view a b", "2: view: takes exactly one argument, got 2"),
        ("view a {\nfoo bar\n}", "3: foo: unknown option of view; expected expr EXPRESSION"),
        ("view a {\nexpr\n}", "3: expr: expected an expression"),
        (
            "view a {\nexpr invalid expression\n}",
            "3: expr: unknown name 'invalid'; did you mean in",
        ),
        ("view a\nview b", "3: view: is there already"),
    ],
)
def test_refusals(text: str, reason: str) -> None:
    assert reason in refusal(text)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (block("a", view()) + block("b", view()) + block("c"), ""),
        (block("a") + block("b", view()), ""),
        (
            block("a", view()) + block("b") + block("c"),
            "Corefile:14: test.:53 is already served by the block at Corefile:8",
        ),
        (
            block("a", "bind 127.0.0.1") + block("b", view()),
            "test.:53 is already served by the block at Corefile:1",
        ),
    ],
)
def test_the_same_zone_in_several_blocks(text: str, refused: str) -> None:
    if not refused:
        assert corefile.parse(text, "Corefile")
        return
    with pytest.raises(ConfigError) as caught:
        corefile.parse(text, "Corefile")
    assert refused in str(caught.value)


def test_a_block_that_is_never_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from kdns.metrics import Metrics
    from kdns.server import generation

    plans = generation.plan(corefile.parse(block("a") + block("b", view()), "Corefile"))
    generation.Generation(plans, {}, Metrics(), lambda keys: None)
    assert "Corefile:7: test. is never asked; the block at Corefile:1 has no view" in caplog.text
