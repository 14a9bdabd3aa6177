"""Installed and removed on a laptop in namespaces; programs resolve names there with ``getent``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.processes import wait_until
from tests.system import host
from tests.system.host import KDNS, RESOLVERS, Host

pytestmark = pytest.mark.skipif(bool(host.missing()), reason=f"no laptop: {host.missing()}")

EXAMPLES: Final = Path(__file__).parents[2] / "examples" / "cluster"
LAPTOP: Final = (KDNS, "laptop", "--manifests", str(EXAMPLES), "--namespace", "my-ns")
REDIS: Final = "172.17.0.6"

NETWORK: Final = """\
.:53 {
    bind 192.0.2.1
    hosts {
        198.51.100.1 outside.test
        198.51.100.2 printer.lan
    }
}
"""


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Host]:
    """With the network's name server, and plain resolv.conf."""
    made = Host(tmp_path)
    try:
        (tmp_path / "network.Corefile").write_text(NETWORK)
        made.start(KDNS, "-conf", tmp_path / "network.Corefile")
        wait_until(lambda: made.addresses("outside.test") == "198.51.100.1", 10, "the network")
        yield made
    finally:
        made.close()


def start_kdns(laptop: Host) -> None:
    laptop.start(*LAPTOP)
    name = "redis-master.my-ns.svc.cluster.internal"
    wait_until(lambda: laptop.addresses(name) == REDIS, 10, "kdns through the system")


def install(laptop: Host) -> str:
    done = laptop.run(*LAPTOP, "--install")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def uninstall(laptop: Host) -> None:
    done = laptop.run(KDNS, "laptop", "--uninstall")
    assert done.returncode == 0, done.stdout + done.stderr


def test_plain_resolv_conf(laptop: Host) -> None:
    before = laptop.files()
    told = install(laptop)
    assert told.startswith(
        "resolv.conf: names in cluster.local, cluster.internal are asked of 127.0.0.1:53"
    )
    assert laptop.addresses("outside.test") == "198.51.100.1", "before kdns runs"
    start_kdns(laptop)
    assert laptop.addresses("redis-master") == REDIS
    assert laptop.addresses("redis-master.my-ns") == REDIS
    assert laptop.addresses("outside.test") == "198.51.100.1"
    assert laptop.addresses("printer") == "198.51.100.2", "by the search list of before"
    uninstall(laptop)
    assert laptop.files() == before
    assert laptop.addresses("redis-master.my-ns") == ""
    assert laptop.addresses("outside.test") == "198.51.100.1"


def start_resolved(laptop: Host, hosts: str = "files dns") -> None:
    laptop.shell("ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
    laptop.shell(f"echo 'hosts: {hosts}' >/etc/nsswitch.conf")
    start_bus(laptop)
    laptop.start(RESOLVERS / "lib/systemd/systemd-resolved")
    wait_until(
        lambda: laptop.run("resolvectl", "dns", "eth0", "192.0.2.1").returncode == 0, 10, "resolved"
    )
    laptop.shell("resolvectl domain eth0 lan")
    wait_until(lambda: laptop.addresses("outside.test") == "198.51.100.1", 10, "resolved asks")


def start_bus(laptop: Host) -> None:
    laptop.start("dbus-daemon", "--system", "--nofork", "--nopidfile")
    wait_until(
        lambda: laptop.run("test", "-S", "/run/dbus/system_bus_socket").returncode == 0, 10, "bus"
    )


@pytest.mark.parametrize("hosts", ["files dns", "files resolve [!UNAVAIL=return] dns"])
def test_systemd_resolved(laptop: Host, hosts: str) -> None:
    start_resolved(laptop, hosts)
    before, links = laptop.files(), laptop.shell("resolvectl domain")
    assert install(laptop).startswith("systemd-resolved: names in ")
    assert laptop.addresses("outside.test") == "198.51.100.1", "before kdns runs"
    start_kdns(laptop)
    assert laptop.addresses("redis-master") == REDIS
    assert laptop.addresses("redis-master.my-ns.svc.cluster.local") == REDIS
    assert laptop.addresses("outside.test") == "198.51.100.1"
    assert laptop.addresses("printer") == "198.51.100.2"
    uninstall(laptop)
    assert laptop.files() == before
    assert laptop.shell("resolvectl domain") == links
    assert laptop.addresses("redis-master.my-ns.svc.cluster.internal") == ""
