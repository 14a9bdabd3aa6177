"""The order of the directives, and what a block is told about those it cannot have."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

import kdns.plugins
from kdns.config.printer import to_text
from kdns.plugins import chain, ignored
from kdns.plugins.chain import ORDER, SUPPORTED
from kdns.wire.constants import Rcode
from tests.plugins.chains import Chain, block, refusal
from tests.plugins.peers import Peers, check

NOT_DIRECTIVES = {"authority", "chain", "interface", "log_format", "third_party", "zones"}
"""Modules beside the directives'; a new one is named here, or is a directive in ``ORDER``."""


def modules() -> set[str]:
    """The modules of the package that have both halves of a directive."""
    found = set()
    for info in pkgutil.iter_modules(kdns.plugins.__path__):
        module = import_module(f"kdns.plugins.{info.name}")
        if hasattr(module, "parse") and hasattr(module, "Settings"):
            found.add(info.name)
    return found


def test_every_directive_has_its_place_and_its_module() -> None:
    assert set(SUPPORTED) <= set(ORDER)
    own = set(SUPPORTED) - set(ignored.DIRECTIVES)
    assert modules() - {"ignored"} == own, (
        "one module for each directive, and its line in SUPPORTED"
    )
    assert len(ORDER) == len(set(ORDER))


def test_every_directive_can_be_read() -> None:
    for name, path in SUPPORTED.items():
        shared = "ignored" if name in ignored.DIRECTIVES else name
        assert path == f"kdns.plugins.{shared}"
        assert callable(import_module(path).parse)


def test_the_peers_order() -> None:
    """What its users rely on: who answers before whom."""
    known = "prometheus errors log loadbalance rewrite shortnames autopath cache template hosts"
    names = [*known.split(), "k8s_external", "kubernetes", "file", "auto", "forward", "whoami"]
    assert [name for name in ORDER if name in names] == names


def test_a_blocks_order() -> None:
    text = "whoami\nkubernetes a\nerrors\nlog\nhealth\nshortnames"
    planned = chain.plan(block(text))
    assert planned.order == ("health", "errors", "log", "shortnames", "kubernetes", "whoami")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("federation x", "2: directive federation is gone from CoreDNS; remove it"),
        ("upstream", "2: directive upstream is gone from CoreDNS; remove it"),
        ("kubernetai a", "2: directive kubernetai is gone from CoreDNS; use kubernetes"),
        ("kubernets a", "2: unknown directive 'kubernets'; did you mean kubernetes?"),
        ("qqqqqq", f"2: unknown directive 'qqqqqq'; known are {', '.join(sorted(SUPPORTED))}"),
        (
            "transfer {\nto *\nsource 192.0.2.1\nsource ::1\n}",
            "5: source: 192.0.2.1 is the source already; one line says it",
        ),
        (
            "errors\nerrors",
            "3: errors: is there already (Corefile:2); a server block takes it once",
        ),
        (
            "whoami\nzzzzzz\nerrors x",
            f"3: unknown directive 'zzzzzz'; known are {', '.join(sorted(SUPPORTED))}",
        ),
        ("errors x", "2: errors: takes no argument but 'stdout', got 'x'"),
    ],
)
def test_messages(text: str, message: str) -> None:
    assert refusal(text) == message


def test_a_directive_that_is_not_there_says_so_and_what_to_do() -> None:
    absent = {name: refusal(name) for name in set(ORDER) - set(SUPPORTED)}
    assert absent["erratic"] == "2: directive erratic of CoreDNS is not supported; use fault"
    assert absent["route53"] == "2: directive route53 of CoreDNS is not supported; remove it"
    for name, message in absent.items():
        assert message.startswith(f"2: directive {name} of CoreDNS is not supported; ")


def test_some_stand_more_than_once() -> None:
    planned = chain.plan(block("log\nbind 127.0.0.1\nlog . {\nclass error\n}\nbind ::1"))
    assert len(planned.settings["log"]) == len(planned.settings["bind"]) == 2


FIRST = "there already (Corefile:2); the first line counts, remove the other"
JOINED = "there already (Corefile:2); both are read as one, where they differ this line counts"


