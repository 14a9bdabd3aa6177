"""Programs on a laptop in namespaces, and networks that change while ``kdns laptop`` runs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.processes import wait_until
from tests.system import host
from tests.system.host import KDNS, Host, wait_listening
from tests.system.test_installing import LAPTOP, NETWORK, REDIS, install

pytestmark = [
    pytest.mark.skipif(bool(host.missing()), reason=f"no laptop: {host.missing()}"),
    pytest.mark.skipif(
        not (shutil.which("curl") and shutil.which("dig")), reason="curl or dig is missing"
    ),
]

ELSEWHERE = NETWORK.replace("192.0.2.1", "192.0.2.3").replace("198.51.100", "203.0.113")
LOOP = ".:53 {\n    bind 127.0.0.9\n    forward . 127.0.0.1\n}\n"


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Host]:
    """With a name server in the network, and another one that only another network has."""
    made = Host(tmp_path)
    try:
        made.start_in_network("ip", "address", "add", "192.0.2.3/24", "dev", "lan0")
        corefile = tmp_path / "network.Corefile"
        corefile.write_text(NETWORK + ELSEWHERE)
        wait_listening(made.start_in_network(KDNS, "-conf", corefile))
        wait_until(lambda: "203" in dig(made, "192.0.2.3", "outside.test"), 60, "the network")
        yield made
    finally:
        made.close()


def dig(laptop: Host, server: str, name: str) -> str:
    return laptop.run("dig", f"@{server}", "+short", "+tries=1", "+time=10", name).stdout


def join(laptop: Host, server: str) -> None:
    """As a DHCP client does in another network."""
    laptop.shell(f"echo nameserver {server} > /etc/new; mv /etc/new /etc/resolv.conf")


def test_programs(laptop: Host) -> None:
    install(laptop)
    laptop.start(*LAPTOP)
    laptop.shell(f"ip address add {REDIS}/32 dev lo")
    laptop.start(sys.executable, "-m", "http.server", "--bind", REDIS, "80")
    fetch = ("curl", "-sf", "-o", "/dev/null", "-w", "%{remote_ip}", "http://redis-master/")
    wait_until(lambda: laptop.run(*fetch).stdout == REDIS, 60, "curl by a short name")
    found = laptop.run("getent", "hosts", "redis-master").stdout.split()
    assert found == [REDIS, "redis-master.my-ns.svc.cluster.internal"]


def test_another_network(laptop: Host) -> None:
    """Its servers are asked at once, what the last ones said is forgotten; none may ask us in turn."""
    kdns = laptop.start(*LAPTOP)
    wait_until(lambda: dig(laptop, "127.0.0.1", "outside.test") == "198.51.100.1\n", 60, "kdns")
    join(laptop, "192.0.2.3")
    wait_until(lambda: dig(laptop, "127.0.0.1", "outside.test") == "203.0.113.1\n", 60, "elsewhere")
    said = "names outside the cluster now go to 192.0.2.3 (/etc/resolv.conf)"
    wait_until(lambda: said in kdns.log.read_text(), 60, "the log")
    laptop.shell("ip link set eth0 down; rm /etc/resolv.conf")
    assert REDIS in dig(laptop, "127.0.0.1", "redis-master")
    laptop.shell("ip link set eth0 up")
    join(laptop, "192.0.2.1")
    wait_until(lambda: dig(laptop, "127.0.0.1", "outside.test") == "198.51.100.1\n", 60, "back")
    loop = laptop.folder / "loop.Corefile"
    loop.write_text(LOOP)
    laptop.start(KDNS, "-conf", loop)
    wait_until(lambda: REDIS in dig(laptop, "127.0.0.9", "redis-master"), 60, "one that asks kdns")
    join(laptop, "127.0.0.9")
    wait_until(lambda: "127.0.0.9:53 for zone . leads back here" in kdns.log.read_text(), 60, "it")
    assert REDIS in dig(laptop, "127.0.0.1", "redis-master")
