"""The ``resolv.conf`` that the kubelet writes for a Pod: dnsPolicy and dnsConfig. Pure.

https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Final

from msgspec.structs import replace

from kdns.config.addresses import Address
from kdns.config.resolv_conf import MAX_SERVERS
from kdns.records.manifest_shapes import DnsConfig, PodSpec
from kdns.stub.resolver_config import ResolverConfig, in_namespace, with_option
from kdns.wire.names import is_address

MAX_SEARCH: Final = 32
"""The kubelet's limit (MaxDNSSearchPaths)."""


def for_pod(
    spec: PodSpec,
    namespace: str,
    zone: str,
    cluster_dns: tuple[Address, ...],
    node: Callable[[], ResolverConfig],
) -> ResolverConfig:
    """``node`` reads the node's own file, which policy ``Default`` is about."""
    policy = spec.dns_policy
    if policy == "ClusterFirst" and spec.host_network:
        policy = "Default"  # as the kubelet takes it; ClusterFirstWithHostNet is what was meant
    if policy == "None":
        conf = ResolverConfig()
    elif policy == "Default":
        conf = node()
    else:
        conf = in_namespace(namespace, zone, cluster_dns)
    return _extended(conf, spec.dns_config)


def _extended(conf: ResolverConfig, config: DnsConfig) -> ResolverConfig:
    """The Pod's own entries come after the others, its options in their place."""
    added = tuple(Address(host, 53) for host in config.nameservers if is_address(host))
    search = (*conf.search, *(each.strip(".") for each in config.searches if each.strip(".")))
    conf = replace(
        conf,
        servers=tuple(dict.fromkeys((*conf.servers, *added)))[:MAX_SERVERS],
        search=tuple(dict.fromkeys(search))[:MAX_SEARCH],
    )
    options = (f"{each.name}:{each.value or ''}".removesuffix(":") for each in config.options)
    return reduce(with_option, options, conf)
