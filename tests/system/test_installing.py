"""Installed and removed on a laptop in namespaces; programs resolve names there with ``getent``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.processes import wait_until
from tests.system import host
from tests.system.host import KDNS, RESOLVERS, Host, wait_listening

pytestmark = pytest.mark.skipif(bool(host.missing()), reason=f"no laptop: {host.missing()}")

EXAMPLES: Final = Path(__file__).parents[2] / "examples" / "cluster"
needs_resolvers: Final = pytest.mark.skipif(
    not RESOLVERS.exists(), reason="tests/system/programs.sh provides the resolvers of Debian"
)

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
        wait_listening(made.start_in_network(KDNS, "-conf", tmp_path / "network.Corefile"))
        wait_until(lambda: made.addresses("outside.test") == "198.51.100.1", 60, "the network")
        yield made
    finally:
        made.close()


def start_kdns(laptop: Host) -> None:
    wait_listening(laptop.start(*LAPTOP))
    name = "redis-master.my-ns.svc.cluster.internal"
    wait_until(lambda: laptop.addresses(name) == REDIS, 60, "kdns through the system")


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
    looked = laptop.run(KDNS, "laptop", "doctor")
    assert looked.returncode == 1
    assert "WRONG  kdns does not run: nobody answers at 127.0.0.1:53.\n" in looked.stdout
    start_kdns(laptop)
    assert laptop.addresses("redis-master") == REDIS
    assert laptop.addresses("redis-master.my-ns") == REDIS
    assert laptop.addresses("outside.test") == "198.51.100.1"
    assert laptop.addresses("printer") == "198.51.100.2", "by the search list of before"
    looked = laptop.run(KDNS, "laptop", "doctor")
    assert looked.returncode == 0, looked.stdout
    assert "ok     Programs find ns.dns.cluster.internal.\n" in looked.stdout
    uninstall(laptop)
    assert laptop.files() == before
    assert laptop.addresses("redis-master.my-ns") == ""
    assert laptop.addresses("outside.test") == "198.51.100.1"


def test_installing_again_where_resolv_conf_is_a_mount(laptop: Host) -> None:
    """As in a container: it cannot be replaced, only written over."""
    laptop.shell("cp /etc/resolv.conf /run/mounted; mount --bind /run/mounted /etc/resolv.conf")
    before = laptop.files()
    install(laptop)
    done = laptop.run(
        *LAPTOP, "--install", "--listen", "127.0.0.7:53", "--cluster-domain", "k.test"
    )
    assert done.stdout.startswith(
        "resolv.conf: names in k.test, cluster.internal are asked of 127.0.0.7:53"
    )
    conf = laptop.shell("grep ^nameserver /etc/resolv.conf")
    assert conf == "nameserver 127.0.0.7\nnameserver 192.0.2.1\n"
    laptop.run(KDNS, "laptop", "--uninstall")
    assert laptop.files() == before
    assert laptop.run(KDNS, "laptop", "--uninstall").stdout == "Nothing is installed.\n"


def start_resolved(laptop: Host) -> None:
    laptop.shell("ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
    start_bus(laptop)
    laptop.start(RESOLVERS / "lib/systemd/systemd-resolved")
    wait_until(
        lambda: laptop.run("resolvectl", "dns", "eth0", "192.0.2.1").returncode == 0, 60, "resolved"
    )
    laptop.shell("resolvectl domain eth0 lan")
    wait_until(lambda: laptop.addresses("outside.test") == "198.51.100.1", 60, "resolved asks")


def start_bus(laptop: Host) -> None:
    laptop.start("dbus-daemon", "--system", "--nofork", "--nopidfile")
    wait_until(
        lambda: laptop.run("test", "-S", "/run/dbus/system_bus_socket").returncode == 0, 60, "bus"
    )


@needs_resolvers
def test_systemd_resolved(laptop: Host) -> None:
    start_resolved(laptop)
    before, links = laptop.files(), laptop.shell("resolvectl domain")
    assert install(laptop).startswith("systemd-resolved: names in ")
    assert laptop.addresses("outside.test") == "198.51.100.1", "before kdns runs"
    start_kdns(laptop)
    for hosts in ("files dns", "files resolve [!UNAVAIL=return] dns"):
        laptop.shell(f"echo 'hosts: {hosts}' >/etc/nsswitch.conf")
        assert laptop.addresses("redis-master") == REDIS
        assert laptop.addresses("redis-master.my-ns.svc.cluster.local") == REDIS
        assert laptop.addresses("outside.test") == "198.51.100.1"
        assert laptop.addresses("printer") == "198.51.100.2"
    laptop.shell("echo 'hosts: files dns' >/etc/nsswitch.conf")
    uninstall(laptop)
    assert laptop.files() == before
    assert laptop.shell("resolvectl domain") == links
    assert laptop.addresses("redis-master.my-ns.svc.cluster.internal") == ""


def start_dnsmasq(laptop: Host) -> None:
    laptop.shell("mkdir -p /etc/dnsmasq.d; echo nameserver 127.0.0.1 >/etc/resolv.conf")
    laptop.shell("systemctl restart dnsmasq")
    assert laptop.addresses("outside.test") == "198.51.100.1"


@needs_resolvers
def test_dnsmasq(laptop: Host) -> None:
    start_dnsmasq(laptop)
    before = laptop.files()
    assert install(laptop).startswith("dnsmasq: names in ")
    start_kdns(laptop)
    assert laptop.addresses("redis-master.my-ns.svc.cluster.local") == REDIS
    assert laptop.addresses("outside.test") == "198.51.100.1"
    uninstall(laptop)
    assert laptop.files() == before
    assert laptop.addresses("redis-master.my-ns.svc.cluster.local") == ""
    assert laptop.addresses("outside.test") == "198.51.100.1"


CONNECTION: Final = (
    "nmcli connection add type ethernet ifname eth0 con-name lan ipv4.method manual"
    " ipv4.addresses 192.0.2.2/24 ipv4.dns 192.0.2.1 ipv4.dns-search lan ipv6.method disabled;"
    " nmcli connection up lan"
)


def start_manager(laptop: Host, configuration: str) -> str:
    """NetworkManager; resolv.conf as it writes it."""
    laptop.shell(
        "mkdir -p /etc/NetworkManager; cat >/etc/NetworkManager/NetworkManager.conf <<'END'\n"
        f"[main]\nplugins=keyfile\n{configuration}\nEND"
    )
    start_bus(laptop)
    laptop.start("NetworkManager", "--no-daemon")
    connected = "nmcli -g GENERAL.STATE device show eth0"
    wait_until(
        lambda: "connected" in laptop.run("sh", "-c", connected).stdout, 60, "NetworkManager"
    )
    laptop.shell(CONNECTION)
    written = "grep -q '^# Generated by NetworkManager' /etc/resolv.conf"
    wait_until(lambda: laptop.run("sh", "-c", written).returncode == 0, 60, "resolv.conf")
    wait_until(lambda: laptop.addresses("outside.test") == "198.51.100.1", 60, "the network")
    return laptop.shell("cat /etc/resolv.conf")


@needs_resolvers
@pytest.mark.parametrize("configuration", ["dns=dnsmasq", "dns=default"])
def test_network_manager_with_dnsmasq(laptop: Host, configuration: str) -> None:
    start_manager(laptop, configuration)
    before = laptop.files()
    assert install(laptop).startswith("NetworkManager with dnsmasq: names in ")
    start_kdns(laptop)
    assert laptop.addresses("redis-master") == REDIS
    assert laptop.addresses("outside.test") == "198.51.100.1"
    assert laptop.addresses("printer") == "198.51.100.2"
    uninstall(laptop)
    wait_until(lambda: laptop.files() == before, 60, "NetworkManager has written resolv.conf again")
    assert laptop.addresses("redis-master.my-ns.svc.cluster.local") == ""
    assert laptop.addresses("outside.test") == "198.51.100.1"


@needs_resolvers
def test_network_manager_without_dnsmasq(laptop: Host) -> None:
    """It is told to leave resolv.conf alone, and still tells whom the network names."""
    start_manager(laptop, "dns=default")
    laptop.shell(f"umount /usr/sbin; mount --bind /dev/null {RESOLVERS}/usr/sbin/dnsmasq")
    before = laptop.files()
    assert install(laptop).startswith("resolv.conf: names in ")
    start_kdns(laptop)
    laptop.shell("nmcli connection up lan")
    assert laptop.addresses("redis-master.my-ns") == REDIS, "after the network has changed"
    assert laptop.addresses("outside.test") == "198.51.100.1"
    uninstall(laptop)
    wait_until(lambda: laptop.files() == before, 60, "NetworkManager has written resolv.conf again")
