"""Plain ``resolv.conf``: kdns is asked first for everything, and asks the earlier servers itself."""

from __future__ import annotations

import os
import socket
from typing import Final

from msgspec.structs import replace

from kdns.config.addresses import Address
from kdns.config.resolv_conf import ResolvConf
from kdns.system import dnsmasq, resolv_conf
from kdns.system.addresses import PORT
from kdns.system.installed import State
from kdns.system.machine import Machine
from kdns.system.steps import WRITTEN, Plan, RunCommand, Step, Wanted, WriteFile

NAME: Final = "resolv.conf"

MANAGER_PATH: Final = dnsmasq.SWITCH_PATH
MANAGER_UPSTREAMS: Final = (dnsmasq.UPSTREAMS, "/run/NetworkManager/resolv.conf")


def detect(machine: Machine) -> bool:
    """It is there always."""
    return True


def choose_address(machine: Machine) -> Address:
    """One of loopback whose port 53 nobody has."""
    taken = {each.host for each in resolv_conf.parse(machine.read(resolv_conf.PATH)).servers}
    hosts = [f"127.0.0.{last}" for last in range(1, 10)]
    free = (host for host in hosts if host not in taken and _is_free(host))
    return Address(next(free, hosts[0]), PORT)


def _is_free(host: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, PORT))
        except PermissionError:
            return True
        except OSError:
            return False
    return True


def plan(machine: Machine, wanted: Wanted) -> Plan:
    assert wanted.address, "chosen"
    before = resolv_conf.parse(machine.read(resolv_conf.PATH))
    # musl asks all servers at once and takes the first answer, were it an earlier one's "no".
    if _has(machine, "ld-musl-*") and not _has(machine, "ld-linux*"):
        before = replace(before, servers=())
    steps: list[Step] = [
        WriteFile(resolv_conf.PATH, resolv_conf.write(wanted.address, wanted.search, before))
    ]
    if dnsmasq.manager_writes(machine):
        reload = ("nmcli", "general", "reload")
        keep = f"{WRITTEN}\n[main]\nrc-manager=unmanaged\n"
        # Told first, and last on the way back, else it writes its own over ours.
        steps = [
            RunCommand(undo=reload),
            WriteFile(MANAGER_PATH, keep),
            RunCommand(do=reload),
            *steps,
        ]
    return Plan(NAME, wanted, tuple(steps))


def _has(machine: Machine, loader: str) -> bool:
    """Whether there is this dynamic loader, of which there is one for each C library."""
    return any(any(machine.path(folder).glob(loader)) for folder in ("/lib", "/lib64"))


def earlier(machine: Machine, state: State) -> tuple[ResolvConf, str]:
    """What would be in resolv.conf without us now, and the file that says so.

    The target of a link goes on being written by whoever writes it.
    """
    for change in state.changes:
        if not isinstance(change.step, WriteFile) or change.step.path != resolv_conf.PATH:
            continue
        if change.before.target:
            folder = os.path.dirname(resolv_conf.PATH)
            name = os.path.normpath(os.path.join(folder, change.before.target))
            return resolv_conf.parse(machine.read(name)), name
        text = (change.before.content or b"").decode("utf-8", "replace")
        return resolv_conf.parse(text), "the saved /etc/resolv.conf"
    return ResolvConf(), ""
