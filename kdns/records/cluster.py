"""The objects that a cluster would hold, given what is declared: addresses, slices, namespaces.

A function of the set of declared objects alone, so a reload ends where a fresh start would.
``changes`` tells two such states apart, so that an edit touches only what it changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from kdns.records import allocation, mirror
from kdns.records.declared import Declared
from kdns.records.manifest_shapes import (
    Endpoints,
    EndpointSlice,
    Labels,
    Manifest,
    Namespace,
    Node,
    Pod,
    Service,
    ServiceImport,
)
from kdns.records.objects import Change, Gone, Kind, Object, Put
from kdns.records.objects import Namespace as NamedNamespace
from kdns.records.objects import Pod as TrimmedPod
from kdns.records.objects import Service as TrimmedService
from kdns.records.selectors import EVERYTHING, Selector

M = TypeVar("M", bound=Manifest)

Key: TypeAlias = tuple[Kind, str, str]
"""Kind, namespace ("" for a Namespace), name."""
State: TypeAlias = Mapping[Key, Object]

ALWAYS: Final = ("default", "kube-system")
"""Namespaces that every cluster has."""
NAME_LABEL: Final = "kubernetes.io/metadata.name"
"""The API server puts it on every Namespace."""


class Selection(Struct, frozen=True):
    """Which objects are watched."""

    labels: Selector = EVERYTHING
    """For Services, Pods and EndpointSlices."""
    namespace_labels: Selector = EVERYTHING
    pods: bool = False
    endpoints: bool = True
    nodes: bool = False
    imports: bool = False

    @property
    def kinds(self) -> tuple[Kind, ...]:
        left_out = {
            Kind.POD: not self.pods,
            Kind.SLICE: not self.endpoints,
            Kind.NODE: not self.nodes,
            Kind.IMPORT: not self.imports,
        }
        return tuple(kind for kind in Kind if not left_out.get(kind))


def assemble(declared: Sequence[Declared], selection: Selection) -> State:
    """Return the state of the cluster, as far as it is watched."""
    made = [*_namespaces(declared), *_services(declared)]
    if selection.endpoints:
        made += slices(declared)
    if selection.pods:
        made += _pods(declared)
    state = {
        key: each
        for key, each, labels in made
        if (selection.namespace_labels if key[0] is Kind.NAMESPACE else selection.labels).matches(
            labels
        )
    }
    if selection.nodes:
        state |= _unlabelled(Node, Kind.NODE, declared)
    if selection.imports:
        state |= _unlabelled(ServiceImport, Kind.IMPORT, declared)
    return state


def changes(before: State, after: State) -> list[Change]:
    """Return what leads from one state to the other; what is gone comes first, to free addresses."""
    gone: list[Change] = [Gone(*key) for key in before if key not in after]
    return gone + [Put(each) for key, each in after.items() if before.get(key) != each]


Labelled: TypeAlias = tuple[Key, Object, Mapping[str, str]]
"""An object with the labels that decide whether it is watched."""


def _namespaces(declared: Iterable[Declared]) -> Iterator[Labelled]:
    """One for each that is declared or has an object: ``kubectl apply`` would need it to exist."""
    labels: dict[str, Labels] = {name: {} for name in ALWAYS}
    for each in declared:
        if isinstance(each.manifest, Namespace):
            labels[each.name] = each.manifest.metadata.labels
        elif each.namespace:
            labels.setdefault(each.namespace, {})
    for name in sorted(labels):
        yield (
            (Kind.NAMESPACE, "", name),
            NamedNamespace(name),
            labels[name] | {NAME_LABEL: name},
        )


def _services(declared: Iterable[Declared]) -> Iterator[Labelled]:
    services = _of(Service, declared)
    ips = allocation.cluster_ips(each for each, _ in services)
    for each, manifest in services:
        trimmed = each.trimmed
        if isinstance(trimmed, TrimmedService):
            given = ips.get((each.namespace, each.name), ())
            complete = msgspec.structs.replace(trimmed, cluster_ips=given)
            yield (Kind.SERVICE, each.namespace, each.name), complete, manifest.metadata.labels


def _pods(declared: Iterable[Declared]) -> Iterator[Labelled]:
    pods = _of(Pod, declared)
    ips = allocation.pod_ips(each for each, _ in pods)
    for each, manifest in pods:
        trimmed = each.trimmed
        if isinstance(trimmed, TrimmedPod):
            complete = msgspec.structs.replace(trimmed, ips=ips[each.namespace, each.name])
            yield (Kind.POD, each.namespace, each.name), complete, manifest.metadata.labels


def slices(declared: Sequence[Declared]) -> Iterator[Labelled]:
    """Yield those that are declared, and those that controllers would make.

    A dump of a real cluster holds the work of its controllers, which then is not done again.
    """
    done = set[tuple[str, str, str]]()
    for each, given in _of(EndpointSlice, declared):
        labels = given.metadata.labels
        done.add((labels.get(mirror.MANAGED_BY, ""), each.namespace, _service_name(labels)))
        if each.trimmed is not None:
            yield (Kind.SLICE, each.namespace, each.name), each.trimmed, labels
    for made in _made(declared, done):
        yield (Kind.SLICE, made.slice.namespace, made.slice.name), made.slice, made.labels


def _service_name(labels: Mapping[str, str]) -> str:
    return labels.get(mirror.SERVICE_NAME, "")


def _made(declared: Sequence[Declared], done: set[tuple[str, str, str]]) -> Iterator[mirror.Made]:
    pods = _PodsByLabel(declared)
    endpoints = {(each.namespace, each.name): given for each, given in _of(Endpoints, declared)}
    for each, service in _of(Service, declared):
        key = (each.namespace, each.name)
        if service.spec.selector and service.spec.type != "ExternalName":
            if (mirror.SLICE_CONTROLLER, *key) not in done:
                yield from mirror.from_pods(
                    service, pods.matching(each.namespace, service.spec.selector)
                )
        elif key in endpoints and (mirror.MIRRORING_CONTROLLER, *key) not in done:
            yield from mirror.from_endpoints(service, endpoints[key])


def _unlabelled(
    manifest_type: type[Manifest], kind: Kind, declared: Iterable[Declared]
) -> dict[Key, Object]:
    """Those that count whatever their labels are."""
    found = [each for each in declared if isinstance(each.manifest, manifest_type)]
    return {
        (kind, each.namespace, each.name): each.trimmed
        for each in found
        if each.trimmed is not None
    }


class _PodsByLabel:
    """Pods by each of their labels, so that a selector looks only at likely ones."""

    def __init__(self, declared: Sequence[Declared]) -> None:
        pods = _of(Pod, declared)
        ips = allocation.pod_ips(each for each, _ in pods)
        zones = {
            each.name: node.metadata.labels.get(mirror.ZONE_LABEL, "")
            for each, node in _of(Node, declared)
        }
        self._found: dict[tuple[str, str, str], list[mirror.Located]] = {}
        for each, pod in pods:
            located = mirror.Located(
                pod, ips[each.namespace, each.name], zones.get(pod.spec.node_name, "")
            )
            for label, value in pod.metadata.labels.items():
                self._found.setdefault((each.namespace, label, value), []).append(located)

    def matching(self, namespace: str, selector: Labels) -> Iterator[mirror.Located]:
        """Yield the Pods that have all labels of a non-empty selector."""
        likely = [self._found.get((namespace, *pair), []) for pair in selector.items()]
        for located in min(likely, key=len):
            if selector.items() <= located.pod.metadata.labels.items():
                yield located


def _of(manifest_type: type[M], declared: Iterable[Declared]) -> list[tuple[Declared, M]]:
    return [(each, each.manifest) for each in declared if isinstance(each.manifest, manifest_type)]
