"""What this machine asks, or asked before kdns was put in front of it. Blocking: for a thread."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from kdns.config.addresses import Address
from kdns.config.resolv_conf import ResolvConf
from kdns.system import dnsmasq, macos, plain, resolv_conf, resolved, windows
from kdns.system.addresses import is_loopback, others
from kdns.system.installed import read_state, state_name
from kdns.system.machine import Machine
from kdns.system.steps import PlanError


class Resolvers(Struct, frozen=True):
    """Servers as the directive ``forward`` takes them, in the system's order."""

    servers: tuple[str, ...]
    search: tuple[str, ...] = ()
    source: str = ""
    """Where this was read, for people."""
    domains: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Domains that have servers of their own (a VPN's), with these."""
    files: tuple[str, ...] = ()
    """Another answer is to be expected when one of these changes."""
    problem: str = ""
    """Why there are no servers, in words."""


class _Found(Struct):
    source: str
    servers: Collection[Address]
    search: Collection[str] = ()
    domains: tuple[tuple[str, list[Address]], ...] = ()


def before_us(ours: Collection[Address], machine: Machine | None = None) -> Resolvers:
    """The resolvers of the system without kdns, which listens at ``ours``. Never raises.

    It may take some seconds, where commands have to be asked.
    """
    machine = machine or Machine()
    found = _look(machine)
    servers = others(found.servers, ours)
    domains = ((name, others(each, ours)) for name, each in found.domains)
    return Resolvers(
        servers=servers,
        search=tuple(found.search),
        source=found.source,
        domains=tuple((name, each) for name, each in domains if each),
        files=_files(machine),
        problem="" if servers else _problem(found),
    )


def _problem(found: _Found) -> str:
    if not found.servers:
        return f"{found.source} names no server"
    names = ", ".join(map(str, found.servers))
    return f"{found.source} names only {names}, which is kdns itself"


def _look(machine: Machine) -> _Found:
    match machine.platform:
        case "win32":
            servers, search = windows.upstreams(machine)
            return _Found("Get-DnsClientServerAddress", servers, search)
        case "darwin":
            servers, domains, search = macos.upstreams(machine)
            if servers:
                return _Found("scutil --dns", servers, search, domains)
        case _:
            pass
    return _look_in_files(machine)


def _look_in_files(machine: Machine) -> _Found:
    conf, source = _resolv_conf(machine)
    if conf.servers and resolv_conf.STUBS.issuperset(conf.servers):
        servers, domains = resolved.upstreams(machine)
        if servers:
            return _Found(resolved.NAME, servers, conf.search, domains)
    if conf.servers and all(map(is_loopback, conf.servers)):
        # A forwarder of NetworkManager's may send names here that have no dots.
        behind = resolv_conf.parse(machine.read(dnsmasq.UPSTREAMS))
        if behind.servers:
            return _Found(dnsmasq.UPSTREAMS, behind.servers, conf.search)
    return _Found(source, conf.servers, conf.search)


def _resolv_conf(machine: Machine) -> tuple[ResolvConf, str]:
    """The file, or what it would be without us."""
    try:
        state = read_state(machine)
    except PlanError:
        state = None
    if state is not None and state.method == plain.NAME:
        for name in plain.MANAGER_UPSTREAMS:
            conf = resolv_conf.parse(machine.read(name))
            if conf.servers:
                return conf, name
        conf, source = plain.earlier(machine, state)
        if conf.servers:
            return conf, source
    return resolv_conf.parse(machine.read(resolv_conf.PATH)), resolv_conf.PATH


def _files(machine: Machine) -> tuple[str, ...]:
    """Those that are there, and resolv.conf and the state, which may come."""
    if machine.platform == "win32":
        return ()
    target = machine.link(resolv_conf.PATH)
    maybe = (target, resolved.UPSTREAMS, *plain.MANAGER_UPSTREAMS)
    there = (name for name in maybe if name and machine.exists(name))
    names = dict.fromkeys((resolv_conf.PATH, *there, state_name(machine)))
    return tuple(str(machine.path(name)) for name in names)
