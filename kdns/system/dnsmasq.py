"""dnsmasq, which NetworkManager starts or the system: it asks other servers for some domains, by a file."""

from __future__ import annotations

from typing import Final

from kdns.config.addresses import Address
from kdns.system import resolv_conf
from kdns.system.addresses import is_loopback
from kdns.system.machine import Machine
from kdns.system.steps import Plan, RunCommand, Step, Wanted, WriteFile

NAME_OF_MANAGER: Final = "NetworkManager with dnsmasq"
NAME: Final = "dnsmasq"
PORT: Final = 1053

UPSTREAMS: Final = "/run/NetworkManager/no-stub-resolv.conf"
"""What NetworkManager would write without dnsmasq."""

MANAGER_PATH: Final = "/etc/NetworkManager/dnsmasq.d/kdns.conf"
SWITCH_PATH: Final = "/etc/NetworkManager/conf.d/kdns.conf"
PATH: Final = "/etc/dnsmasq.d/kdns.conf"

_MANAGER_PID: Final = "/run/NetworkManager/dnsmasq.pid"
_PIDS: Final = ("/run/dnsmasq/dnsmasq.pid", "/run/dnsmasq.pid")


def manager_runs(machine: Machine) -> bool:
    return machine.run("nmcli", "-t", "-f", "RUNNING", "general").output.strip() == "running"


def detect_of_manager(machine: Machine) -> bool:
    """Whether NetworkManager has one, or could have one."""
    return manager_runs(machine) and (
        machine.exists(_MANAGER_PID) or bool(machine.program("dnsmasq"))
    )


def plan_of_manager(machine: Machine, wanted: Wanted) -> Plan:
    # Names without dots as well, which NetworkManager's dnsmasq asks nobody else for.
    text = _servers(wanted) + f"server=//{_at(wanted.address)}\n"
    files: list[Step] = [WriteFile(MANAGER_PATH, text)]
    reload: tuple[str, ...] = ("nmcli", "general", "reload", "dns-full")
    if not machine.exists(_MANAGER_PID):
        reload = ("nmcli", "general", "reload")
        files.append(
            WriteFile(SWITCH_PATH, "# Written by 'kdns laptop --install'.\n[main]\ndns=dnsmasq\n")
        )
    return Plan(
        NAME_OF_MANAGER,
        wanted,
        (RunCommand(undo=reload), *files, RunCommand(do=reload)),
        (_NOTE_OF_MANAGER,),
    )


def detect(machine: Machine) -> bool:
    """Whether it runs by itself, and programs ask it."""
    found = resolv_conf.parse(machine.read(resolv_conf.PATH)).servers
    asked = bool(found) and is_loopback(found[0])
    return asked and machine.exists("/etc/dnsmasq.d") and any(map(machine.exists, _PIDS))


def plan(machine: Machine, wanted: Wanted) -> Plan:
    restart = ("systemctl", "restart", "dnsmasq")
    steps = (RunCommand(undo=restart), WriteFile(PATH, _servers(wanted)), RunCommand(do=restart))
    return Plan(NAME, wanted, steps, (_NOTE,))


_NOTE: Final = (
    "dnsmasq appends no search domains: names have to be complete,"
    " such as NAME.NAMESPACE.svc.cluster.internal"
)
_NOTE_OF_MANAGER: Final = f"{_NOTE}; only NAME alone is asked of kdns too"


def _servers(wanted: Wanted) -> str:
    lines = [f"server=/{zone}/{_at(wanted.address)}\n" for zone in wanted.zones]
    return "# Written by 'kdns laptop --install'.\n" + "".join(lines)


def _at(address: Address | None) -> str:
    assert address, "chosen"
    return f"{address.host}#{address.port}"
