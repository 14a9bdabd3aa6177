"""What the machine asks without kdns: from files as systems write them, and from recorded command output."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from kdns.config.addresses import Address
from kdns.system import resolv_conf
from kdns.system.machine import Machine, Ran
from kdns.system.resolvers import Resolvers, before_us

OURS: Final = (Address("127.0.0.1", 1053), Address("127.0.0.1", 53))


class Recorded(Machine):
    """A machine of these files, on which commands print what was recorded elsewhere."""

    def __init__(
        self,
        root: Path,
        files: dict[str, str],
        commands: dict[str, str] | None = None,
        platform: str = "linux",
    ) -> None:
        super().__init__(str(root), platform)
        self.commands = commands or {}
        for name, text in files.items():
            path = self.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("-> "):
                path.symlink_to(text[3:])
            else:
                path.write_text(text)

    def program(self, name: str) -> str:
        return name if any(line.split()[0] == name for line in self.commands) else ""

    def run(self, *command: str, limit: float = 2.0) -> Ran:
        line = " ".join(command)
        for start, output in self.commands.items():
            if line.startswith(start):
                return Ran(output)
        return Ran(problem=f"{command[0]} is not there")


STUB: Final = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n"

FILES: Final = {
    "plain": (
        "#x\nsearch home.test Lan.\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver no\n",
        ("192.0.2.1", "fe80::1%eth0"),
        ("home.test", "lan"),
    ),
    "the last of search and domain counts": (
        "search a.test\ndomain b.test\nnameserver 192.0.2.1",
        ("192.0.2.1",),
        ("b.test",),
    ),
    "ours is left out": ("nameserver 127.0.0.1\nnameserver 192.0.2.1\n", ("192.0.2.1",), ()),
    "binary": (
        "nameserver 192.0.2.1\n\x00\xff\nsearch \x1b[2J ok.test\n",
        ("192.0.2.1",),
        ("ok.test",),
    ),
}


@pytest.mark.parametrize(("text", "servers", "search"), FILES.values(), ids=FILES)
def test_resolv_conf(
    tmp_path: Path, text: str, servers: tuple[str, ...], search: tuple[str, ...]
) -> None:
    found = before_us(OURS, Recorded(tmp_path, {"/etc/resolv.conf": text}))
    assert (found.servers, found.search, found.problem) == (servers, search, "")
    assert str(tmp_path) + found.source in found.files


def test_nothing_but_ourselves(tmp_path: Path) -> None:
    machine = Recorded(tmp_path, {"/etc/resolv.conf": "nameserver 127.0.0.1\n"})
    found = before_us(OURS, machine)
    assert found.servers == ()
    assert found.problem == "/etc/resolv.conf names only 127.0.0.1:53, which is kdns itself"


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "127.0.0.1"])
def test_ourselves_on_all_addresses(tmp_path: Path, host: str) -> None:
    files = {"/etc/resolv.conf": "nameserver 127.0.0.1\nnameserver 192.0.2.1\n"}
    found = before_us([Address(host, 53)], Recorded(tmp_path, files))
    assert found.servers == ("192.0.2.1",)


def test_no_file(tmp_path: Path) -> None:
    found = before_us(OURS, Recorded(tmp_path, {}))
    assert found == Resolvers(
        (),
        source="/etc/resolv.conf",
        files=(f"{tmp_path}/etc/resolv.conf", f"{tmp_path}/var/lib/kdns/split-dns.json"),
        problem="/etc/resolv.conf names no server",
    )


# Of systemd 252, with kdns installed: our server on loopback is shown as a global one too.
RESOLVECTL_DNS: Final = """\
Global: 127.0.0.1:1053
Link 2 (eth0): 192.0.2.1 fe80::1%22094
Link 3 (wlan0): 192.0.2.1
Link 4 (tun0): 198.51.100.7
Link 5 (kdns0): 127.0.0.1:1053
"""
RESOLVECTL_DOMAIN: Final = """\
Global:
Link 2 (eth0): lan
Link 3 (wlan0):
Link 4 (tun0): ~corp.example
               ~example.internal
Link 5 (kdns0): ~cluster.local ~cluster.internal shop.svc.cluster.internal
"""
RESOLVED: Final = {
    "resolvectl dns": RESOLVECTL_DNS,
    "resolvectl domain": RESOLVECTL_DOMAIN,
}


def test_systemd_resolved(tmp_path: Path) -> None:
    files = {"/etc/resolv.conf": STUB, "/run/systemd/resolve/resolv.conf": "nameserver 192.0.2.9\n"}
    found = before_us(OURS, Recorded(tmp_path, files, RESOLVED))
    assert found.servers == ("192.0.2.1", "fe80::1%22094")
    assert found.domains == (
        ("corp.example", ("198.51.100.7",)),
        ("example.internal", ("198.51.100.7",)),
    )
    assert found.source == "systemd-resolved"
    assert f"{tmp_path}/run/systemd/resolve/resolv.conf" in found.files


@pytest.mark.parametrize("output", ["", "garbage\n\x00" * 10, "Link x\nLink 2 (eth0): nobody\n"])
def test_systemd_resolved_without_its_command(tmp_path: Path, output: str) -> None:
    files = {"/etc/resolv.conf": STUB, "/run/systemd/resolve/resolv.conf": "nameserver 192.0.2.9\n"}
    machine = Recorded(tmp_path, files, {"resolvectl": output} if output else {})
    assert before_us(OURS, machine).servers == ("192.0.2.9",)


def test_servers_behind_networkmanagers_dnsmasq(tmp_path: Path) -> None:
    files = {
        "/etc/resolv.conf": "nameserver 127.0.1.1\n",
        "/run/NetworkManager/no-stub-resolv.conf": "nameserver 192.0.2.1\n",
    }
    assert before_us(OURS, Recorded(tmp_path, files)).servers == ("192.0.2.1",)


# From reports of others; ours is not a macOS machine.
SCUTIL: Final = """\
DNS configuration

