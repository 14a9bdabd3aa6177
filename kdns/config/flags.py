"""``kdns serve`` in terms of a Corefile: its options become the same tree that a Corefile does."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kdns.config.addresses import parse_address
from kdns.config.tree import ConfigError, Key, Location, Option, ServerBlock

REVERSE_ZONES: Final = ("in-addr.arpa", "ip6.arpa")


class ServeFlags(Struct, frozen=True):
    """The options of ``kdns serve``."""

    manifests: str = ""
    """A file or folder of Kubernetes manifests; not together with ``kubeconfig``."""
    kubeconfig: str = ""
    """"" (and no ``manifests``) is the in-cluster configuration."""
    context: str = ""
    """A context of ``kubeconfig``; "" is its current one."""
    snapshot: str = ""
    """A file to start from when the API server is away; not together with ``manifests``."""
    listen: tuple[str, ...] = ("127.0.0.1:1053",)
    """``HOST:PORT``, ``[IPV6]:PORT``, or ``:PORT`` for every address."""
    zones: tuple[str, ...] = ("cluster.local", *REVERSE_ZONES)
    zone_folders: tuple[str, ...] = ()
    """Folders of zone files served as well."""
    shortnames: str = ""
    """The default namespace of short names; "" is off."""
    pods: str = "insecure"
    """``disabled``, ``insecure`` or ``verified``."""
    ttl: int = 5
    """Seconds, 0 to 3600."""
    log: bool = False
    """Whether every query is logged."""
    health: str = ""
    """``HOST:PORT``; "" is off, for who serves a folder on a laptop needs none. Likewise the next two."""
    ready: str = ""
    metrics: str = ""
    debug: str | None = None
    """Path of the debug socket, "" for the usual one; None is off."""


def to_blocks(flags: ServeFlags) -> tuple[ServerBlock, ...]:
    """The server blocks that the options mean: one for each port, all serving the same.

    Raises ``ConfigError`` naming the option.
    """
    ports = listeners(flags.listen)
    blocks: list[ServerBlock] = []
    for port, hosts in ports.items():
        directives = [*bind(hosts), *(_probes(flags) if not blocks else ()), *_serving(flags)]
        key = Key((), port)
        blocks.append(ServerBlock((key,), tuple(directives), Location("--listen")))
    return tuple(blocks)


def listeners(addresses: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """The hosts of each port, none where one of them is every address. Raises ``ConfigError``."""
    ports: dict[int, list[str]] = {}
    for text in addresses:
        try:
            address = parse_address(text)
        except ValueError as error:
            raise ConfigError(str(error), Location("--listen")) from error
        ports.setdefault(address.port, []).append(address.host)
    if not ports:
        raise ConfigError("expected an address to listen on", Location("--listen"))
    return {
        port: () if "" in hosts else tuple(dict.fromkeys(hosts)) for port, hosts in ports.items()
    }


def bind(hosts: tuple[str, ...]) -> list[Option]:
    """The directive for these hosts; none where there are none."""
    return [Option("bind", hosts, Location("--listen"))] if hosts else []


def _probes(flags: ServeFlags) -> list[Option]:
    """Once per process, so they stand in the first block alone."""
    return [
        Option(name, (address,), Location(f"--{name}"))
        for name, address in (("health", flags.health), ("ready", flags.ready))
        if address
    ]


def _serving(flags: ServeFlags) -> list[Option]:
    default = Location("kdns serve")
    lines = [Option("errors", (), default)]
    if flags.log:
        lines.append(Option("log", (), Location("--log")))
    if flags.debug is not None:
        lines.append(_debug(flags.debug))
    if flags.metrics:
        lines.append(Option("prometheus", (flags.metrics,), Location("--metrics")))
    lines.append(Option("loadbalance", (), default))
    if flags.shortnames:
        lines.append(Option("shortnames", (flags.shortnames,), Location("--shortnames")))
    lines.append(_kubernetes(flags))
    lines += [_auto(folder) for folder in flags.zone_folders]
    return lines


def _debug(path: str) -> Option:
    place = Location("--debug")
    return Option("debug", (), place, (Option("socket", (path,) if path else (), place),))


def _kubernetes(flags: ServeFlags) -> Option:
    options = [
        *_access(flags),
        *([Option("snapshot", (flags.snapshot,), Location("--snapshot"))] * bool(flags.snapshot)),
        Option("pods", (flags.pods,), Location("--pods")),
        Option("ttl", (str(flags.ttl),), Location("--ttl")),
    ]
    if reverse := tuple(zone for zone in flags.zones if zone.rstrip(".").endswith(".arpa")):
        options.append(Option("fallthrough", reverse, Location("kdns serve")))
    return Option("kubernetes", flags.zones, Location("--zone"), tuple(options))


def _access(flags: ServeFlags) -> list[Option]:
    if flags.manifests and flags.kubeconfig:
        raise ConfigError("cannot be used together with --kubeconfig", Location("--manifests"))
    if flags.manifests and flags.snapshot:
        raise ConfigError("cannot be used together with --snapshot", Location("--manifests"))
    if flags.context and not flags.kubeconfig:
        raise ConfigError("expected --kubeconfig beside it", Location("--context"))
    if flags.manifests:
        return [Option("manifests", (flags.manifests,), Location("--manifests"))]
    if flags.kubeconfig:
        args = (flags.kubeconfig, flags.context) if flags.context else (flags.kubeconfig,)
        return [Option("kubeconfig", args, Location("--kubeconfig"))]
    return []


def _auto(folder: str) -> Option:
    place = Location("--zones")
    return Option("auto", (), place, (Option("directory", (folder,), place),))
