"""``reload``: its options, and a server whose Corefile is edited while it answers."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from kdns.plugins.reload import Settings
from tests.cluster.processes import Process, free_dns_port, free_port, wait_until
from tests.plugins.chains import refusal, settings


@pytest.mark.parametrize(
    "text", ["reload", "reload 10s", "reload 30s 15s", "reload 2s 0", "reload 2s 1s"]
)
def test_taken(text: str) -> None:
    assert settings(text) == Settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("reload 1s", "2: reload: the interval must be at least 2s, got 1s"),
        ("reload x", "2: reload: 'x' is not a duration"),
        ("reload 10s 500ms", "2: reload: the jitter must be 0 or at least 1s, got 500ms"),
        ("reload 1m 1m 1m", "2: reload: expected at most INTERVAL and JITTER"),
        ("reload {\nx\n}", "3: x: reload has no options"),
    ],
)
def test_refused(text: str, expected: str) -> None:
    assert expected in refusal(text)


class Server:
    def __init__(self, folder: Path) -> None:
        self.path, self.port, self.http = folder / "Corefile", free_dns_port(), free_port()
        self.write("192.0.2.1")
        command = [
            sys.executable,
            "-m",
            "kdns",
            "-conf",
            str(self.path),
            "-dns.port",
            str(self.port),
        ]
        self.process = Process(command, folder / "log")
        self.process.wait_ready(lambda: self.logged("listening on"), 60)

    def write(self, address: str, more: str = "") -> None:
        self.path.write_text(
            f". {{\nbind 127.0.0.1\nprometheus 127.0.0.1:{self.http}\nreload\n"
            f"hosts {{\n{address} a.test\n}}\nimport extra/*.override\n{more}\n}}\n"
        )

    def address(self) -> str:
        query = dns.message.make_query("a.test.", "A")
        reply = dns.query.udp(query, "127.0.0.1", 30, self.port)
        return reply.answer[0][0].to_text() if reply.answer else dns.rcode.to_text(reply.rcode())

    def series(self, name: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics") as reply:
            lines = reply.read().decode().splitlines()
        return next((line for line in lines if line.startswith(name)), "")

    def logged(self, text: str) -> bool:
        return text in self.process.log.read_text()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    assert running.process.stop() == 0


def test_a_change_is_served_at_once(server: Server) -> None:
    """CoreDNS looks every 30 s."""
    before = server.series("coredns_reload_version_info")
    assert 'hash="sha512"' in before
    server.write("192.0.2.2")
    wait_until(lambda: server.address() == "192.0.2.2", 20, "the new address")
    version = "coredns_reload_version_info"
    wait_until(lambda: server.series(version) != before, 60, "its version")
    assert server.series("coredns_reload_failed_total") == "coredns_reload_failed_total 0.0"


def test_a_bad_file_changes_nothing_and_says_where(server: Server) -> None:
    server.write("192.0.2.2", "nonsense")
    expected = f"reload failed, going on as before: {server.path}:9: unknown directive 'nonsense'"
    wait_until(lambda: server.logged(expected), 60, "the complaint")
    assert server.address() == "192.0.2.1"
    assert server.series("coredns_reload_failed_total") == "coredns_reload_failed_total 1.0"
    server.write("192.0.2.3")
    wait_until(lambda: server.address() == "192.0.2.3", 60, "the mended file")


def test_a_comment_is_no_change(server: Server) -> None:
    server.write("192.0.2.1", "# a comment\n\n")
    server.path.with_name("extra").mkdir()
    (server.path.parent / "extra" / "a.override").write_text("any\n")
    wait_until(lambda: server.logged("reloaded"), 60, "the import")
    assert server.process.log.read_text().count("reloaded") == 1