resolver #1
  search domain[0] : fritz.box
  nameserver[0] : 192.168.10.1
  nameserver[1] : fde2:c0d2:6cb1:0:62b5:8dff:fecc:bddf
  if_index : 14 (en0)
  flags    : Request A records, Request AAAA records
  reach    : 0x00020002 (Reachable,Directly Reachable Address)

resolver #2
  domain   : local
  options  : mdns
  timeout  : 5
  flags    : Request A records, Request AAAA records
  reach    : 0x00000000 (Not Reachable)
  order    : 300000

resolver #3
  domain   : corp.example
  nameserver[0] : 10.8.0.1
  flags    : Supplemental, Request A records
  reach    : 0x00000003 (Reachable,Transient Connection)
  order    : 101200

resolver #4
  domain   : cluster.local
  nameserver[0] : 127.0.0.1
  port     : 1053
  flags    : Request A records, Request AAAA records
  reach    : 0x00030002 (Reachable,Local Address,Directly Reachable Address)

DNS configuration (for scoped queries)

resolver #1
  search domain[0] : fritz.box
  nameserver[0] : 192.0.2.99
  if_index : 14 (en0)
  flags    : Scoped, Request A records
  reach    : 0x00020002 (Reachable,Directly Reachable Address)
"""


def test_macos(tmp_path: Path) -> None:
    machine = Recorded(tmp_path, {}, {"scutil --dns": SCUTIL}, "darwin")
    found = before_us(OURS, machine)
    assert found.servers == ("192.168.10.1", "fde2:c0d2:6cb1:0:62b5:8dff:fecc:bddf")
    assert found.search == ("fritz.box",)
    assert found.domains == (("corp.example", ("10.8.0.1",)),)


def test_macos_without_an_answer_of_scutil(tmp_path: Path) -> None:
    files = {"/etc/resolv.conf": "nameserver 192.0.2.1\n"}
    machine = Recorded(tmp_path, files, {"scutil": "No DNS configuration available\n"}, "darwin")
    assert before_us(OURS, machine).servers == ("192.0.2.1",)


def test_windows(tmp_path: Path) -> None:
    output = (
        '{"servers":["192.168.1.1","fec0:0:0:ffff::1","fe80::1%12","192.168.1.1"],'
        '"search":["corp.example",null,"C:\\\\"]}\r\n'
    )
    found = before_us(OURS, Recorded(tmp_path, {}, {"powershell": output}, "win32"))
    assert found.servers == ("192.168.1.1", "fe80::1%12")
    assert found.search == ("corp.example",)


@pytest.mark.parametrize("output", ["", "Get-DnsClient : not recognized", '{"servers": 5}', "[]"])
def test_windows_without_an_answer(tmp_path: Path, output: str) -> None:
    found = before_us(OURS, Recorded(tmp_path, {}, {"powershell": output}, "win32"))
    assert found.servers == ()
    assert found.problem


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (("sh", "-c", "sleep 60 & sleep 60"), "sh did not end within 0.2 s"),
        (("sh", "-c", "echo one >&2; printf 'two\\033[2J' >&2; exit 3"), "sh: two [2J"),
        (("false",), "false: exit status 1"),
        (("no-such-command",), "no-such-command is not there"),
        (("sh", "-c", "yes | head -c 5000000"), ""),
    ],
)
def test_commands_are_bounded(command: tuple[str, ...], problem: str) -> None:
    ran = Machine().run(*command, limit=0.2 if "60" in command[-1] else 10)
    assert ran.problem == problem
    assert len(ran.output) <= 256 * 1024


def test_written_resolv_conf_is_read_back() -> None:
    before = resolv_conf.parse(
        "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n"
        "search lan\noptions rotate timeout:1\n"
    )
    text = resolv_conf.write(Address("127.0.0.1", 53), ("shop.svc.cluster.internal",), before)
    again = resolv_conf.parse(text)
    assert [each.host for each in again.servers] == ["127.0.0.1", "192.0.2.1", "192.0.2.2"]
    assert again.search == ("shop.svc.cluster.internal", "lan")
    assert again.options == ("timeout:1",)
