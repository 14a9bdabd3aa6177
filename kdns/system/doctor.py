"""Why a name of the cluster is not found on this machine, in sentences, with the command that helps.

Everything is looked at by the way that a question goes: how programs ask, whom they ask, whether that
one asks kdns, whether kdns is there, whom it asks for other names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.addresses import Address
from kdns.config.resolv_conf import ResolvConf
from kdns.system import macos, plain, resolv_conf, resolved
from kdns.system.addresses import PORT, servers
from kdns.system.asking import Question, Replies, Reply, ask_all
from kdns.system.installed import State, is_in_place, read_state
from kdns.system.machine import Machine
from kdns.system.resolvers import Resolvers, before_us
from kdns.system.steps import Wanted, WriteFile
from kdns.wire.constants import Type

INSTALL: Final = "sudo kdns laptop --install"

WHOAMI: Final = "whoami.kdns"
"""A name that kdns answers itself, and no other server: who does is a kdns, or asks one for all names."""

_OWN_WORDS: Final = re.compile(r"1 address \S+ port \d+ over \w+")
"""The first record there."""

PLACES: Final = (
    Address("127.0.0.1", PORT),
    Address("127.0.0.153", PORT),
    Address("127.0.0.1", 1053),
)
"""Where kdns may listen when nothing is installed."""

UNPRIVILEGED_PORTS: Final = "/proc/sys/net/ipv4/ip_unprivileged_port_start"

_VPN: Final = re.compile(
    r"(tun|tap|wg|ppp|ipsec|tailscale|zt|nordlynx|proton|cscotun|gpd|vpn)[\w-]*"
)


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    level: Literal["ok", "note", "wrong"]
    text: str
    help: str = ""
    """What to type."""


class Case(Struct, frozen=True):
    """All that was looked at, and what the servers said."""

    machine: Machine
    wanted: Wanted
    state: State | None
    places: tuple[Address, ...]
    conf: ResolvConf
    upstreams: Resolvers
    replies: Replies

    @property
    def zone(self) -> str:
        """One that is not ``.local``, when there is one."""
        return next((z for z in self.wanted.zones if not is_local(z)), self.wanted.zones[0])

    @property
    def place(self) -> Address | None:
        """Where kdns answers."""
        return next(filter(self.is_kdns, self.places), None)

    @property
    def outside(self) -> list[Address]:
        """Whom kdns asks for other names."""
        return servers(self.upstreams.servers)

    def is_kdns(self, address: Address) -> bool:
        """Whether it says there what only kdns says: others have an answer to every name, too."""
        return any(map(_OWN_WORDS.fullmatch, self.reply(address, WHOAMI).texts))

    def leads_here(self, address: Address) -> bool:
        """Whether names of the cluster get from there to kdns."""
        return self.reply(address, self.zone, Type.SOA).answered

    def reply(self, asked: Address, name: str, rtype: int = Type.TXT) -> Reply:
        return self.replies[Question(asked, name, rtype)]


def examine(
    machine: Machine,
    wanted: Wanted,
    ask: Callable[[Collection[Question]], Replies] = ask_all,
) -> list[Finding]:
    """Look at everything; it takes some seconds. Raises ``PlanError`` when the state cannot be read."""
    state = read_state(machine)
    places = (wanted.address,) if wanted.address else PLACES
    conf = resolv_conf.parse(machine.read(resolv_conf.PATH))
    upstreams = before_us(places, machine)
    case = Case(machine, wanted, state, places, conf, upstreams, {})
    case = replace(case, replies=ask(list(_questions(case))))
    return [finding for check in CHECKS for finding in check(case)]


def _questions(case: Case) -> Iterator[Question]:
    for address in (*case.places, *case.conf.servers, *case.outside):
        yield Question(address, WHOAMI, Type.TXT)
        yield Question(address, case.zone, Type.SOA)
        yield Question(address, ".", Type.NS)


def is_local(zone: str) -> bool:
    return zone == "local" or zone.endswith(".local")


# ---- checks, in the order in which they are told


def _installation(case: Case) -> Iterator[Finding]:
    state = case.state
    if state is None:
        yield Finding("note", "Split DNS is not installed.", INSTALL)
        return
    if state.done < len(state.changes):
        yield Finding("wrong", "An installation was interrupted and is not complete.", INSTALL)
    for change in state.changes[: state.done]:
        if isinstance(change.step, WriteFile) and not is_in_place(case.machine, change):
            text = f"{change.step.path} was changed since: by a VPN, DHCP or a network manager."
            yield Finding("wrong", text, INSTALL)
    if any(
        isinstance(c.step, WriteFile) and c.step.path == resolved.UNIT_PATH for c in state.changes
    ):
        yield from _interface(case.machine)
    yield Finding("ok", f"Installed ({state.method}) for names in {', '.join(state.wanted.zones)}.")


def _interface(machine: Machine) -> Iterator[Finding]:
    if not machine.exists(f"/sys/class/net/{resolved.LINK}"):
        text = f"The interface {resolved.LINK}, which has kdns as its server, is not there."
        yield Finding("wrong", text, f"sudo systemctl restart {resolved.UNIT}")


def _kdns(case: Case) -> Iterator[Finding]:
    if case.place:
        yield Finding("ok", f"kdns answers at {case.place}.")
        if not case.leads_here(case.place):
            reply = case.reply(case.place, case.zone, Type.SOA)
            text = f"kdns at {case.place} does not have names in {case.zone}: {reply}."
            yield Finding("wrong", f"{text} It may have been started for another cluster or zone.")
        return
    others = [each for each in case.places if case.reply(each, WHOAMI).rcode]
    if others and (address := case.wanted.address):
        text = f"At {address} something else answers, not kdns."
        yield Finding("wrong", text, f"sudo ss -lnup 'sport = :{address.port}'")
        return
    silent = [each for each in case.places if each not in others]
    text = f"nobody answers at {' or '.join(map(str, silent))}"
    if others:
        text = f"at {' and '.join(map(str, others))} other programs answer"
        text += f", at {' and '.join(map(str, silent))} nobody" if silent else ""
    yield Finding("wrong", f"kdns does not run: {text}.", "kdns laptop")
    if case.wanted.address and (hint := port_hint(case.machine, case.wanted.address)):
        yield Finding("note", hint)


def port_hint(machine: Machine, address: Address) -> str:
    """How to listen there without being root; "" where nothing is needed."""
    first = machine.read(UNPRIVILEGED_PORTS).strip()
    if not (first.isascii() and first.isdigit()) or address.port >= int(first[:6]):
        return ""
    return (
        f"Port {address.port} is for root. To allow it to everybody here:"
        f" sudo sysctl net.ipv4.ip_unprivileged_port_start={address.port}"
    )


def _programs(case: Case) -> Iterator[Finding]:
    """How programs ask: the C library's order."""
    text = case.machine.read("/etc/nsswitch.conf")
    found = re.search(r"^\s*hosts:(.*)$", text, re.MULTILINE)
    if found is None:
        return
    words = found[1].split("#")[0].split()
    if not {"dns", "resolve"} & set(words):
        line = f"'hosts:{found[1]}' in /etc/nsswitch.conf has neither dns nor resolve:"
        yield Finding("wrong", f"{line} programs ask no name server.")
        return
    first = min(words.index(word) for word in ("dns", "resolve") if word in words)
    if any(word.startswith("mdns") for word in words[:first]):
        yield from _multicast(case, "/etc/nsswitch.conf asks multicast DNS before name servers")
    uses_file = case.state is not None and case.state.method == plain.NAME
    if uses_file and words[first] == "resolve" and resolved.detect(case.machine):
        text = "Programs ask systemd-resolved (/etc/nsswitch.conf) and not /etc/resolv.conf."
        yield Finding("wrong", text, INSTALL)


