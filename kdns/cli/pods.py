"""The resolver of one Pod, found in manifests or asked of an API server."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from kdns.cli import logs
from kdns.config.addresses import Address
from kdns.config.tree import ConfigError
from kdns.records.manifest_shapes import Pod, Service
from kdns.stub.pods import for_pod
from kdns.stub.resolver_config import ResolverConfig
from kdns.wire.names import is_address

if TYPE_CHECKING:
    from kdns.config.access import ApiAccess

M = TypeVar("M", Pod, Service)

PATIENCE: Final = 10.0
"""Seconds for an API server to answer."""
CLUSTER_DNS: Final = ("kube-system", "kube-dns")
"""Where every distribution has the Service of its DNS server, CoreDNS's too."""
_PLURAL: Final = {Pod: "pods", Service: "services"}


def read(
    options: argparse.Namespace, server: tuple[Address, ...], node: Callable[[], ResolverConfig]
) -> ResolverConfig:
    """What ``--pod NAMESPACE/NAME`` is told to do; ``server`` is asked instead, where one is given.

    Raises ``ConfigError``.
    """
    namespace, slash, name = options.pod.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise ConfigError(f"--pod: expected NAMESPACE/NAME, found {options.pod!r}")
    find = partial(_declared, options.manifests) if options.manifests else _fetching(options)
    pod = find(Pod, namespace, name)
    if pod is None:
        raise ConfigError(f"there is no Pod {namespace}/{name}")
    conf = for_pod(pod.spec, namespace, options.zone.strip("."), server, node)
    if conf.servers:
        return conf
    service = find(Service, *CLUSTER_DNS)
    given = service.spec.given_ips if service else ()
    servers = tuple(Address(host, 53) for host in given if is_address(host))
    if not servers:
        raise ConfigError(f"no Service {'/'.join(CLUSTER_DNS)} with an address: name a @SERVER")
    return for_pod(pod.spec, namespace, options.zone.strip("."), servers, node)


class _List(Struct):
    items: list[msgspec.Raw] = []


def _declared(path: str, kind: type[M], namespace: str, name: str) -> M | None:
    from kdns.sources.manifest_files import ManifestFiles

    files = ManifestFiles(Path(path))
    files.refresh()
    if files.problems:
        raise ConfigError(files.problems[0])
    for each in files.declared:
        if isinstance(each.manifest, kind) and (each.namespace, each.name) == (namespace, name):
            return each.manifest
    return None


def _fetching(options: argparse.Namespace) -> Callable[[type[M], str, str], M | None]:
    from kdns.cli.serve import kubeconfig
    from kdns.config.access import ApiAccess

    access = ApiAccess(
        kubeconfig="" if options.in_cluster else kubeconfig(options), context=options.context
    )
    return partial(_fetched, access)


def _fetched(access: ApiAccess, kind: type[M], namespace: str, name: str) -> M | None:
    from kdns.sources.apiserver import fetch
    from kdns.sources.transport import AccessError, TransportError

    # A list of one: list is a right that kdns has anyway, and get is not.
    path = f"/api/v1/namespaces/{quote(namespace)}/{_PLURAL[kind]}"
    one = {"fieldSelector": f"metadata.name={name}"}
    try:
        with logs.silent():
            body = asyncio.run(fetch(access, path, one, PATIENCE))
        listed = msgspec.json.decode(body, type=_List)
        return msgspec.json.decode(listed.items[0], type=kind) if listed.items else None
    except (AccessError, TransportError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(str(error)) from None
