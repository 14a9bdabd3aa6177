"""``kdns serve``: the server with flags instead of a Corefile."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kdns.cli import early, logs
from kdns.config import flags
from kdns.config.addresses import Address
from kdns.config.tree import ConfigError, ServerBlock

if TYPE_CHECKING:
    from socket import socket

MAX_WORKERS: Final = 64
"""Each holds the whole cluster; more than the cores of a machine serve nothing."""

SOURCES: Final = "where names come from"
"""The heading of ``add_sources`` in the help."""

EXAMPLES: Final = """\
examples:
  kdns serve --manifests examples/cluster --zones zones --shortnames default
  kdns serve --kubeconfig ~/.kube/config --context dev --shortnames my-namespace
  kdns serve --in-cluster --listen :53 --health :8080 --ready :8181 --metrics :9153

then, in another terminal:
  dig @127.0.0.1 -p 1053 kubernetes.default.svc.cluster.local

The Corefile that options stand for: kdns check --serve -- OPTIONS
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's options; what is not given here has the default of ``ServeFlags``."""
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    sources = parser.add_argument_group(SOURCES)
    add_sources(sources)
    add_snapshot(sources)
    add_answers(parser.add_argument_group("what is answered"))
    _add_operation(parser.add_argument_group("operation"))


def add_sources(group: argparse._ArgumentGroup) -> None:
    source = group.add_mutually_exclusive_group()
    source.add_argument(
        "--manifests", default="", metavar="PATH", help="a file or folder of manifests"
    )
    source.add_argument(
        "--kubeconfig",
        default="",
        metavar="FILE",
        help="an API server, as kubectl finds it (default: $KUBECONFIG, then ~/.kube/config)",
    )
    source.add_argument(
        "--in-cluster", action="store_true", help="the API server of the Pod that kdns runs in"
    )
    group.add_argument(
        "--context",
        default="",
        metavar="NAME",
        help="the kubeconfig's context (default: its current one)",
    )
    group.add_argument(
        "--zones",
        action="append",
        default=[],
        metavar="DIR",
        help="also the zone files db.ORIGIN of this folder; repeatable",
    )


def add_snapshot(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--snapshot",
        default="",
        metavar="FILE",
        help="save what is known in this file, and answer from it when the API server is away at start",
    )


def add_answers(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--zone",
        action="append",
        metavar="ZONE",
        help="a zone of the cluster; repeatable (default: cluster.local in-addr.arpa ip6.arpa)",
    )
    group.add_argument(
        "--shortnames",
        default="",
        metavar="NAMESPACE",
        help="complete short names as in a Pod of this namespace (default: off)",
    )
    group.add_argument(
        "--pods",
        default="insecure",
        choices=["disabled", "insecure", "verified"],
        help="names such as 10-0-0-1.NAMESPACE.pod: none, any address, only those of Pods"
        " (default: %(default)s)",
    )
    group.add_argument(
        "--ttl",
        type=int,
        default=5,
        metavar="N",
        help="time to live in seconds, 0 to 3600 (default: %(default)s)",
    )


def _add_operation(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--listen",
        action="append",
        metavar="HOST:PORT",
        help="where to answer, over UDP and TCP; repeatable; :PORT is every address"
        " (default: 127.0.0.1:1053)",
    )
    group.add_argument("--log", action="store_true", help="log a line for every question")
    for name in ("health", "ready", "metrics"):
        group.add_argument(
            f"--{name}", default="", metavar="HOST:PORT", help=f"serve /{name} there (default: off)"
        )
    group.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that answer; each holds the whole cluster in memory (default: %(default)s)",
    )
    group.add_argument(
        "--debug",
        nargs="?",
        const="",
        metavar="PATH",
        help="open a socket for kdns tail, top and fault (default: off; without PATH where they look)",
    )
    group.add_argument(
        "--pidfile", default="", metavar="FILE", help="write the process ID to this file"
    )


def run(options: argparse.Namespace) -> int:
    blocks = flags.to_blocks(read(options))
    return serve(lambda: blocks, pidfile=options.pidfile, workers=options.workers)


def read(options: argparse.Namespace) -> flags.ServeFlags:
    """The options as a value. Raises ``ConfigError`` when no cluster is named or found."""
    return flags.ServeFlags(
        manifests=options.manifests,
        kubeconfig="" if options.manifests or options.in_cluster else kubeconfig(options),
        context=options.context,
        snapshot=options.snapshot,
        listen=tuple(options.listen or ("127.0.0.1:1053",)),
        zones=tuple(options.zone or ("cluster.local", *flags.REVERSE_ZONES)),
        zone_folders=tuple(options.zones),
        shortnames=options.shortnames,
        pods=options.pods,
        ttl=options.ttl,
        log=options.log,
        health=options.health,
        ready=options.ready,
        metrics=options.metrics,
        debug=options.debug,
    )


def kubeconfig(options: argparse.Namespace) -> str:
    """Raises ``ConfigError`` where none is found."""
    found = find_kubeconfig(options.kubeconfig)
    if not found:
        raise ConfigError(
            "no cluster: name one by --manifests PATH, --kubeconfig FILE or --in-cluster"
        )
    return found


def find_kubeconfig(given: str) -> str:
    """As kubectl does: what is given, else $KUBECONFIG, else ~/.kube/config; "" without any."""
    default = os.path.expanduser("~/.kube/config")
    return given or os.environ.get("KUBECONFIG", "") or (default if os.path.exists(default) else "")


def serve(
    load: Callable[[], tuple[ServerBlock, ...]],
    *,
    changes: Callable[[], AsyncIterator[None]] | None = None,
    quiet: bool = False,
    pidfile: str = "",
    workers: int = 1,
) -> int:
    """Run the server until it is told to stop. ``load`` gives its configuration, again at a reload.

    ``changes`` tells when that may have become another one.
    """
    from kdns.server.lifecycle import Server

    if not 1 <= workers <= MAX_WORKERS:
        raise ConfigError(f"--workers: expected 1 to {MAX_WORKERS}, not {workers}")
    blocks = load()
    from kdns.plugins import debug

    found = [debug.parse(option) for block in blocks for option in block.named("debug")]
    logs.set_up(debug=any(settings.log for settings in found))
    if pidfile:
        try:
            Path(pidfile).write_text(f"{os.getpid()}\n")
        except OSError as error:
            raise ConfigError(f"cannot write {pidfile!r}: {error.strerror}") from error
    server = Server(load, changes, quiet=quiet, workers=workers, held=_held())
    try:
        return server.run_forever()
    finally:
        if pidfile:
            Path(pidfile).unlink(missing_ok=True)
        sys.stdout.flush()


def _held() -> dict[Address, socket]:
    """Where connections are taken already."""
    from socket import socket

    return {
        Address(host, port): socket(fileno=early.held.pop((host, port)).detach())
        for host, port in tuple(early.held)
    }