@pytest.mark.parametrize(
    ("text", "alone", "warning"),
    [
        ("any\nany", "any", f"Corefile:3: any is {FIRST}"),
        ("bufsize 600\nbufsize 700", "bufsize 600", f"Corefile:3: bufsize is {FIRST}"),
        ("chaos a b\nchaos c", "chaos a b", f"Corefile:3: chaos is {FIRST}"),
        ("reload 5s\nreload 9s", "reload 5s", f"Corefile:3: reload is {FIRST}"),
        ("health :1\nhealth :2", "health :2", f"Corefile:3: health is {JOINED}"),
        (
            "health :1\nhealth {\nlameduck 5s\n}",
            "health :1 {\nlameduck 5s\n}",
            f"Corefile:3: health is {JOINED}",
        ),
        ("autopath a /b\nautopath @kubernetes", "autopath @kubernetes", f"Corefile:3: autopath is {JOINED}"),
        (
            "dns64 {\nallow_ipv4\n}\ndns64 64:ff9b::/96",
            "dns64 64:ff9b::/96 {\nallow_ipv4\n}",
            f"Corefile:5: dns64 is {JOINED}",
        ),
        (
            "loadbalance\nloadbalance round_robin",
            "loadbalance round_robin",
            f"Corefile:3: loadbalance is {JOINED}",
        ),
    ],
)  # fmt: skip
def test_some_count_once(text: str, alone: str, warning: str) -> None:
    """As CoreDNS reads them, so that an import of further lines starts here too; but not in silence."""
    planned, expected = chain.plan(block(text)), chain.plan(block(alone))
    assert to_text([planned.block]) == to_text([expected.block])
    assert [text for text in planned.warnings if text not in expected.warnings] == [warning]


def test_those_without_effect_may_stand_more_than_once() -> None:
    text = "dnstap a.sock\ndnstap b.sock\ntrace"
    assert len(chain.plan(block(text)).warnings) == 3


def test_warnings_of_all_directives() -> None:
    (first, second) = chain.plan(block("kubernetes a {\nupstream\nresyncperiod 5m\n}")).warnings
    assert first.startswith("Corefile:3: kubernetes: upstream ")
    assert second.startswith("Corefile:4: kubernetes: resyncperiod ")


def test_the_end_of_the_chain() -> None:
    answer = Chain(". {\nerrors\n}").ask("web. A")
    assert (answer.rcode, answer.handled) == (Rcode.SERVFAIL, False)
    (error,) = answer.errors
    assert (error.code, error.text) == (
        20,
        "no directive of this server block answers for the name",
    )
    assert Chain(". {\nerrors\n}").ask("web. A", edns=None).errors == ()


@pytest.mark.parametrize(
    ("text", "rcode"),
    [
        ("file zones/db.example.test example.test", Rcode.REFUSED),
        ("auto example.test {\ndirectory zones\n}", Rcode.REFUSED),
        ("secondary example.test {\ntransfer from 192.0.2.1\n}", Rcode.REFUSED),
        ("errors\nfile zones/db.example.test example.test\nwhoami", Rcode.NOERROR),
        ("file zones/db.example.test example.test\nforward other.test 192.0.2.1", Rcode.SERVFAIL),
        ("template IN A example.test", Rcode.SERVFAIL),
    ],
)
def test_a_name_in_no_zone_is_refused_where_only_zones_answer(text: str, rcode: Rcode) -> None:
    """Another server may know, and nothing went wrong here."""
    assert Chain(f". {{\n{text}\n}}\n").ask("web. A").rcode == rcode


ENDS = """
one {
    bind 127.0.0.1
    file FOLDER/db.z.one z.one {
        fallthrough
    }
}
two {
    bind 127.0.0.1
    auto {
        directory FOLDER
    }
}
three {
    bind 127.0.0.1
    auto z.three {
        directory FOLDER
    }
}
four {
    bind 127.0.0.1
    template IN A z.four
}
five {
    bind 127.0.0.1
    whoami
}
"""


def test_ends_of_chains_beside_coredns(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / f"db.z.{name}").write_text(
            "@ 5 SOA ns h 1 2 3 4 5\n@ 5 NS ns\nns 5 A 192.0.2.1\n"
        )
    peers = Peers(ENDS, tmp_path)
    names = ("x.one", "ns.z.one", "x.z.one", "x.two", "x.three", "x.four", "x.z.four", "six")
    intended = {
        "x.z.one A": "fallthrough, and nobody answers: the name does not exist",
        "x.three A": "another server may know, as with file",
    }
    try:
        check(peers, [f"{name} A" for name in names], intended)
        assert peers.ask("kdns", "x.z.one A").startswith("NXDOMAIN AA")
    finally:
        peers.stop()