def _daemons(case: Case) -> Iterator[Finding]:
    if macos.detect(case.machine):
        yield from _multicast(case, "macOS asks multicast DNS")
    elif case.machine.exists("/run/avahi-daemon/pid"):
        yield from _multicast(case, "avahi-daemon answers by multicast DNS")


def _multicast(case: Case, who: str) -> Iterator[Finding]:
    zones = [zone for zone in case.wanted.zones if is_local(zone)]
    if zones:
        text = (
            f"{who} for names in .local, so those in {', '.join(zones)} may be slow or not found."
        )
        yield Finding("note", f"{text} The same names are in {case.zone}.")


def _servers(case: Case) -> Iterator[Finding]:
    """Whom programs ask, where that is told by resolv.conf."""
    if case.machine.platform in {"darwin", "win32"}:
        return
    if not case.conf.servers:
        yield Finding("wrong", "/etc/resolv.conf names no server that is an IP address.")
        return
    first = case.conf.servers[0]
    name = first.host
    reply = case.reply(first, case.zone, Type.SOA)
    again = INSTALL if case.state is None or case.place else "kdns laptop"
    if case.leads_here(first):
        yield Finding(
            "ok", f"Programs ask {name}, and names in {case.zone} get from there to kdns."
        )
    elif not reply.rcode:
        text = f"Programs ask {name} first, and it does not reply ({reply.words})."
        yield Finding("wrong", text, again)
    elif not case.is_kdns(first):  # of kdns itself it was told above
        text = f"Programs ask {name}, which does not ask kdns for {case.zone}: {reply}."
        yield Finding("wrong", text, again)
    if len(case.conf.servers) > 1 and "rotate" in case.conf.options:
        text = "'options rotate' in /etc/resolv.conf: programs ask the servers in turn."
        yield Finding("wrong", f"{text} Only {name} knows of the cluster.", INSTALL)


