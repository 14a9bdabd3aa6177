"""The Corefiles that clusters come with, served whole: only what is outside a test is replaced."""

from __future__ import annotations

import re
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.cluster.processes import Process, free_dns_port, free_port
from tests.fakes.nameserver import NameServer

COREFILES = Path("tests/config/corefiles")
EXAMPLES = Path("examples/cluster").absolute()
NAMES = ("kubeadm", "kind", "eks", "minikube", "talos")


class Server:
    """kdns with one of them. The API server is the manifests of the examples, its ports are free ones."""

    def __init__(self, name: str, folder: Path, upstream: NameServer) -> None:
        self.port, self.http, self.health, self.ready = (
            free_dns_port(),
            free_port(),
            free_port(),
            free_port(),
        )
        text = (COREFILES / f"{name}.Corefile").read_text()
        for pattern, replacement in (
            (r"\.:53\b", f".:{self.port}"),
            (r"(prometheus) \S*:9153", rf"bind 127.0.0.1\n    \1 127.0.0.1:{self.http}"),
            (r"\bhealth\b", f"health 127.0.0.1:{self.health}"),
            (r"\bready\b", f"ready 127.0.0.1:{self.ready}"),
            (r"lameduck 5s", "lameduck 0s"),
            (r"(kubernetes [^{]*\{)", rf"\1\n       manifests {EXAMPLES}"),
            (r"/etc/resolv.conf", f"127.0.0.1:{upstream.port}"),
        ):
            text = re.sub(pattern, replacement, text)
        (folder / "Corefile").write_text(text)
        command = [sys.executable, "-m", "kdns", "-conf", str(folder / "Corefile")]
        self.process = Process(command, folder / "log")
        self.process.wait_ready(self._is_ready, 60)

    def _is_ready(self) -> bool:
        try:
            return self.page(self.ready, "ready") == "OK"
        except OSError:
            return False

    @staticmethod
    def page(port: int, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as reply:
            return str(reply.read().decode())

    def ask(self, name: str, rdtype: str = "A") -> dns.message.Message:
        return dns.query.udp(dns.message.make_query(name, rdtype), "127.0.0.1", 30, self.port)

    def addresses(self, name: str, rdtype: str = "A") -> list[str]:
        return [item.to_text() for rrset in self.ask(name, rdtype).answer for item in rrset]


@pytest.fixture(scope="module")
def upstream() -> Iterator[NameServer]:
    with NameServer(
        "www.example.test. 300 IN A 192.0.2.1", "9.2.0.192.in-addr.arpa. 9 IN PTR x.test."
    ) as server:
        yield server


@pytest.fixture(scope="module")
def stop() -> Iterator[Callable[[Process], None]]:
    """They wait for the silent upstream before they end: beside the tests of the next one."""
    ends: list[Future[int]] = []
    with ThreadPoolExecutor() as pool:
        yield lambda process: ends.append(pool.submit(process.stop))
    assert {end.result() for end in ends} == {0}


@pytest.fixture(scope="module", params=NAMES)
def server(
    request: pytest.FixtureRequest,
    upstream: NameServer,
    stop: Callable[[Process], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    running = Server(request.param, tmp_path_factory.mktemp(request.param), upstream)
    yield running
    stop(running.process)


def test_cluster_names(server: Server) -> None:
    assert server.addresses("kubernetes.default.svc.cluster.local") == ["10.96.0.1"]
    assert server.addresses("1.0.96.10.in-addr.arpa", "PTR") == [
        "kubernetes.default.svc.cluster.local."
    ]
    missing = server.ask("nope.default.svc.cluster.local")
    assert missing.rcode() == dns.rcode.NXDOMAIN
    assert missing.flags & (dns.flags.AA | dns.flags.RA) == dns.flags.AA | dns.flags.RA


def test_outside_names(server: Server, upstream: NameServer) -> None:
    upstream.udp.clear()
    for name in ("www.example.test.", "WWW.example.test.", "www.example.test."):
        assert server.addresses(name) == ["192.0.2.1"]
    asked = [name.lower() for name in upstream.names]
    assert asked.count("www.example.test. a") == 1  # the cache has the rest
    assert server.addresses("9.2.0.192.in-addr.arpa", "PTR") == ["x.test."]


def test_cluster_names_while_the_upstream_is_silent(server: Server, upstream: NameServer) -> None:
    upstream.fault = "drop"
    try:
        with pytest.raises(dns.exception.Timeout):
            dns.query.udp(dns.message.make_query("slow.test.", "A"), "127.0.0.1", 0.1, server.port)
        assert server.addresses("kubernetes.default.svc.cluster.local") == ["10.96.0.1"]
    finally:
        upstream.fault = ""


def test_pages(server: Server) -> None:
    for _ in range(2):
        server.ask("www.example.test.")
    assert server.page(server.health, "health") == "OK"
    text = server.page(server.http, "metrics")
    for series in ("coredns_cache_hits_total", "coredns_proxy_request_duration_seconds_bucket"):
        assert series in text
