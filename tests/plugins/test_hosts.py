# ruff: noqa: E501, ASYNC240  (a table row per case reads best on one line; local files are quick)
"""``hosts``: its options, what it answers, changes of the file, and CoreDNS beside it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdns.plugins import hosts
from kdns.plugins.hosts.table import read
from kdns.plugins.interface import file_key
from kdns.plugins.zones import Fallthrough
from kdns.wire.message import FOREVER
from tests.plugins.chains import Chain, question, refusal, settings, told
from tests.plugins.peers import Peers, check, wait_until
from tests.waiting import until

ROOT = Fallthrough(((),))

SETTINGS = {
    "alone": ("hosts", hosts.Settings()),
    "file": ("hosts f", hosts.Settings("f")),
    "zones": ("hosts f org 10.0.0.0/15", hosts.Settings("f", (("org",), ("0", "10", "in-addr", "arpa"), ("1", "10", "in-addr", "arpa")))),
    "k3s": ("hosts f {\nttl 60\nreload 15s\nfallthrough\n}", hosts.Settings("f", ttl=60, reload=15, fallthrough=ROOT)),
    "minikube": ("hosts {\n192.168.49.1 host.minikube.internal\nfallthrough\n}", hosts.Settings(inline="192.168.49.1 host.minikube.internal\n", fallthrough=ROOT)),
    "everything": ("hosts f {\n::1 a b\nno_reverse\nreload 0\nfallthrough org\nfallthrough_unsupported\n}", hosts.Settings("f", (), "::1 a b\n", reverse=False, reload=0, fallthrough=Fallthrough((("org",),)), other_types_pass=True)),
    "words that are nothing": ("hosts {\nttl60\n}", hosts.Settings(inline="ttl60\n", warnings=("Corefile:3: hosts: 'ttl60' has no effect: neither an option nor a line that begins with an address",))),
    "more words": ("hosts {\nttl 7 s\nno_reverse at all\n}", hosts.Settings(ttl=7, reverse=False)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings(text: str, expected: hosts.Settings) -> None:
    assert settings(text) == expected


REFUSED = {
    "ttl without": ("hosts {\nttl\n}", "3: ttl: expected seconds from 1 to 65535, got ''"),
    "ttl 0": ("hosts {\nttl 0\n}", "3: ttl: expected seconds from 1 to 65535, got '0'"),
    "ttl large": ("hosts {\nttl 65536\n}", "3: ttl: expected seconds from 1 to 65535, got '65536'"),
    "ttl text": ("hosts {\nttl 5s\n}", "3: ttl: expected seconds from 1 to 65535, got '5s'"),
    "reload without": ("hosts {\nreload\n}", "3: reload: takes exactly one argument, got 0"),
    "reload text": ("hosts {\nreload 5\n}", "3: reload: '5' is not a duration; write it as in 5s, 250ms, 1h30m"),
    "reload negative": ("hosts {\nreload -5s\n}", "3: reload: cannot be negative, got -5s"),
    "after fallthrough": ("hosts {\nfallthrough\n10.0.0.1 a\n}", "4: 10.0.0.1: unknown option of hosts; known are ttl, no_reverse, reload, fallthrough, fallthrough_unsupported; hosts go before fallthrough"),
    "unsupported alone": ("hosts {\nfallthrough_unsupported\n}", "2: hosts: fallthrough_unsupported needs fallthrough"),
    "unsupported argument": ("hosts {\nfallthrough\nfallthrough_unsupported x\n}", "4: fallthrough_unsupported: takes no argument, got 'x'"),
    "zone": ("hosts f a..b", "2: not a zone: 'a..b' has an empty label"),
    "fallthrough zone": ("hosts {\nfallthrough a..b\n}", "3: not a zone: 'a..b' has an empty label"),
    "block": ("hosts {\n10.0.0.1 a {\nb\n}\n}", "3: 10.0.0.1: a line of a hosts file has no block"),
    "twice": ("hosts\nhosts", "3: hosts: is there already (Corefile:2); a server block takes it once"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, message: str) -> None:
    assert refusal(text) == message


FILE = """\
# comment
10.0.0.1 one.test One.example. # more
10.0.0.2	two.test  one.test
10.0.0.1 one.test
fd00::1%eth0 one.test
::ffff:10.0.0.9 mapped.test
10.0.0.7 *.wild.test
fd00::7 only6.wild.test
not-an-address a.test
10.0.0.300 b.test
10.0.0.3
10.0.0.4 bad..name also.test\udcff . x.test
"""
INLINE = "10.0.0.5 inline.test one.test\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text(FILE, encoding="utf-8", errors="surrogateescape")
    return path


def chain(path: Path, options: str = "", zones: str = "", after: str = "") -> Chain:
    return Chain(f". {{\nhosts {path} {zones} {{\n{INLINE}{options}\n}}\n{after}\n}}\n")


ANSWERS = {
    "a": ("one.test. A", "NOERROR; one.test. 3600 A 10.0.0.1; one.test. 3600 A 10.0.0.2; one.test. 3600 A 10.0.0.5"),
    "aaaa": ("One.Test. AAAA", "NOERROR; One.Test. 3600 AAAA fd00::1"),
    "mapped": ("mapped.test. A", "NOERROR; mapped.test. 3600 A 10.0.0.9"),
    "other family": ("two.test. AAAA", "NOERROR"),
    "other type": ("two.test. TXT", "NOERROR"),
    "wildcard": ("x.wild.test. A", "NOERROR; x.wild.test. 3600 A 10.0.0.7"),
    "wildcard, deeper": ("y.x.wild.test. A", "SERVFAIL"),
    "wildcard, itself": ("wild.test. A", "SERVFAIL"),
    "wildcard fills a family": ("only6.wild.test. A", "NOERROR; only6.wild.test. 3600 A 10.0.0.7"),
    "missing": ("no.test. A", "SERVFAIL"),
    "missing, other type": ("no.test. MX", "SERVFAIL"),
    "parent of a name": ("test. A", "SERVFAIL"),
    "good word after a bad one": ("x.test. A", "NOERROR; x.test. 3600 A 10.0.0.4"),
    "ptr": ("1.0.0.10.in-addr.arpa. PTR", "NOERROR; 1.0.0.10.in-addr.arpa. 3600 PTR one.test.; 1.0.0.10.in-addr.arpa. 3600 PTR one.example."),
    "ptr of a wildcard": ("7.0.0.10.in-addr.arpa. PTR", "SERVFAIL"),
    "ptr v6": ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. PTR", "NOERROR; 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. 3600 PTR one.test."),
    "ptr inline": ("5.0.0.10.in-addr.arpa. PTR", "NOERROR; 5.0.0.10.in-addr.arpa. 3600 PTR inline.test.; 5.0.0.10.in-addr.arpa. 3600 PTR one.test."),
    "ptr of a name": ("one.test. PTR", "SERVFAIL"),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_answers(path: Path, asked: str, expected: str) -> None:
    answer = chain(path).ask(asked)
    assert told(answer) == expected
    assert answer.keys == {file_key(str(path))}
    assert answer.keep_until == FOREVER


def test_what_is_missing_is_explained(path: Path) -> None:
    answer = chain(path).ask("no.test. A")
    assert [e.text for e in answer.errors] == [
        "no.test. is not in the hosts file, and nothing else is asked"
    ]
    assert not answer.authoritative
    assert chain(path).ask("no.test. A", edns=None).errors == ()


PASSED = {
    "fallthrough": ("fallthrough", "", "no.test. A", True),
    "fallthrough, other type of a name": ("fallthrough", "", "one.test. TXT", False),
    "fallthrough, other family": ("fallthrough", "", "two.test. AAAA", False),
    "unsupported passes other types": ("fallthrough\nfallthrough_unsupported", "", "one.test. TXT", True),
    "unsupported passes no families": ("fallthrough\nfallthrough_unsupported", "", "two.test. AAAA", False),
    "fallthrough elsewhere": ("fallthrough example.", "", "no.test. A", False),
    "outside the zones": ("", "example", "one.test. A", True),
    "no names outside the zones": ("", "example", "2.0.0.10.in-addr.arpa. PTR", True),
    "no_reverse": ("no_reverse", "", "1.0.0.10.in-addr.arpa. PTR", True),
    "ptr misses always": ("", "", "99.0.0.10.in-addr.arpa. PTR", True),
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "zones", "asked", "passed"), PASSED.values(), ids=PASSED.keys()
)
def test_what_is_passed_on(path: Path, options: str, zones: str, asked: str, passed: bool) -> None:
    answer = chain(path, options, zones, "whoami").ask(asked)
    assert (answer.plugin == "whoami") is passed
    if passed and zones == "":
        assert file_key(str(path)) in answer.keys, "the name may come"


def test_ttl_and_ptr_outside_the_zones(path: Path) -> None:
    server = chain(path, "ttl 7", "example")
    assert (
        told(server.ask("1.0.0.10.in-addr.arpa. PTR"))
        == "NOERROR; 1.0.0.10.in-addr.arpa. 7 PTR one.example."
    )


def test_relative_paths_start_at_root(path: Path) -> None:
    text = f". {{\nhosts {path.name}\nroot /nowhere\nroot {path.parent}\n}}\n"
    assert told(Chain(text).ask("mapped.test. A")) == "NOERROR; mapped.test. 3600 A 10.0.0.9"


def test_a_missing_file_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = chain(tmp_path / "none")
    assert told(server.ask("one.test. A")) == "NOERROR; one.test. 3600 A 10.0.0.5"
    assert caplog.messages == [
        f"{tmp_path}/none: No such file or directory; as if empty until it is read"
    ]


async def test_changes_are_noticed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = chain(path)
    running = asyncio.create_task(server.files[0].run())
    try:
        other = path.with_name("other")
        other.write_text("10.0.0.8 new.test\n")
        os.replace(other, path)
        await until(lambda: server.changes)
        assert server.changes == [frozenset({file_key(str(path))})]
        answer = await server.handler(question("new.test. A"))
        assert told(answer) == "NOERROR; new.test. 3600 A 10.0.0.8"
        path.unlink()
        await until(lambda: "No such file" in caplog.text)
        assert len(server.changes) == 1, "what was read last stays"
        path.write_text("10.0.0.8 new.test\n")
        path.write_text("10.0.0.6 newer.test\n")
        await until(lambda: "newer" in str(server.files[0].value))
    finally:
        running.cancel()


async def test_a_configmap_that_is_swapped_is_noticed(tmp_path: Path) -> None:
    def publish(version: str, text: str) -> None:
        (tmp_path / version).mkdir()
        (tmp_path / version / "NodeHosts").write_text(text)
        (tmp_path / "..next").symlink_to(version)
        os.replace(tmp_path / "..next", tmp_path / "..data")

    publish("..1", "10.0.0.1 node1\n")
    (tmp_path / "NodeHosts").symlink_to("..data/NodeHosts")
    server = chain(tmp_path / "NodeHosts")
    running = asyncio.create_task(server.files[0].run())
    try:
        publish("..2", "10.0.0.2 node2\n")
        await until(lambda: server.changes)
        assert ("node2",) in read("10.0.0.2 node2", ((),), True).addresses
        assert "node2" in str(server.files[0].value)
    finally:
        running.cancel()


async def test_without_reload_the_file_is_read_once(path: Path) -> None:
    server = chain(path, "reload 0")
    await asyncio.wait_for(server.files[0].run(), 30)


def test_series(tmp_path: Path) -> None:
    """Entries of each file, also where several server blocks have one; the time is the file's own."""
    (tmp_path / "one").write_text("10.0.0.1 a b\n")
    (tmp_path / "two").write_text("10.0.0.1 c\n")
    os.utime(tmp_path / "one", (1_600_000_000, 1_600_000_000))
    os.utime(tmp_path / "two", (1_700_000_000, 1_700_000_000))
    server = Chain(f". {{\nhosts {tmp_path}/one {{\n10.0.0.3 x\n}}\n}}\n")
    hosts.wrap(hosts.Settings(f"{tmp_path}/two"), server.handler, server)
    server.files[1].load()
    lines = server.metrics.expose().decode().splitlines()
    assert {line for line in lines if line.startswith("coredns_hosts_")} == {
        f'coredns_hosts_entries{{hostsfile="{tmp_path}/one"}} 6.0',
        f'coredns_hosts_entries{{hostsfile="{tmp_path}/two"}} 2.0',
        "coredns_hosts_reload_timestamp_seconds 1.7e+09",
    }


