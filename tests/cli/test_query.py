# ruff: noqa: E501 (tables: one case, one line)
"""``kdns query``: words in any order, what is printed, and the exit status."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdns.cli import main, query
from kdns.config.tree import ConfigError
from kdns.wire.constants import Type
from tests.fakes.nameserver import NameServer

ROOT = Path(__file__).parents[2]
CLUSTER = str(ROOT / "examples/cluster")
WEB = "web.shop.svc.cluster.local."


@pytest.fixture
def server() -> Iterator[NameServer]:
    records = [
        f"{WEB} 5 IN A 10.0.0.1",
        "www.test. 5 IN CNAME web.test.",
        "web.test. 5 IN A 10.0.0.2",
        "1.0.0.10.in-addr.arpa. 5 IN PTR web.test.",
    ]
    with NameServer(*records, zone="cluster.local.") as running:
        yield running


def run(server: NameServer, *words: str) -> int:
    return main.main(["query", *words, f"@127.0.0.1:{server.port}"])


@pytest.mark.parametrize(
    ("words", "name", "qtypes"),
    [
        ("web", "web", (Type.A, Type.AAAA)),
        ("web SRV", "web", (Type.SRV,)),
        ("srv web", "web", (Type.SRV,)),
        ("in txt web", "web", (Type.TXT,)),
        ("web IN", "web", (Type.A, Type.AAAA)),
        ("web type65", "web", (Type.HTTPS,)),
        ("mx", "mx", (Type.A, Type.AAAA)),
        ("mx mx", "mx", (Type.MX,)),
        ("ns a", "ns", (Type.A,)),
    ],
)
def test_words(words: str, name: str, qtypes: tuple[int, ...]) -> None:
    assert query._name_and_types(words.split()) == (name, qtypes)


@pytest.mark.parametrize("words", ["", "web shop", "a..b", "x" * 64, "ü"])
def test_words_that_are_no_question(words: str) -> None:
    with pytest.raises(ConfigError):
        query._name_and_types(words.split())


def test_each_question_is_told(server: NameServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "web.shop", "-n", "shop") == 0
    lines = [line.split(" (127")[0].strip() for line in capsys.readouterr().out.splitlines()]
    at = f"127.0.0.1:{server.port}"
    assert (
        lines[0]
        == f"; as glibc does: search shop.svc.cluster.local svc.cluster.local cluster.local; ndots 5; asking {at}"
    )
    assert sorted(lines[1:3]) == [
        f"web.shop.shop.svc.cluster.local. {kind}: NXDOMAIN" for kind in ("A", "AAAA")
    ]
    assert f"{WEB} 5 IN A 10.0.0.1" in lines
    assert f"{WEB} AAAA: NODATA" in lines
    assert lines[-2].startswith("; the application gets 10.0.0.1 (4 questions in ")
    assert lines[-1] == f"; 2 questions were about other names; written as {WEB} none would be"


def test_nothing_is_an_error(server: NameServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "nope", "--search", "a.test,b.test") == 1
    out = capsys.readouterr().out.splitlines()
    assert len(server.asked) == 6
    assert out[-1].startswith(
        "; the application gets an error: EAI_NONAME: Name or service not known (6 questions"
    )


def test_short_and_json(server: NameServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "+short", "www.test.") == 0
    assert capsys.readouterr().out == "10.0.0.2\n"
    assert run(server, "nope.test.", "+short") == 1
    assert capsys.readouterr().out == ""
    assert run(server, "www.test.", "--json", "A") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["found"] == ["10.0.0.2"]
    assert document["questions"][0]["answer"] == [
        "www.test. 5 IN CNAME web.test.",
        "web.test. 5 IN A 10.0.0.2",
    ]


def test_whose_address(server: NameServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "-x", "10.0.0.1", "+short") == 0
    assert capsys.readouterr().out == "web.test.\n"
    assert run(server, "10.0.0.1") == 0
    assert "is an address: no question is asked" in capsys.readouterr().out


def test_what_is_cut_comes_by_tcp(server: NameServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.fault = "truncate"
    assert run(server, "web.test.", "A") == 0
    assert " over TCP, " in capsys.readouterr().out


def test_a_server_of_no_use(server: NameServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.fault = "garbled"
    assert run(server, "web.test.", "A", "--attempts", "1", "--timeout", "1") == 1
    assert re.search("unreadable reply: .+; no reply in 1 s", capsys.readouterr().out)


def test_a_resolv_conf(
    server: NameServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\nsearch svc.cluster.local\n")
    assert (
        main.main(
            ["query", "web.shop", "-p", str(server.port), "--resolv-conf", str(path), "+short"]
        )
        == 0
    )
    assert capsys.readouterr().out == "10.0.0.1\n"


def test_a_pod_of_manifests(
    server: NameServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pod.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\n"
        "spec: {dnsConfig: {options: [{name: ndots, value: '1'}]}}\n"
    )
    words = ["--pod", "shop/p", "--manifests", str(tmp_path)]
    assert run(server, "web", *words) == 0
    assert f"ndots 1; asking 127.0.0.1:{server.port}\n" in capsys.readouterr().out
    assert run(server, "web", *words, "--pod", "shop/q") == 1
    assert "there is no Pod shop/q" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["redis-master", "-n", "my-ns"], "172.17.0.6\n"),
        (["redis-master", "--pod", "my-ns/redis-master"], "172.17.0.6\n"),
        (["-x", "172.17.0.6"], "redis-master.my-ns.svc.cluster.local.\n"),
    ],
)
def test_manifests_are_asked_where_no_server_is_named(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["query", *words, "--manifests", CLUSTER, "+short"]) == 0
    assert capsys.readouterr().out == expected


def test_who_made_the_answer_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["nope", "-n", "my-ns", "--manifests", CLUSTER]
    assert main.main(["query", *words]) == 1
    out = capsys.readouterr().out
    assert re.search(rf"asking 127\.0\.0\.1:[1-9]\d+, made from {CLUSTER}\n", out)
    assert "no Service nope in namespace my-ns" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["web", "@a", "@b"], "@b: one server is enough"),
        (["web", "+trace", "@::1"], "+trace: only +short is known here"),
        (["web", "@127.0.0.1:x"], "has no valid port"),
        (["-x", "web", "@::1"], "-x web: not an IP address"),
        (["web", "-x", "10.0.0.1", "@::1"], "'web': either a name or -x ADDRESS"),
        (["wéb", "@::1"], "'wéb' has characters outside ASCII; write it in Punycode (xn--...)"),
        (["web", "@::1", "--ndots", "many"], "--ndots: expected a number, found 'many'"),
        (["web", "@::1", "--search", "a..b"], "search: 'a..b.' has an empty label"),
        (["web", "--resolv-conf", "/nowhere"], "cannot read '/nowhere': No such file or directory"),
        (["web", "-n", "a", "--context", "b"], "name it by --pod NS/NAME"),
        (["web", "-n", "a", "--manifests", "/nowhere"], "/nowhere: No such file or directory"),
        (["web", "shop"], "'shop' is not a record type, and 'web' is the name already. Expected"),
        (["web", "--pod", "web-0"], "--pod: expected NAMESPACE/NAME, found 'web-0'"),
    ],
)
def test_mistakes(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["query", *words]) == 1
    assert expected in capsys.readouterr().err


def test_it_starts_without_the_server() -> None:
    """Importing these takes longer than all the rest."""
    code = "import sys, kdns.cli.main, kdns.cli.query; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert {"aiohttp", "kubernetes", "prometheus_client", "yaml", "watchfiles"}.isdisjoint(
        ran.stdout.split()
    )
