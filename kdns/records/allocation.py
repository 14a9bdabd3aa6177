"""Addresses for what is declared without one: cluster IPs of Services, addresses of Pods.

Every address follows from the object's namespace and name, and from which addresses are taken; so it
is the same after each reload and for any order of files. The ranges are the usual defaults (kubeadm,
flannel) and their IPv6 counterparts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from kdns.records.declared import Declared
from kdns.records.manifest_shapes import Family, Pod, Service, ServiceSpec
from kdns.records.objects import HEADLESS
from kdns.records.trimming import canonical_address

SERVICE_RANGES: Final[dict[Family, IPv4Network | IPv6Network]] = {
    "IPv4": IPv4Network("10.96.0.0/12"),
    "IPv6": IPv6Network("fd00:10:96::/112"),
}
POD_RANGES: Final[dict[Family, IPv4Network | IPv6Network]] = {
    "IPv4": IPv4Network("10.244.0.0/16"),
    "IPv6": IPv6Network("fd00:10:244::/112"),
}
STATIC_BAND: Final = 256
"""The lowest addresses are for those given by hand, as in a cluster (KEP-3070): 10.96.0.10 is free."""

Key = tuple[str, str]
"""Namespace, name."""


def families(spec: ServiceSpec) -> tuple[Family, ...]:
    """Return the address families of a Service, the primary one first.

    https://kubernetes.io/docs/concepts/services-networking/dual-stack/#services; where nothing is
    said, the cluster's primary family is IPv4.
    """
    given = [family(address) for address in spec.given_ips if address != HEADLESS]
    wanted = list(dict.fromkeys([*given, *spec.ip_families])) or ["IPv4"]
    if spec.ip_family_policy in {"PreferDualStack", "RequireDualStack"}:
        wanted += [each for each in SERVICE_RANGES if each not in wanted]
    return tuple(wanted)


def family(address: str) -> Family:
    """Return the family of a valid address."""
    if ":" not in address:
        return "IPv4"
    # An IPv4 address may be mapped into IPv6 (RFC 4291 section 2.5.5.2).
    return "IPv6" if ":" in (canonical_address(address) or "") else "IPv4"


def cluster_ips(services: Iterable[Declared]) -> dict[Key, tuple[str, ...]]:
    """Return the cluster IPs of all Services that have some; those that lack one get a stable one.

    When a range is used up, the rest has none of that family.
    """
    virtual = {
        (each.namespace, each.name): each.manifest.spec
        for each in services
        if isinstance(each.manifest, Service) and _is_virtual(each.manifest.spec)
    }
    given = {key: tuple(map(_canonical, spec.given_ips)) for key, spec in virtual.items()}
    pool = _Pool(SERVICE_RANGES, {address for each in given.values() for address in each})
    for key in sorted(virtual):
        have = {family(address) for address in given[key]}
        missing = (each for each in families(virtual[key]) if each not in have)
        given[key] += pool.take(missing, key)
    return given


def pod_ips(pods: Iterable[Declared]) -> dict[Key, tuple[str, ...]]:
    """Return the addresses of all Pods; those declared by hand get one of each family.

    A Pod whose status has no address has none.
    """
    declared = {
        (each.namespace, each.name): each.manifest
        for each in pods
        if isinstance(each.manifest, Pod)
    }
    found = {key: given_pod_ips(pod) for key, pod in declared.items()}
    pool = _Pool(POD_RANGES, {address for each in found.values() for address in each})
    for key in sorted(key for key, pod in declared.items() if pod.by_hand):
        found[key] = pool.take(POD_RANGES, key)
    return found


def given_pod_ips(pod: Pod) -> tuple[str, ...]:
    """Return ``status.podIPs``, which ``podIP`` overrules when they differ (core/v1 conversion)."""
    listed = tuple(each.ip for each in pod.status.pod_ips)
    single = pod.status.pod_ip
    if single and listed[:1] != (single,):
        listed = (single,)
    return tuple(map(_canonical, listed))


def _is_virtual(spec: ServiceSpec) -> bool:
    return spec.type != "ExternalName" and HEADLESS not in spec.given_ips


def _canonical(address: str) -> str:
    return canonical_address(address) or address


class _Pool:
    """Ranges from which addresses are taken, skipping those in use."""

    def __init__(
        self, ranges: dict[Family, IPv4Network | IPv6Network], taken: Collection[str]
    ) -> None:
        self._ranges = ranges
        self._taken = set(taken)
        self._used_up = set[Family]()

    def take(self, wanted: Iterable[Family], key: Key) -> tuple[str, ...]:
        """Return an address of each family that is not used up."""
        found = (self._take(each, key) for each in wanted if each not in self._used_up)
        return tuple(address for address in found if address)

    def _take(self, wanted: Family, key: Key) -> str:
        """Start where the hash of the name points, and go on to the next free address."""
        network = self._ranges[wanted]
        size = network.num_addresses - STATIC_BAND - 1  # the last is the broadcast address
        start = int.from_bytes(sha256("/".join(key).encode()).digest()[:8], "big")
        for step in range(size):
            address = str(network[STATIC_BAND + (start + step) % size])
            if address not in self._taken:
                self._taken.add(address)
                return address
        self._used_up.add(wanted)
        return ""