# ---- CoreDNS beside it

PEERS_FILE = "10.0.0.1 one.test One.example\n10.0.0.2 two.test\nfd00::2 two.test\n10.0.0.7 *.wild.test\nfd00::8 six.wild.test\n10.0.0.6 twice.test\n10.0.0.6 twice.test\n"
QUESTIONS = tuple(
    f"{name} {rtype}"
    for name in ("one.test", "ONE.test", "two.test", "no.test", "test", "x.wild.test", "y.x.wild.test", "wild.test", "six.wild.test", "inline.test", "one.example", "1.0.0.10.in-addr.arpa", "7.0.0.10.in-addr.arpa", "9.0.0.10.in-addr.arpa", "3.0.0.10.in-addr.arpa", "0.10.in-addr.arpa", "fall.test", "x.fall.test", "other.test")
    for rtype in ("A", "AAAA", "PTR", "TXT", "ANY", "SOA")
)  # fmt: skip
INTENDED = {"twice.test A": "each address once", "6.0.0.10.in-addr.arpa PTR": "each name once"}
COREFILES = {
    "plain": "hosts FOLDER/hosts {\n10.0.0.3 inline.test\n}",
    "k3s": "hosts FOLDER/hosts {\nttl 60\nreload 15s\nfallthrough\n}",
    "zones": "hosts FOLDER/hosts test {\n10.0.0.3 inline.test one.example\nno_reverse\nfallthrough fall.test\n}\nfile FOLDER/root.db .",
    "unsupported": "hosts FOLDER/hosts {\n10.0.0.3 inline.test\nfallthrough\nfallthrough_unsupported\n}\nfile FOLDER/root.db .",
}


