"""What ``kdns laptop doctor`` says of a laptop on which one thing after the other is broken."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec
import pytest

from kdns.config.addresses import Address
from kdns.system import installed
from kdns.system.asking import Question, Replies, Reply
from kdns.system.doctor import WHOAMI, Finding, examine
from kdns.system.steps import Plan, Wanted, WriteFile
from kdns.wire.constants import Type
from tests.system.test_resolvers import STUB, Recorded

HERE: Final = Address("127.0.0.1", 53)
NETWORK: Final = Address("192.0.2.1", 53)
WANTED: Final = Wanted(("cluster.local", "cluster.internal"), (), HERE)
GOOD: Final = "nameserver 127.0.0.1\nnameserver 192.0.2.1\n"
SWITCH: Final = "/etc/nsswitch.conf"

SILENT: Final = Reply(words="no reply within 2 s")
NOT_THERE: Final = Reply("NXDOMAIN")
ANSWERED: Final = Reply("NOERROR", answered=True)
BY_KDNS: Final = Reply(
    "NOERROR", texts=("2 Pod shop/web", "1 address 127.0.0.1 port 4711 over udp")
)


class Servers:
    """Which servers are kdns, or lead names of the cluster (or all) to it; all others are the network's."""

    def __init__(
        self,
        kdns: str = "",
        split: str = "",
        silent: str = "",
        of_others: str = "",
        root: Reply = ANSWERED,
        other: Reply = NOT_THERE,
    ):
        self.kdns, self.split, self.silent = kdns.split(), split.split(), silent.split()
        self.of_others = of_others.split()
        self.root, self.other = root, other

    def __call__(self, questions: Collection[Question]) -> Replies:
        return {question: self._reply(question) for question in questions}

    def _reply(self, question: Question) -> Reply:
        host, leads = question.server.host, [*self.kdns, *self.split]
        if host in self.silent:
            return SILENT
        if question.name == ".":
            return self.root if host in self.kdns else ANSWERED
        if question.rtype == Type.SOA:
            return ANSWERED if host in leads and host not in self.of_others else NOT_THERE
        assert question.name == WHOAMI
        return BY_KDNS if host in self.kdns else self.other


RUNS: Final = Servers(kdns="127.0.0.1")

CASES: Final = {
    "all is well": ({"/etc/resolv.conf": GOOD}, RUNS, []),
    "does not run": (
        {"/etc/resolv.conf": GOOD},
        Servers(silent="127.0.0.1"),
        [
            "kdns does not run: nobody answers at 127.0.0.1:53. -> kdns laptop",
            (
                "Programs ask 127.0.0.1 first, and it does not reply (no reply within 2 s)."
                " -> sudo kdns laptop --install"
            ),
        ],
    ),
    "another program there": (
        {"/etc/resolv.conf": GOOD},
        Servers(),
        [
            "At 127.0.0.1:53 something else answers, not kdns. -> sudo ss -lnup 'sport = :53'",
            (
                "Programs ask 127.0.0.1, which does not ask kdns for cluster.internal: NXDOMAIN."
                " -> sudo kdns laptop --install"
            ),
        ],
    ),
    "another program there that has an answer to everything": (
        {"/etc/resolv.conf": GOOD},
        Servers(
            split="127.0.0.1 192.0.2.1", other=Reply("NOERROR", answered=True, texts=("welcome",))
        ),
        ["At 127.0.0.1:53 something else answers, not kdns. -> sudo ss -lnup 'sport = :53'"],
    ),
    "not asked": (
        {"/etc/resolv.conf": "nameserver 192.0.2.1\n"},
        RUNS,
        [
            (
                "Programs ask 192.0.2.1, which does not ask kdns for cluster.internal: NXDOMAIN."
                " -> sudo kdns laptop --install"
            )
        ],
    ),
    "in turn": (
        {"/etc/resolv.conf": GOOD + "options rotate\n"},
        RUNS,
        [
            (
                "'options rotate' in /etc/resolv.conf: programs ask the servers in turn."
                " Only 127.0.0.1 knows of the cluster. -> sudo kdns laptop --install"
            )
        ],
    ),
    "no server": (
        {"/etc/resolv.conf": "search lan\n"},
        RUNS,
        [
            "/etc/resolv.conf names no server that is an IP address.",
            (
                "kdns has nobody to ask for other names: /etc/resolv.conf names no server."
                " -> kdns laptop --upstream ADDRESS"
            ),
        ],
    ),
    "no dns in nsswitch": (
        {"/etc/resolv.conf": GOOD, SWITCH: "passwd: files\nhosts: files mymachines\n"},
        RUNS,
        [
            (
                "'hosts: files mymachines' in /etc/nsswitch.conf has neither dns nor resolve:"
                " programs ask no name server."
            )
        ],
    ),
    "a loop": (
        {"/etc/resolv.conf": "nameserver 127.0.0.1\nnameserver 192.0.2.9\n"},
        Servers(kdns="127.0.0.1 192.0.2.9"),
        [
            (
                "A loop: kdns asks 192.0.2.9 (/etc/resolv.conf) for other names, which asks kdns for"
                " them. -> kdns laptop --upstream ADDRESS"
            )
        ],
    ),
    "a resolver that splits is no loop": (
        {"/etc/resolv.conf": "nameserver 127.0.0.1\nnameserver 192.0.2.9\n"},
        Servers(kdns="127.0.0.1", split="192.0.2.9"),
        [],
    ),
    "the network is silent": (
        {"/etc/resolv.conf": GOOD},
        Servers(kdns="127.0.0.1", silent="192.0.2.1"),
        [
            (
                "192.0.2.1 (/etc/resolv.conf), asked for other names, does not reply"
                " (no reply within 2 s)."
            )
        ],
    ),
    "kdns for another cluster": (
        {"/etc/resolv.conf": GOOD},
        Servers(kdns="127.0.0.1", of_others="127.0.0.1"),
        [
            (
                "kdns at 127.0.0.1:53 does not have names in cluster.internal: NXDOMAIN."
                " It may have been started for another cluster or zone."
            )
        ],
    ),
    "kdns cannot forward": (
        {"/etc/resolv.conf": GOOD},
        Servers(kdns="127.0.0.1", root=Reply("SERVFAIL", words="no upstream")),
        ["kdns cannot have other names resolved: SERVFAIL (no upstream)."],
    ),
}


