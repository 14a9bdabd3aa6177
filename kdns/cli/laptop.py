"""``kdns laptop``: a cluster's names on this machine, and everything else as before.

Finds contexts as kubectl does, chooses where to listen, asks the system who answered so far, and hands
the Corefile that this comes to (``config.laptop``) to the server.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from kdns.cli import laptop_clusters, laptop_system, listener, serve
from kdns.config import laptop
from kdns.config.addresses import Address, parse_address
from kdns.config.laptop import ALIAS, LaptopFlags, Outside
from kdns.config.printer import to_text
from kdns.config.tree import ConfigError, Location, ServerBlock
from kdns.sources.configuration import Configuration
from kdns.sources.files import Reading
from kdns.stub.resolver_config import in_namespace
from kdns.system.addresses import domain
from kdns.system.installed import installed
from kdns.system.resolvers import Resolvers, before_us
from kdns.system.steps import Wanted

logger: Final = logging.getLogger("kdns.laptop")

EXAMPLES: Final = """\
examples:
  kdns laptop                                   the current context of ~/.kube/config
  kdns laptop --context dev --namespace shop    then ask for redis-master, or redis-master.shop
  kdns laptop --context dev --context prod=prod.example    two clusters, each with its zone
  kdns laptop --manifests examples/cluster      a cluster that is only files
  kdns laptop --answer external                 load balancers and node ports, without a VPN
  kdns laptop --print-corefile                  what the options stand for
  sudo kdns laptop --install                    have the system ask kdns for the cluster's names
  kdns laptop doctor                            why a name does not resolve here

then, in another terminal:
  dig @127.0.0.1 kubernetes.default.svc.cluster.local       with -p 1053 where port 53 is not allowed
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's options."""
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_clusters(parser.add_argument_group("the cluster"))
    _add_answers(parser.add_argument_group("what is answered"))
    _add_system(parser)
    group = parser.add_argument_group("operation")
    group.add_argument(
        "--listen",
        action="append",
        metavar="HOST:PORT",
        help="where to answer, over UDP and TCP; repeatable (default: the first that is free and"
        f" allowed of {', '.join(map(str, listener.CANDIDATES))})",
    )
    group.add_argument("--log", action="store_true", help="log a line for every question")
    group.add_argument(
        "--print-corefile",
        action="store_true",
        help="print the Corefile that the options stand for, and end",
    )


def _add_system(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        choices=["doctor"],
        help="say what is wrong with name resolution on this machine, instead of serving",
    )
    group = parser.add_argument_group("the system's resolver")
    choice = group.add_mutually_exclusive_group()
    choice.add_argument(
        "--install",
        action="store_true",
        help="have it ask kdns for the clusters' names, and end; needs root",
    )
    choice.add_argument(
        "--uninstall",
        action="store_true",
        help="put everything back as it was, and end; needs root",
    )
    group.add_argument(
        "--print",
        action="store_true",
        help="only show what these two would do (alone: what --install would)",
    )


def _add_clusters(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--context",
        action="append",
        default=[],
        metavar="NAME[=ZONE]",
        help="a context of the kubeconfig, and the zone it is found under; repeatable (default: the"
        f" current one, under {ALIAS}; each further one under NAME.{ALIAS})",
    )
    group.add_argument(
        "--namespace",
        default="",
        metavar="NAME",
        help="complete short names as in a Pod of this namespace (default: the context's)",
    )
    group.add_argument(
        "--kubeconfig",
        default="",
        metavar="FILE",
        help="where the contexts are (default: $KUBECONFIG, then ~/.kube/config)",
    )
    group.add_argument(
        "--manifests",
        default="",
        metavar="PATH",
        help="a file or folder of manifests in place of a cluster",
    )
    group.add_argument(
        "--no-snapshot",
        action="store_true",
        help="do not keep what the cluster had, to answer from while it cannot be reached"
        f" (default: a file each in {laptop_clusters.SNAPSHOTS})",
    )
    group.add_argument(
        "--cluster-domain",
        default="cluster.local",
        metavar="ZONE",
        help="the zone that the cluster itself uses (default: %(default)s)",
    )


def _add_answers(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--answer",
        choices=["cluster", "external", "both"],
        default="cluster",
        help="addresses inside the cluster; those it is reached at from outside (load balancers,"
        f" external IPs, node ports); or both, these under external.{ALIAS} (default: %(default)s)",
    )
    group.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="a server to ask for all other names; repeatable (default: those that the system asks)",
    )