def _look_up(case: Case) -> Iterator[Finding]:
    """What a program gets, when all that is needed is there."""
    name = f"ns.dns.{case.zone}"
    if case.place is None or not case.leads_here(case.place):
        return
    if not case.machine.program("getent"):
        return
    ran = case.machine.run("getent", "ahosts", name, limit=5.0)
    if ran.problem:
        text = f"Programs do not find {name}, which kdns has ({ran.problem})."
        yield Finding("wrong", text)
    else:
        yield Finding("ok", f"Programs find {name}.")


def _upstreams(case: Case) -> Iterator[Finding]:
    """Whom kdns asks for other names: it must be there, and not ask kdns."""
    source = case.upstreams.source
    if case.upstreams.problem:
        text = f"kdns has nobody to ask for other names: {case.upstreams.problem}."
        yield Finding("wrong", text, "kdns laptop --upstream ADDRESS")
    for address in case.outside:
        reply = case.reply(address, ".", Type.NS)
        told = f"{address.host} ({source})"
        if case.is_kdns(address) and case.leads_here(address):
            text = f"A loop: kdns asks {told} for other names, which asks kdns for them."
            yield Finding("wrong", text, "kdns laptop --upstream ADDRESS")
        elif not reply.rcode:
            yield Finding(
                "wrong", f"{told}, asked for other names, does not reply ({reply.words})."
            )
        else:
            yield Finding("ok", f"Other names are asked of {told}, which replies.")


def _forwarding(case: Case) -> Iterator[Finding]:
    """Whether kdns gets what those have that it asks."""
    replies = [case.reply(address, ".", Type.NS) for address in case.outside]
    reply = case.reply(case.place, ".", Type.NS) if case.place else Reply()
    if reply.rcode == "SERVFAIL" and any(each.rcode == "NOERROR" for each in replies):
        yield Finding("wrong", f"kdns cannot have other names resolved: {reply}.")


def _vpns(case: Case) -> Iterator[Finding]:
    try:
        links = sorted(each.name for each in case.machine.path("/sys/class/net").iterdir())
    except OSError:
        links = []
    if found := [name for name in links if _VPN.fullmatch(name)]:
        text = (
            f"There are interfaces of a VPN: {', '.join(found[:10])}. What opens or closes it may"
        )
        yield Finding("note", f"{text} write /etc/resolv.conf anew; look here again after that.")
    for zone, asked in case.upstreams.domains[:10]:
        yield Finding("note", f"Names in {zone} have servers of their own: {', '.join(asked)}.")


CHECKS: Final = (
    _installation,
    _kdns,
    _programs,
    _daemons,
    _servers,
    _look_up,
    _upstreams,
    _forwarding,
    _vpns,
)
