"""``kdns tail``, ``top`` and ``fault`` against real servers, asked by ``dig``."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Final

import pytest

from kdns.cli import main
from kdns.derivation.messages import ClearFaults, Watch, frame
from kdns.plugins.debug import Settings
from tests.cluster.processes import Process, free_dns_port, wait_until
from tests.fakes.nameserver import NameServer
from tests.plugins.chains import refusal, settings

MANIFEST: Final = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.1.1, ports: [{port: 80}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [127.0.0.1], targetRef: {kind: Pod, name: web-0}}]
"""
COREFILE: Final = """\
.:{port} {{
    bind 127.0.0.1
    debug {{
        socket {folder}/socket
    }}
    kubernetes cluster.local {{
        manifests {folder}/all.yaml
    }}
    forward test 127.0.0.1:{upstream}
}}
"""
WEB: Final = "web.shop.svc.cluster.local"


class Site:
    """A server and its socket."""

    def __init__(self, folder: Path, upstream: int, workers: int) -> None:
        self.folder, self.port = folder, free_dns_port()
        (folder / "all.yaml").write_text(MANIFEST)
        text = COREFILE.format(port=self.port, folder=folder, upstream=upstream)
        (folder / "Corefile").write_text(text)
        command = [sys.executable, "-m", "kdns", "-conf", str(folder / "Corefile")]
        command += ["--workers", str(workers)] if workers > 1 else []
        self.process = Process(command, folder / "log")
        self.process.wait_ready(lambda: "listening on" in (folder / "log").read_text(), 60)

    def dig(self, *words: str) -> str:
        line = ["dig", "@127.0.0.1", "-p", str(self.port), "+tries=1", "+time=30", *words]
        return subprocess.run(line, capture_output=True, text=True, check=False).stdout

    def fault(self, *words: str) -> tuple[int, str]:
        """``kdns fault``: the exit status, and what it prints."""
        out = StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            status = main.main(["fault", *words, "--socket", str(self.folder / "socket")])
        return status, out.getvalue()

    def watch(self, *words: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "kdns", *words, "--socket", str(self.folder / "socket")]
        return subprocess.Popen(line, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from _site(tmp_path_factory.mktemp("watching"), workers=1)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three processes that answer on one address."""
    yield from _site(tmp_path_factory.mktemp("three"), workers=3)


def _site(folder: Path, workers: int) -> Iterator[Site]:
    with NameServer("www.test. 300 IN A 192.0.2.1") as upstream:
        found = Site(folder, upstream.port, workers)
        yield found
        assert found.process.stop() == 0
        assert not (folder / "socket").exists()


QUESTIONS: Final = (
    ("+nocookie", WEB),
    ("+noedns", "wbe.shop.svc.cluster.local"),
    ("+tcp", "www.test"),
    ("nosuch.test",),
)


def told(site: Site, *words: str, last: str) -> list[str]:
    """What ``kdns tail`` prints while the questions are asked; ``last`` is somewhere in it."""
    watcher = site.watch("tail", *words)
    lines: list[str] = []

    def asked() -> bool:
        for question in QUESTIONS:
            site.dig(*question)
        return watcher.poll() is not None

    try:
        wait_until(asked, 60, "tail has seen enough")
        assert watcher.stdout is not None
        lines = watcher.stdout.read().splitlines()
    finally:
        watcher.kill()
        watcher.communicate()
    assert any(last in line for line in lines)
    return [re.sub(r"^[0-9:.]+ |[0-9.]+ ms", "", line) for line in lines]


@pytest.mark.parametrize("processes", ["site", "three"])
def test_tail(processes: str, request: pytest.FixtureRequest) -> None:
    lines = set(told(request.getfixturevalue(processes), "--count", "24", last="kept"))
    reason = "no Service wbe in namespace shop; did you mean web?"
    assert {
        f"shop/web-0 {WEB}. A NOERROR 10.96.1.1 (kept)",
        f"shop/web-0 wbe.shop.svc.cluster.local. A NXDOMAIN (kept) - {reason}",
        "shop/web-0 www.test. A NOERROR 192.0.2.1 ()",
        "shop/web-0 nosuch.test. A NXDOMAIN ()",
    } <= lines


def test_filters(site: Site) -> None:
    lines = told(site, "*.test", "--failed", "--count", "3", last="nosuch")
    assert lines == ["shop/web-0 nosuch.test. A NXDOMAIN ()"] * 3


def test_json(site: Site) -> None:
    words = ("--json", "--type", "a", "--client", "shop/web-0", "--count", "1")
    (line,) = told(site, *words, last="{")
    assert json.loads(line)["client"] == "127.0.0.1"


def test_top(site: Site) -> None:
    watcher = site.watch("top", "--seconds", "1")
    try:
        wait_until(lambda: bool(site.dig(WEB)) and watcher.poll() is not None, 60, "top")
        output, _ = watcher.communicate()
    finally:
        watcher.kill()
    assert re.search(rf"busiest names\n +\d+  {WEB}\. A\n", output)
    assert re.search(r"busiest clients\n +\d+  shop/web-0\n", output)


def test_what_is_kept_is_found_again_after_watching(site: Site) -> None:
    told(site, "--count", "1", last=".")
    assert "10.96.1.1" in site.dig("+nocookie", WEB)
    said = site.dig("+short", "TXT", f"{WEB}.explain.kdns")
    assert "cached now: 1 form" in said


# ---- faults


@pytest.mark.parametrize("processes", ["site", "three"])
def test_faults_come_and_go(processes: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(processes)
    assert "status: NOERROR" in site.dig("+nocookie", WEB)
    told = "shop.svc.cluster.local. rcode SERVFAIL\n"
    assert site.fault("set", "shop.svc.cluster.local", "rcode", "SERVFAIL") == (0, told)
    # With several processes each takes it over by itself.
    wait_until(lambda: _all(site, "SERVFAIL"), 30, "the fault is everywhere")
    said = site.dig("+nocookie", WEB)
    assert "; EDE: 0 (Other): (a fault set on purpose: rcode SERVFAIL)" in said
    assert "status: NOERROR" in site.dig("www.test")
    assert "fault: rcode SERVFAIL" in site.dig("+short", "TXT", f"{WEB}.explain.kdns")
    assert site.fault("clear", "shop.svc.cluster.local") == (0, "")
    wait_until(lambda: _all(site, "NOERROR"), 30, "the fault is gone")


def _all(site: Site, status: str) -> bool:
    """Several ports, so that each process is asked."""
    return all(f"status: {status}" in site.dig("+nocookie", WEB) for _ in range(6))


def test_a_fault_takes_the_place_of_the_one_before(site: Site) -> None:
    site.fault("set", "test", "drop")
    now = (0, "test. truncate seed 3\n")
    assert site.fault("set", "test", "truncate", "seed", "3") == now
    assert site.fault("list") == now
    assert " tc" in site.dig("+ignore", "www.test")
    assert "192.0.2.1" in site.dig("www.test"), "over TCP it is whole"
    assert site.fault("clear") == (0, "")


def test_what_the_documentation_shows(site: Site) -> None:
    page = (Path(__file__).parents[2] / "docs/debugging.md").read_text()
    shown = re.search(r"^```text\n\$ kdns fault (.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert shown
    for part in shown[1].split("$ kdns fault "):
        words, _, output = part.partition("\n")
        assert site.fault(*words.split()) == (0, output)


def test_a_fault_set_once_more_begins_its_chances_anew(site: Site) -> None:
    def run() -> list[bool]:
        site.fault("set", "test", "truncate", "50%", "seed", "3")
        return [" tc" in site.dig("+ignore", "www.test") for _ in range(8)]

    first = run()
    assert len(set(first)) == 2
    assert run() == first
    assert site.fault("clear") == (0, "")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["set", "web", "rcode", "NOPE"],
            "kdns: fault set: rcode: expected a response code such as SERVFAIL",
        ),
        (["set", "web"], "expected: set NAME WHAT ..., list, or clear [NAME]"),
        (["set", "web..", "drop"], "'web..' has an empty label"),
        (["clear", "web.."], "'web..' has an empty label"),
        (["clear", "web"], "kdns: no fault was set for web. (kdns fault list has those that were)"),
        (["list", "web"], "expected: set NAME WHAT ..., list, or clear [NAME]"),
    ],
)
def test_wrong_words(site: Site, words: list[str], reason: str) -> None:
    status, said = site.fault(*words)
    assert status == 1
    assert reason in said


# ---- the socket


def test_only_its_user_may_open_it(site: Site) -> None:
    mode = os.stat(site.folder / "socket").st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


NO_TEXT = frame(ClearFaults("ab")).replace(b"ab", b"\xff\xff")
NONSENSE = [b"\xff\xff\xff\xff", b"\0\0\0\5hello", b"\0\0\0\1\xc1", b"", NO_TEXT]


@pytest.mark.parametrize("octets", NONSENSE)
def test_nonsense_ends_the_connection_and_nothing_else(site: Site, octets: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(str(site.folder / "socket"))
        sock.sendall(octets)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
    assert site.fault("list") == (0, "")
    assert "Traceback" not in (site.folder / "log").read_text()


def test_a_watcher_that_does_not_read_is_no_burden(site: Site) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(site.folder / "socket"))
        sock.sendall(frame(Watch()))
        for _ in range(20):
            assert "10.96.1.1" in site.dig(WEB)


def test_nobody_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["tail", "--socket", str(tmp_path / "none")]) == 1
    said = capsys.readouterr().err
    assert "No such file or directory; does the Corefile say debug { socket }" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tail", "--type", "FOO"], "a record type expected, not 'FOO'"),
        (["tail", "--client", "web-0"], "or a Pod as NAMESPACE/NAME, not 'web-0'"),
        (["tail", "--count", "-1"], "--count: a number of 1 or more expected, not '-1'"),
        (["tail", "--slower", "soon"], "--slower: a number above 0 expected, not 'soon'"),
        (["top", "--seconds=-1"], "--seconds: a number above 0 expected, not '-1'"),
        (["top", "--lines", "0"], "--lines: a number of 1 or more expected, not '0'"),
        (["fault"], "required: {set,list,clear}\n"),
    ],
)
def test_wrong_usage(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(words)
    assert expected in capsys.readouterr().err


def test_a_second_server_does_not_take_the_socket(site: Site, tmp_path: Path) -> None:
    text = (site.folder / "Corefile").read_text().replace(str(site.port), str(free_dns_port()))
    (tmp_path / "Corefile").write_text(text)
    line = [sys.executable, "-m", "kdns", "-conf", str(tmp_path / "Corefile")]
    ran = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 1
    assert "Corefile:3: debug: cannot listen on" in ran.stderr
    assert "a server listens there already" in ran.stderr


def test_a_socket_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
    left = Site(tmp_path, 53, 1)
    assert left.fault("list") == (0, "")
    assert left.process.stop() == 0


# ---- the directive


@pytest.mark.parametrize(
    ("text", "log", "path"),
    [
        ("debug", True, ""),
        ("debug {\n socket /a\n}", False, "/a"),
        ("debug {\n socket /a\n log\n}", True, "/a"),
    ],
)
def test_debug(text: str, log: bool, path: str) -> None:
    found = settings(text)
    assert isinstance(found, Settings)
    assert (found.log, found.socket) == (log, path)


def test_default_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    found = settings("debug {\n socket\n}")
    assert isinstance(found, Settings)
    assert found.socket == "/run/user/1000/kdns.sock"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert refusal("debug {\n socket\n}").startswith("3: socket: expected a path")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("debug x", "2: debug: takes no argument, got 'x'"),
        ("debug {\n pprof\n}", "3: pprof: not an option of debug; expected socket or log"),
        (f"debug {{\n socket /{'a' * 100}\n}}", "3: socket: the path of a socket has at most 100"),
    ],
)
def test_debug_refused(text: str, reason: str) -> None:
    assert refusal(text).startswith(reason)


def test_a_socket_that_nobody_accepts_at_holds_no_start_up(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(MANIFEST)
    corefile = tmp_path / "Corefile"
    corefile.write_text(COREFILE.format(port=free_dns_port(), folder=tmp_path, upstream=1))
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(tmp_path / "socket"))
        busy.listen(0)
        waiting.connect(str(tmp_path / "socket"))
        line = [sys.executable, "-m", "kdns", "-conf", str(corefile)]
        ran = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert "a server listens there already" in ran.stderr


def test_a_start_that_fails_later_leaves_no_socket(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(MANIFEST)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        health = f"    health 127.0.0.1:{taken.getsockname()[1]}\n"
        text = COREFILE.format(port=free_dns_port(), folder=tmp_path, upstream=1)
        corefile = tmp_path / "Corefile"
        corefile.write_text(text.replace("    debug", f"{health}    debug"))
        line = [sys.executable, "-m", "kdns", "-conf", str(corefile)]
        ran = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, "Address already in use" in ran.stderr) == (1, True)
    assert not (tmp_path / "socket").exists()
