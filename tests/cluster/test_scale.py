"""A large cluster: what it takes to start on it, printed, and that every name of it is there."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import pytest

from bench.cluster import EMPTY, ENDPOINTS, LARGE, cluster_ip, grow, names
from tests.cluster import programs
from tests.cluster.conftest import provide
from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import free_dns_port, free_port, wait_until

START_SECONDS = 60
COREFILE = """\
.:{port} {{
    bind 127.0.0.1
    errors
    ready 127.0.0.1:{ready}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
    }}
}}
"""


@pytest.fixture(scope="module")
def large(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    provide(request, *programs.CONTROL_PLANE)
    plane = ControlPlane(tmp_path_factory.mktemp("large"))
    try:
        plane.start()
        grow(plane, EMPTY, LARGE)
        yield plane
    finally:
        plane.stop()


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=30):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _memory(pid: int) -> int:
    """Resident memory in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def test_start_on_a_large_cluster(large: ControlPlane, tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("resident memory is read from /proc, which only Linux has")
    port, ready = free_dns_port(), free_port()
    corefile = tmp_path / "Corefile"
    corefile.write_text(COREFILE.format(port=port, ready=ready, kubeconfig=large.kubeconfig.reader))
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "kdns", "-conf", str(corefile), "-quiet"])
    try:
        wait_until(lambda: _is_ready(ready), START_SECONDS, "ready")
        seconds = time.monotonic() - began
        print(f"\n{LARGE}: ready after {seconds:.1f} s, {_memory(process.pid)} MiB resident")
        services, sets = names("svc", LARGE.services), names("set", LARGE.headless)
        for number in (0, LARGE.services // 2, LARGE.services - 1):
            assert _ask(port, services[number]) == {cluster_ip(number)}
        for number in (0, LARGE.headless // 2, LARGE.headless - 1):
            assert len(_ask(port, sets[number])) == ENDPOINTS
    finally:
        process.terminate()
        assert process.wait(60) == 0


def _ask(port: int, name: str) -> set[str]:
    query = dns.message.make_query(name, "A", use_edns=0, payload=4096)
    reply = dns.query.udp(query, "127.0.0.1", port=port, timeout=30)
    return {item.to_text() for rrset in reply.answer for item in rrset}