def wrong(findings: list[Finding], level: str = "wrong") -> list[str]:
    found = [each for each in findings if each.level == level]
    return [each.text + (f" -> {each.help}" if each.help else "") for each in found]


@pytest.mark.parametrize(("files", "servers", "expected"), CASES.values(), ids=CASES)
def test_what_is_wrong(
    tmp_path: Path, files: dict[str, str], servers: Servers, expected: list[str]
) -> None:
    assert wrong(examine(Recorded(tmp_path, files), WANTED, servers)) == expected


MULTICAST: Final = (
    "for names in .local, so those in cluster.local may be slow or not found."
    " The same names are in cluster.internal."
)

NOTES: Final = {
    "nss-mdns": (
        {SWITCH: "hosts: files mdns4_minimal [NOTFOUND=return] dns\n"},
        "linux",
        f"/etc/nsswitch.conf asks multicast DNS before name servers {MULTICAST}",
    ),
    "avahi": (
        {"/run/avahi-daemon/pid": "1"},
        "linux",
        f"avahi-daemon answers by multicast DNS {MULTICAST}",
    ),
    "macOS": ({}, "darwin", f"macOS asks multicast DNS {MULTICAST}"),
    "a VPN": (
        {"/sys/class/net/tun0/x": "", "/sys/class/net/eth0/x": "", "/sys/class/net/wg-home/x": ""},
        "linux",
        (
            "There are interfaces of a VPN: tun0, wg-home. What opens or closes it may write /etc/resolv.conf"
            " anew; look here again after that."
        ),
    ),
}


@pytest.mark.parametrize(("files", "platform", "note"), NOTES.values(), ids=NOTES)
def test_notes(tmp_path: Path, files: dict[str, str], platform: str, note: str) -> None:
    machine = Recorded(tmp_path, {"/etc/resolv.conf": GOOD, **files}, {}, platform)
    found = examine(machine, WANTED, RUNS)
    assert wrong(found) == []
    assert note in wrong(found, "note")


def test_domains_of_a_vpn(tmp_path: Path) -> None:
    commands = {
        "resolvectl dns": "Link 2 (eth0): 192.0.2.1\nLink 3 (tun0): 10.8.0.1\n",
        "resolvectl domain": "Link 2 (eth0): lan\nLink 3 (tun0): ~corp.example\n",
    }
    machine = Recorded(tmp_path, {"/etc/resolv.conf": STUB}, commands)
    found = examine(machine, WANTED, Servers(kdns="127.0.0.1", split="127.0.0.53"))
    assert wrong(found) == []
    assert "Names in corp.example have servers of their own: 10.8.0.1." in wrong(found, "note")


def test_what_somebody_changed_since(tmp_path: Path) -> None:
    machine = Recorded(tmp_path, {"/etc/resolv.conf": "nameserver 192.0.2.1\n"})
    steps = (WriteFile("/etc/resolv.conf", GOOD), WriteFile("/etc/other", ""))
    installed.install(machine, Plan("resolv.conf", WANTED, steps))
    assert wrong(examine(machine, WANTED, RUNS)) == []
    machine.path("/etc/resolv.conf").write_text("# by a VPN\n" + GOOD)
    assert wrong(examine(machine, WANTED, RUNS)) == [
        (
            "/etc/resolv.conf was changed since: by a VPN, DHCP or a network manager."
            " -> sudo kdns laptop --install"
        )
    ]


def test_an_installation_that_was_interrupted(tmp_path: Path) -> None:
    machine = Recorded(tmp_path, {"/etc/resolv.conf": GOOD})
    changes = (installed.Change(WriteFile("/etc/resolv.conf", GOOD)),) * 2
    path = machine.path(installed.STATE_ELSEWHERE)
    path.parent.mkdir(parents=True)
    path.write_bytes(msgspec.json.encode(installed.State("resolv.conf", WANTED, changes, done=1)))
    assert wrong(examine(machine, WANTED, RUNS)) == [
        "An installation was interrupted and is not complete. -> sudo kdns laptop --install"
    ]


def test_where_kdns_may_be_when_nothing_is_installed(tmp_path: Path) -> None:
    machine = Recorded(tmp_path, {"/etc/resolv.conf": GOOD})
    found = examine(machine, Wanted(("cluster.local",)), Servers(kdns="127.0.0.153"))
    assert "kdns answers at 127.0.0.153:53." in wrong(found, "ok")
    assert "Split DNS is not installed. -> sudo kdns laptop --install" in wrong(found, "note")


def test_another_program_where_kdns_may_be(tmp_path: Path) -> None:
    machine = Recorded(tmp_path, {"/etc/resolv.conf": GOOD})
    found = examine(machine, Wanted(("cluster.local",)), Servers(silent="127.0.0.153"))
    assert wrong(found)[0] == (
        "kdns does not run: at 127.0.0.1:53 and 127.0.0.1:1053 other programs answer,"
        " at 127.0.0.153:53 nobody. -> kdns laptop"
    )
