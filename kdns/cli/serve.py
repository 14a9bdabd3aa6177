"""``kdns serve``: the server with flags instead of a Corefile."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from kdns.cli import logs
from kdns.config import flags
from kdns.config.tree import ConfigError, ServerBlock


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = """\
examples:
  kdns serve --manifests examples/cluster --zones zones --shortnames default
  kdns serve --kubeconfig ~/.kube/config --context dev --listen 127.0.0.1:1053
  kdns serve --in-cluster --listen :53 --metrics :9153

'kdns check' shows the Corefile that options stand for: kdns check --serve -- OPTIONS
"""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--manifests", default="", metavar="PATH", help="file or folder of manifests"
    )
    source.add_argument(
        "--kubeconfig", default="", metavar="FILE", help="default: $KUBECONFIG, ~/.kube/config"
    )
    source.add_argument(
        "--in-cluster", action="store_true", help="as a Pod, by its service account"
    )
    parser.add_argument("--context", default="", help="context of the kubeconfig")
    parser.add_argument(
        "--listen", action="append", metavar="HOST:PORT", help="repeatable (127.0.0.1:1053)"
    )
    parser.add_argument(
        "--zone", action="append", metavar="ZONE", help="repeatable (cluster.local and reverse)"
    )
    parser.add_argument(
        "--zones", action="append", default=[], metavar="DIR", help="folder of zone files db.ORIGIN"
    )
    parser.add_argument(
        "--shortnames", default="", metavar="NAMESPACE", help="complete short names"
    )
    parser.add_argument("--pods", default="insecure", choices=["disabled", "insecure", "verified"])
    parser.add_argument("--ttl", type=int, default=5, help="seconds, 0 to 3600 (5)")
    parser.add_argument("--log", action="store_true", help="log every question")
    parser.add_argument("--health", default="", metavar="HOST:PORT", help="serve /health")
    parser.add_argument("--ready", default="", metavar="HOST:PORT", help="serve /ready")
    parser.add_argument("--metrics", default="", metavar="HOST:PORT", help="serve /metrics")
    parser.add_argument("--pidfile", default="", metavar="FILE")


def run(options: argparse.Namespace) -> int:
    blocks = flags.to_blocks(read(options))
    return serve(lambda: blocks, pidfile=options.pidfile)


def read(options: argparse.Namespace) -> flags.ServeFlags:
    """The options as a value. Raises ``ConfigError`` when no cluster is named or found."""
    return flags.ServeFlags(
        manifests=options.manifests,
        kubeconfig="" if options.manifests or options.in_cluster else _kubeconfig(options),
        context=options.context,
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
    )


def _kubeconfig(options: argparse.Namespace) -> str:
    """As kubectl finds it."""
    default = Path.home() / ".kube" / "config"
    path: str = options.kubeconfig or os.environ.get("KUBECONFIG", "") or str(default)
    if path == str(default) and not default.exists():
        raise ConfigError(
            "no cluster to serve: name one by --manifests PATH, --kubeconfig FILE or --in-cluster"
        )
    return path


def serve(
    load: Callable[[], tuple[ServerBlock, ...]], *, quiet: bool = False, pidfile: str = ""
) -> int:
    """Run the server until it is told to stop. ``load`` gives its configuration, again at a reload."""
    from kdns.server.lifecycle import Server

    blocks = load()
    debug = any(next(block.named("debug"), None) for block in blocks)
    logs.set_up(debug=debug)
    if pidfile:
        try:
            Path(pidfile).write_text(f"{os.getpid()}\n")
        except OSError as error:
            raise ConfigError(f"cannot write {pidfile!r}: {error.strerror}") from error
    server = Server(load, quiet=quiet)
    try:
        return server.run_forever()
    finally:
        if pidfile:
            Path(pidfile).unlink(missing_ok=True)
        sys.stdout.flush()
