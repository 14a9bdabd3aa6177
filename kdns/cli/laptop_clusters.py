"""The clusters that options of ``kdns laptop`` mean: contexts found as kubectl does, or files."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
from typing import Final

from kdns.cli import serve
from kdns.config.laptop import ALIAS, Cluster
from kdns.config.tree import ConfigError, Location, Option
from kdns.sources import kubeconfig
from kdns.sources.kubeconfig import Selected
from kdns.sources.transport import AccessError

SNAPSHOTS: Final = "~/.cache/kdns"
"""Where what a cluster had is kept."""


def find(options: argparse.Namespace) -> tuple[tuple[Cluster, ...], str]:
    """The clusters, and the namespace that is used in the first.

    Raises ``ConfigError`` when none is named or found.
    """
    if options.manifests:
        if options.context or options.kubeconfig:
            raise ConfigError(
                "cannot be used with --context or --kubeconfig", Location("--manifests")
            )
        return (Cluster(ALIAS, (_access("manifests", options.manifests),)),), "default"
    path = _kubeconfig(options.kubeconfig)
    contexts = [_context(path, text) for text in options.context or [""]]
    clusters = tuple(
        Cluster(zone or _default_zone(at, each), _api(path, each.name, not options.no_snapshot))
        for at, (each, zone) in enumerate(contexts)
    )
    return clusters, contexts[0][0].namespace


def _kubeconfig(given: str) -> str:
    found = serve.find_kubeconfig(given)
    if found:
        return found
    hint = ""
    if user := os.environ.get("SUDO_USER", ""):
        hint = f"; as root that is not the one of {user}: --kubeconfig ~{user}/.kube/config"
    raise ConfigError(
        f"no cluster: neither $KUBECONFIG nor ~/.kube/config is there{hint}."
        " Name one by --kubeconfig FILE, or files by --manifests PATH"
    )


def _context(path: str, text: str) -> tuple[Selected, str]:
    """The context of ``NAME[=ZONE]``, and the zone. There may be = in a name."""
    name, _, zone = text.rpartition("=")
    try:
        try:
            return kubeconfig.select(path, text), ""
        except AccessError:
            if not name:
                raise
            return kubeconfig.select(path, name), zone
    except AccessError as error:
        raise ConfigError(str(error), Location("--context") if text else None) from error


def _default_zone(at: int, context: Selected) -> str:
    if at == 0:
        return ALIAS
    name = context.name.lower()
    if not _LABEL.fullmatch(name):
        reason = f"{context.name!r} cannot be part of a name; expected {context.name}=ZONE"
        raise ConfigError(reason, Location("--context"))
    return f"{name}.{ALIAS}"


_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _api(path: str, context: str, snapshot: bool) -> tuple[Option, ...]:
    access = _access("kubeconfig", path, context)
    if not snapshot:
        return (access,)
    # A context's name may hold any character, and be found in several files.
    digest = hashlib.sha256(f"{path}\0{context}".encode()).hexdigest()[:12]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", context)[:60]
    return access, _access("snapshot", f"{SNAPSHOTS}/{name}-{digest}.json")


def _access(source: str, *args: str) -> Option:
    return Option(source, args, Location(f"--{source}"))
