"""Windows: the Name Resolution Policy Table sends domains elsewhere, to port 53 only."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from kdns.config.addresses import Address
from kdns.system.addresses import domain, servers
from kdns.system.machine import LOOK_IN_POWERSHELL, Machine
from kdns.system.steps import Plan, PlanError, RunCommand, Wanted

NAME: Final = "Name Resolution Policy Table"
PORT: Final = 53

_COMMENT: Final = "kdns laptop"
_REMOVE: Final = (
    f"Get-DnsClientNrptRule | Where-Object Comment -eq '{_COMMENT}'"
    " | ForEach-Object { Remove-DnsClientNrptRule -Name $_.Name -Force }"
)
_FLUSH: Final = "Clear-DnsClientCache"

_LOOK: Final = (
    "ConvertTo-Json -Compress -Depth 3 @{"
    "servers = @(Get-DnsClientServerAddress | Where-Object ServerAddresses"
    " | ForEach-Object { $_.ServerAddresses }); "
    "search = @((Get-DnsClientGlobalSetting).SuffixSearchList)}"
)

_NEVER_SET: Final = "fec0:0:0:ffff:"
"""What an interface has that nobody gave IPv6 servers (site-local, RFC 3879 retired them)."""


def detect(machine: Machine) -> bool:
    return machine.platform == "win32"


def plan(machine: Machine, wanted: Wanted) -> Plan:
    assert wanted.address, "chosen"
    if wanted.address.port != PORT:
        raise PlanError(
            f"Windows asks port {PORT} only, not {wanted.address.port}:"
            " give --listen 127.0.0.1:53, for which no privilege is needed"
        )
    zones = ", ".join(f"'.{zone}'" for zone in wanted.zones)
    add = (
        f"foreach ($zone in {zones}) {{ Add-DnsClientNrptRule -Namespace $zone"
        f" -NameServers '{wanted.address.host}' -Comment '{_COMMENT}' }}"
    )
    step = RunCommand(
        do=_powershell(_REMOVE, add, _FLUSH),
        undo=_powershell(_REMOVE, _FLUSH),
    )
    return Plan(NAME, wanted, (step,))


def _powershell(*commands: str) -> tuple[str, ...]:
    script = "; ".join(("$ErrorActionPreference = 'Stop'", *commands))
    return ("powershell", "-NoProfile", "-NonInteractive", "-Command", script)


class _Looked(Struct):
    servers: list[str] = []
    search: list[str | None] = []


def upstreams(machine: Machine) -> tuple[list[Address], list[str]]:
    """The servers of all interfaces, and the search domains."""
    ran = machine.run(*_powershell(_LOOK), limit=LOOK_IN_POWERSHELL)
    try:
        looked = msgspec.json.decode(ran.output.strip(), type=_Looked)
    except ValueError:
        return [], []
    found = [text for text in looked.servers if not text.lower().startswith(_NEVER_SET)]
    return servers(found), [name for text in looked.search if (name := domain(text or ""))]
