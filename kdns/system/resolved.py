"""systemd-resolved: which servers it asks for which domains, and having it ask kdns for some.

From systemd 258 on there is a file for just this (systemd.dns-delegate(5)). Before, servers and domains
belong to an interface, so there is one without traffic (a dummy) that has ours; a unit makes it at each
start of the system. A global server would not do: resolved asks those for all other names as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from kdns.config.addresses import Address
from kdns.system import resolv_conf
from kdns.system.addresses import domain, servers
from kdns.system.machine import Machine
from kdns.system.steps import WRITTEN, Plan, RunCommand, Step, Wanted, WriteFile

NAME: Final = "systemd-resolved"
UPSTREAMS: Final = "/run/systemd/resolve/resolv.conf"
PORT: Final = 1053

LINK: Final = "kdns0"
LINK_ADDRESS: Final = "192.0.2.53/32"
"""Of TEST-NET-1: resolved asks no servers of an interface that has no address."""

UNIT: Final = "kdns-split-dns.service"
UNIT_PATH: Final = f"/etc/systemd/system/{UNIT}"
DELEGATE_PATH: Final = "/etc/systemd/dns-delegate.d/kdns.dns-delegate"
DELEGATES_SINCE: Final = 258


def detect(machine: Machine) -> bool:
    """Whether programs ask it: by its stub, or by nsswitch."""
    if not machine.exists("/run/systemd/resolve/io.systemd.Resolve"):
        return False
    if is_stub(machine):
        return True
    hosts = re.search(r"^hosts:(.*)$", machine.read("/etc/nsswitch.conf"), re.MULTILINE)
    return hosts is not None and "resolve" in hosts[1].split()


def is_stub(machine: Machine) -> bool:
    """Whether resolv.conf sends programs to it."""
    found = resolv_conf.parse(machine.read(resolv_conf.PATH)).servers
    return bool(found) and resolv_conf.STUBS.issuperset(found)


def plan(machine: Machine, wanted: Wanted) -> Plan:
    delegates = _version(machine) >= DELEGATES_SINCE
    return Plan(NAME, wanted, _delegate(wanted) if delegates else _interface(machine, wanted))


def _version(machine: Machine) -> int:
    found = re.match(r"systemd (\d{1,5})\b", machine.run("resolvectl", "--version").output)
    return int(found[1]) if found else 0


def _delegate(wanted: Wanted) -> tuple[Step, ...]:
    restart = ("systemctl", "restart", "systemd-resolved")
    text = f"[Delegate]\nDNS={wanted.address}\nDomains={' '.join(_domains(wanted))}\n"
    return (
        RunCommand(undo=restart),
        WriteFile(DELEGATE_PATH, f"{WRITTEN}\n{text}"),
        RunCommand(do=restart),
    )


def _domains(wanted: Wanted) -> list[str]:
    """With ``~`` those that only say which questions to send, without it also to be appended."""
    only = [zone for zone in wanted.zones if zone not in wanted.search]
    return [*wanted.search, *(f"~{zone}" for zone in only)]


def _interface(machine: Machine, wanted: Wanted) -> tuple[Step, ...]:
    ip, resolvectl = (machine.program(name) or name for name in ("ip", "resolvectl"))
    lines = [
        WRITTEN,
        "[Unit]",
        "Description=Names of Kubernetes clusters are asked of kdns",
        "After=systemd-resolved.service",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        f"ExecStartPre=-{ip} link delete {LINK}",
        f"ExecStart={ip} link add {LINK} type dummy",
        f"ExecStart={ip} address add {LINK_ADDRESS} dev {LINK}",
        f"ExecStart={ip} link set {LINK} up",
        f"ExecStart={resolvectl} dns {LINK} {wanted.address}",
        f"ExecStart={resolvectl} domain {LINK} {' '.join(_domains(wanted))}",
        f"ExecStart={resolvectl} default-route {LINK} false",
        f"ExecStop={ip} link delete {LINK}",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    reload = ("systemctl", "daemon-reload")
    return (
        RunCommand(undo=reload),
        WriteFile(UNIT_PATH, "\n".join(lines) + "\n"),
        RunCommand(do=reload),
        RunCommand(
            do=("systemctl", "enable", "--now", UNIT), undo=("systemctl", "disable", "--now", UNIT)
        ),
    )


# ---- what it asks


def upstreams(machine: Machine) -> tuple[list[Address], tuple[tuple[str, list[Address]], ...]]:
    """The servers for all names, and those for the domains that only some interfaces know.

    A server on loopback is shown with those for all names even when it is an interface's.
    """
    by_link = {link: servers(words) for link, words in _links(machine, "dns")}
    domains = dict(_links(machine, "domain"))
    elsewhere: list[tuple[str, list[Address]]] = []
    general: list[Address] = []
    for link, found in by_link.items():
        routed = [name for word in domains.get(link, ()) if (name := _routed(word))]
        elsewhere += [(name, found) for name in routed if found]
        if not routed or "~." in domains[link]:
            general += found
    if not general:
        general = list(resolv_conf.parse(machine.read(UPSTREAMS)).servers)
    return list(dict.fromkeys(general)), tuple(elsewhere)


def _routed(word: str) -> str:
    return domain(word[1:]) if word.startswith("~") else ""


def _links(machine: Machine, what: str) -> Iterator[tuple[str, list[str]]]:
    """Of ``resolvectl dns`` and the like: ``Link 2 (eth0): WORDS``, wrapped by some versions."""
    link, words = "", list[str]()
    for line in machine.run("resolvectl", what).output.splitlines():
        head = re.match(r"(?:(Global)|Link \d+ \(([^)]+)\)|Delegate (\S+)):(.*)", line)
        if head:
            if link:
                yield link, words
            link, words = head[1] or head[2] or f"delegate {head[3]}", head[4].split()
        elif line[:1].isspace():
            words += line.split()
    if link:
        yield link, words