@pytest.fixture(scope="module", params=COREFILES)
def peers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Peers]:
    folder = tmp_path_factory.mktemp("hosts")
    (folder / "hosts").write_text(PEERS_FILE)
    (folder / "root.db").write_text(
        "$TTL 60\n. SOA ns.invalid. h.invalid. 1 2 3 4 60\n. NS ns.invalid.\n"
    )
    running = Peers(f". {{\nbind 127.0.0.1\n{COREFILES[request.param]}\n}}\n", folder)
    yield running
    running.stop()


def test_same_as_coredns(peers: Peers, request: pytest.FixtureRequest) -> None:
    reverse = "no_reverse" not in COREFILES[request.node.callspec.params["peers"]]
    intended = {q: why for q, why in INTENDED.items() if reverse or "arpa" not in q}
    check(peers, (*QUESTIONS, *INTENDED), intended)


def test_kept_replies_go_when_the_file_changes(tmp_path: Path) -> None:
    """Over sockets: what is not there is denied from memory, until it is there."""
    (tmp_path / "hosts").write_text("10.0.0.1 old.test\n")
    (tmp_path / "root.db").write_text("$TTL 60\n. SOA n. h. 1 2 3 4 60\n. NS n.\n")
    corefile = (
        ". {\nbind 127.0.0.1\nhosts FOLDER/hosts {\nfallthrough\n}\nfile FOLDER/root.db .\n}\n"
    )
    running = Peers(corefile, tmp_path)
    try:
        for _ in range(2):
            assert running.ask("kdns", "new.test A").startswith("NXDOMAIN")
        (tmp_path / "hosts").write_text("10.0.0.2 new.test\n")
        took = wait_until(lambda: "10.0.0.2" in running.ask("kdns", "new.test A"), 60, "new.test")
        assert running.ask("kdns", "old.test A").startswith("NXDOMAIN")
        print(f"seen after {took:.2f} s")
    finally:
        running.stop()
