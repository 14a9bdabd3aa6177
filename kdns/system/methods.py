"""The ways in which systems send some names elsewhere, and which one this machine has."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.addresses import Address
from kdns.system import dnsmasq, macos, plain, resolved, windows
from kdns.system.addresses import PORT, domain
from kdns.system.machine import Machine
from kdns.system.steps import Plan, PlanError, Wanted
from kdns.wire.names import is_address


class SplitDns(Struct, frozen=True):
    """One of the ways. What it changes and how that is undone are steps of its plan."""

    name: str
    detect: Callable[[Machine], bool]
    plan: Callable[[Machine, Wanted], Plan]
    """From a ``Wanted`` with an address. Raises ``PlanError``."""
    choose_address: Callable[[Machine], Address]


def _loopback(port: int) -> Callable[[Machine], Address]:
    return lambda _: Address("127.0.0.1", port)


METHODS: Final = (
    SplitDns(windows.NAME, windows.detect, windows.plan, _loopback(windows.PORT)),
    SplitDns(macos.NAME, macos.detect, macos.plan, _loopback(macos.PORT)),
    SplitDns(resolved.NAME, resolved.detect, resolved.plan, _loopback(resolved.PORT)),
    SplitDns(
        dnsmasq.NAME_OF_MANAGER,
        dnsmasq.detect_of_manager,
        dnsmasq.plan_of_manager,
        _loopback(dnsmasq.PORT),
    ),
    SplitDns(dnsmasq.NAME, dnsmasq.detect, dnsmasq.plan, _loopback(dnsmasq.PORT)),
    SplitDns(plain.NAME, plain.detect, plain.plan, plain.choose_address),
)
"""The first that is detected is taken."""


def plan(machine: Machine, wanted: Wanted) -> Plan:
    """What an installation would do here. Raises ``PlanError``."""
    method = next(method for method in METHODS if method.detect(machine))
    address = wanted.address or method.choose_address(machine)
    for name in (*wanted.zones, *wanted.search):
        if not re.fullmatch(r"[a-z0-9_.-]+", name) or domain(name) != name:
            raise PlanError(f"{name!r} is no domain name in lower case without final dot")
    if not wanted.zones or not is_address(address.host) or not address.port:
        raise PlanError(f"the system's resolver needs a zone and an IP address, not {address}")
    if method.name == plain.NAME and address.port != PORT:
        raise PlanError(
            f"programs here read /etc/resolv.conf, which can name port {PORT} only,"
            f" not {address.port}: give --listen 127.0.0.1:{PORT}"
        )
    return method.plan(machine, replace(wanted, address=_reachable(address)))


def _reachable(address: Address) -> Address:
    """Where to ask what listens on all addresses."""
    return Address(
        {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host), address.port
    )
