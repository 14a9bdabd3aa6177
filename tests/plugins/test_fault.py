"""Faults: what they do to an answer, that chance can be repeated, and that nothing touched is kept."""

from __future__ import annotations

import asyncio

import pytest

from kdns.plugins.fault import Settings, from_words, parse, wrap
from kdns.wire.constants import Rcode
from kdns.wire.message import FOREVER, Answer, Query
from tests.plugins.chains import Chain, question, refusal, settings

BLOCK = ". {{\n fault shop.test {{\n {0}\n }}\n whoami\n}}\n"


def ask(troubles: str, name: str = "web.shop.test A", **fields: object) -> Answer:
    return Chain(BLOCK.format(troubles)).ask(name, **fields)


@pytest.mark.parametrize(
    ("troubles", "told"),
    [
        ("rcode SERVFAIL", "a fault set on purpose: rcode SERVFAIL"),
        ("rcode refused 100%", "a fault set on purpose: rcode REFUSED"),
        ("truncate", "a fault set on purpose: truncate"),
    ],
)
def test_it_says_what_it_is(troubles: str, told: str) -> None:
    answer = ask(troubles)
    assert [error.text for error in answer.errors] == [told]
    assert ask(troubles, edns=None).errors == ()
    assert answer.keep_until == 0
    assert answer.plugin == "fault"


def test_kinds() -> None:
    assert ask("rcode NXDOMAIN").rcode == Rcode.NXDOMAIN
    assert ask("drop").silent
    assert ask("truncate").truncated
    assert not ask("truncate", transport="tcp").truncated
    assert ask("rcode NXDOMAIN\ndrop").silent, "what is dropped has no code"


@pytest.mark.parametrize("name", ["shop.test A", "WEB.shop.test A", "a.b.shop.test AAAA"])
def test_names_below(name: str) -> None:
    assert ask("drop", name).silent


def test_others_are_left_alone() -> None:
    for name in ("test A", "ashop.test A", "web.other A"):
        assert not ask("drop", name).silent
    assert not ask("drop", transport="internal", client="").silent


async def test_delay() -> None:
    started = asyncio.get_running_loop().time()
    setting = parse(from_words(["test", "delay", "30ms"]))
    answer = await wrap(setting, _forever)(question("web.test A"))
    assert asyncio.get_running_loop().time() - started >= 0.03
    assert answer.keep_until == 0, "the next one is to be late as well"


async def _forever(query: Query) -> Answer:
    return Answer(keep_until=FOREVER)


def test_chance_can_be_repeated() -> None:
    def run(seed: int) -> list[bool]:
        chain = Chain(BLOCK.format(f"drop 30%\nseed {seed}"))
        return [chain.ask("web.shop.test A").silent for _ in range(200)]

    assert run(1) == run(1) != run(2)
    assert 30 < sum(run(1)) < 90
    chain = Chain(BLOCK.format("drop 0%"))
    assert chain.ask("web.shop.test A").keep_until == 0, "or chance would be asked once only"


def test_it_is_in_front_of_the_cache() -> None:
    text = ". {\n cache\n fault test {\n drop\n }\n whoami\n}\n"
    assert Chain(text).block.directives[1].name == "fault"
    assert Chain(text).ask("a.test A").silent


@pytest.mark.parametrize(
    "line", ["shop.test. delay 200ms 10% rcode SERVFAIL drop 0.5% seed 7", ". truncate"]
)
def test_text(line: str) -> None:
    assert str(parse(from_words(line.split()))) == line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("fault", "2: fault: takes exactly one argument, got 0"),
        ("fault a", "2: fault: nothing goes wrong; say which of delay, drop, rcode, truncate"),
        ("fault a {\nexplode\n}", "3: explode: not an option of fault; expected delay, drop, "),
        ("fault a {\ndelay\n}", "3: delay: expected delay DURATION and maybe a share such as 10%"),
        ("fault a {\ndelay 2h\n}", "3: delay: 60 seconds are the most"),
        ("fault a {\ndelay -1s\n}", "3: delay: cannot be negative"),
        ("fault a {\ndrop 101%\n}", "3: drop: expected drop and maybe a share such as 10%"),
        ("fault a {\nrcode 2\n}", "3: rcode: expected a response code such as SERVFAIL, not '2'"),
        ("fault a {\ndrop\nseed x\n}", "4: seed: expected a number from 0 to 999999999"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    assert refusal(text).startswith(reason)


def test_settings() -> None:
    found = settings("fault a {\n drop 5%\n}")
    assert isinstance(found, Settings)
    assert found.name == ("a",)