def run(options: argparse.Namespace) -> int:
    if options.action == "doctor":
        if options.install or options.uninstall or options.print:
            raise ConfigError(
                "doctor changes nothing; leave out --install, --uninstall and --print"
            )
        return laptop_system.doctor(installed() or _looked_for(options))
    if options.uninstall:
        return laptop_system.uninstall(only_print=options.print)
    if options.install or options.print:
        return laptop_system.install(_wanted(options), only_print=options.print)
    return _serve(options)


def _looked_for(options: argparse.Namespace) -> Wanted:
    """What would be installed; where no cluster is found, names at least."""
    try:
        return _wanted(options)
    except ConfigError as error:
        print(f"note   {error}")
        return Wanted((options.cluster_domain, ALIAS))


def _wanted(options: argparse.Namespace) -> Wanted:
    """What the system is to ask us. Raises ``ConfigError``."""
    listen = _given_listeners(options)
    flags = read(options, ())
    search = in_namespace(flags.namespace, flags.clusters[0].zone, ()).search
    return Wanted(
        tuple(domain(zone) for zone in laptop.served_zones(flags)),
        tuple(domain(name) for name in search),
        listen[0] if listen else None,
    )


def _serve(options: argparse.Namespace) -> int:
    chosen = _listeners(options)
    flags = read(options, tuple(str(address) for address in chosen))
    source = Source(flags, chosen, tuple(options.upstream))
    configuration = Configuration(source.read)
    if options.print_corefile:
        print(to_text(configuration.load()), end="")
        return 0
    for line in introduction(flags, source.resolvers, chosen[0]):
        print(line)
    if hint := listener.hint(chosen[0]):
        print(hint)
    sys.stdout.flush()
    return serve.serve(configuration.load, changes=configuration.changes)


def _listeners(options: argparse.Namespace) -> tuple[Address, ...]:
    if given := _given_listeners(options):
        return given
    system = installed()
    return (system.address if system and system.address else listener.choose(),)


def _given_listeners(options: argparse.Namespace) -> tuple[Address, ...]:
    """Raises ``ConfigError``."""
    try:
        return tuple(parse_address(text) for text in options.listen or ())
    except ValueError as error:
        raise ConfigError(str(error), Location("--listen")) from error


class Source:
    """The configuration, made again when the system's resolvers change."""

    def __init__(
        self, flags: LaptopFlags, ours: Sequence[Address], upstreams: tuple[str, ...]
    ) -> None:
        self._flags, self._ours = flags, ours
        self._given = Resolvers(upstreams, source="--upstream") if upstreams else None
        self.resolvers = self._given or before_us(ours)

    def read(self, reading: Reading) -> tuple[ServerBlock, ...]:
        """Raises ``ConfigError``."""
        found = self._given or before_us(self._ours)
        for path in found.files:
            reading.note(path)
        if found.servers and found.servers != self.resolvers.servers:
            asked = ", ".join(found.servers)
            logger.info("names outside the cluster now go to %s (%s)", asked, found.source)
        if found.servers:
            # While a network is away there is nobody to ask, and mostly the same come back.
            self.resolvers = found
        outside = [Outside(servers, zone) for zone, servers in self.resolvers.domains]
        if self.resolvers.servers:
            outside.append(Outside(self.resolvers.servers))
        return laptop.to_blocks(replace(self._flags, outside=tuple(outside)))


def read(options: argparse.Namespace, listen: tuple[str, ...]) -> LaptopFlags:
    """The options as a value. Raises ``ConfigError`` when no cluster is named or found."""
    clusters, namespace = laptop_clusters.find(options)
    return LaptopFlags(
        clusters=clusters,
        listen=listen,
        domain=options.cluster_domain,
        namespace=options.namespace or namespace,
        answer=options.answer,
        log=options.log,
    )


# ---- what is told at the start


def introduction(flags: LaptopFlags, resolvers: Resolvers, address: Address) -> Iterator[str]:
    """What to expect, in a few lines."""
    for at, cluster in enumerate(flags.clusters):
        source = " ".join((cluster.access[0].name, *cluster.access[0].args))
        zones = cluster.zone if at else f"{cluster.zone} and {flags.domain}"
        yield f"{zones}: {source}"
        if flags.answer == "both":
            yield f"external.{cluster.zone}: the same as reached from outside"
    yield f"short names: as in a Pod of namespace {flags.namespace}"
    asked = ", ".join(resolvers.servers) or f"nobody ({resolvers.problem})"
    yield f"everything else: {asked}" + f" ({resolvers.source})" * bool(resolvers.servers)
    port = f" -p {address.port}" if address.port != 53 else ""
    if address.port:
        yield f"try: dig @{address.host}{port} kubernetes.default.svc.{flags.clusters[0].zone}"
