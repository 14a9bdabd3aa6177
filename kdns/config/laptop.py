"""``kdns laptop`` in terms of a Corefile: one block for all names, one more for each further cluster.

What a Corefile cannot tell by itself comes in ready: which contexts there are, where kdns listens, and
who answered before.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from kdns.config.flags import REVERSE_ZONES, bind, listeners
from kdns.config.keys import expand_zone
from kdns.config.tree import ConfigError, Key, Location, Option, ServerBlock

Answer: TypeAlias = Literal["cluster", "external", "both"]

ALIAS: Final = "cluster.internal"
"""The zone beside the cluster's own. ``.local`` is for multicast DNS (RFC 6762 section 3), so resolvers
of macOS and Linux may never ask a server for such a name; ``.internal`` is reserved for private use
(ICANN resolution 2024.07.29.06)."""

NEGATIVE: Final = (9984, 30)
"""How many negative answers from outside are kept, and for how many seconds at most: a name that
appears with a VPN is not to be missing for half an hour."""

_HERE: Final = Location("kdns laptop")


class Cluster(Struct, frozen=True):
    """One cluster and the zone that it is found under."""

    zone: str
    access: tuple[Option, ...]
    """The options of ``kubernetes`` that say where its objects come from."""


class Outside(Struct, frozen=True):
    """Name servers that are asked for a zone."""

    servers: tuple[str, ...]
    zone: str = "."


class LaptopFlags(Struct, frozen=True):
    """The options of ``kdns laptop``."""

    clusters: tuple[Cluster, ...]
    """The first has the short names, the reverse zones, and what the clusters call themselves."""
    listen: tuple[str, ...]
    domain: str = "cluster.local"
    """The zone that the clusters have inside."""
    namespace: str = "default"
    answer: Answer = "cluster"
    outside: tuple[Outside, ...] = ()
    log: bool = False


def to_blocks(flags: LaptopFlags) -> tuple[ServerBlock, ...]:
    """The server blocks that the options mean. Raises ``ConfigError`` naming the option."""
    _check_zones(flags)
    blocks: list[ServerBlock] = []
    for port, hosts in listeners(flags.listen).items():
        place = bind(hosts)
        for at, cluster in enumerate(flags.clusters):
            zone = expand_zone(cluster.zone if at else ".", Location("--context"))[0]
            lines = _further(flags, cluster) if at else _main(flags, cluster)
            blocks.append(ServerBlock((Key(zone, port),), (*place, *lines), _HERE))
    return tuple(blocks)


def served_zones(flags: LaptopFlags) -> tuple[str, ...]:
    """The zones that a system's resolver has to ask kdns for."""
    zones = [flags.domain, *(cluster.zone for cluster in flags.clusters)]
    return tuple(dict.fromkeys(zones))


def _check_zones(flags: LaptopFlags) -> None:
    expand_zone(flags.domain, Location("--cluster-domain"))
    seen: set[str] = set()
    for cluster in flags.clusters:
        zone = cluster.zone.lower().rstrip(".")
        expand_zone(zone, Location("--context"))
        if zone in seen:
            raise ConfigError(f"two clusters in the zone {cluster.zone}", Location("--context"))
        seen.add(zone)
    if flags.domain.lower().rstrip(".") in seen - {flags.clusters[0].zone.lower().rstrip(".")}:
        raise ConfigError(f"{flags.domain} is the first cluster's", Location("--context"))


def _main(flags: LaptopFlags, cluster: Cluster) -> list[Option]:
    # The alias first: aliases and PTR records lead there, and no resolver keeps it for itself.
    zones = tuple(dict.fromkeys((cluster.zone, flags.domain)))
    lines = _common(flags)
    lines += [
        _line("chaos"),
        Option("shortnames", (flags.namespace,), Location("--namespace")),
        *_external(flags, cluster, zones),
    ]
    reverse = (_line("fallthrough", *REVERSE_ZONES), _line("fallthrough_unsynced"))
    lines.append(_kubernetes((*zones, *REVERSE_ZONES), (*cluster.access, *reverse)))
    if flags.outside:
        lines += [_cache(served_zones(flags)), *map(_forward, flags.outside), _line("loop")]
    return [*lines, _line("reload")]


def _further(flags: LaptopFlags, cluster: Cluster) -> list[Option]:
    """The cluster's own domain comes last: an ExternalName there means that cluster's Services."""
    zones = (cluster.zone, flags.domain)
    lines = _common(flags)
    if flags.outside:
        # A stub resolver asks one server for all names, and passes over one that offers no recursion.
        lines.append(_line("header", options=(_line("response", "set", "ra"),)))
    return [*lines, *_external(flags, cluster, zones), _kubernetes(zones, cluster.access)]


def _common(flags: LaptopFlags) -> list[Option]:
    return [_line("errors"), *([_line("log")] if flags.log else []), _line("loadbalance")]


def _external(flags: LaptopFlags, cluster: Cluster, zones: tuple[str, ...]) -> list[Option]:
    """What is seen from outside: under the cluster's names, or in a zone of its own."""
    if flags.answer == "cluster":
        return []
    shown = [f"svc.{zone}" for zone in zones]
    if flags.answer == "both":
        shown = [f"external.{cluster.zone}"]
    return [_line("k8s_external", *shown, options=(_line("nodeports"), _line("external_names")))]


def _kubernetes(zones: tuple[str, ...], options: tuple[Option, ...]) -> Option:
    return _line("kubernetes", *zones, options=(_line("pods", "insecure"), *options))


def _cache(zones: tuple[str, ...]) -> Option:
    """Answers about the clusters are kept elsewhere, until they change."""
    kept = [_line("denial", *map(str, NEGATIVE))]
    kept += [_line("disable", sort, *zones) for sort in ("success", "denial")]
    return _line("cache", options=tuple(kept))


def _forward(outside: Outside) -> Option:
    """In the system's order, as the C library asks them."""
    policy = _line("policy", "sequential")
    return _line("forward", outside.zone, *outside.servers, options=(policy,))


def _line(name: str, *args: str, options: tuple[Option, ...] = ()) -> Option:
    return Option(name, args, _HERE, options)
