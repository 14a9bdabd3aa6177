"""Kubernetes objects as people declare them: checked, and ready to be put together.

Stricter than ``schema``: what the API server would refuse is an error here, because whoever wrote the
manifest wants to know. Kinds that no answer depends on are passed over. Knows nothing of files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from kdns.records import schema
from kdns.records.manifest_shapes import (
    Endpoints,
    EndpointSlice,
    Manifest,
    Namespace,
    Node,
    Pod,
    Service,
    ServiceImport,
)
from kdns.records.objects import Kind, Object
from kdns.records.trimming import canonical_address


class Declared(Struct, frozen=True):
    """One object of a manifest that counts."""

    kind: str
    namespace: str
    """"" for a kind without namespaces."""
    name: str
    manifest: Manifest
    trimmed: Object | None = None
    """What ``schema`` makes of it: None for kinds that are not served and for Pods that ended."""


class RefusedError(ValueError):
    """An object that an API server would refuse."""

    def __init__(self, title: str, path: str, problem: str) -> None:
        super().__init__(f"{title}: {path}: {problem}" if path else f"{title}: {problem}")
        self.path = path
        """The field, as ``spec.ports[0].port``; ``labels[...]`` is one of the labels."""


_TYPES: Final[Mapping[tuple[str, str], type[Manifest]]] = {
    ("v1", "Service"): Service,
    ("v1", "Pod"): Pod,
    ("v1", "Endpoints"): Endpoints,
    ("v1", "Namespace"): Namespace,
    ("v1", "Node"): Node,
    ("discovery.k8s.io/v1", "EndpointSlice"): EndpointSlice,
    ("multicluster.x-k8s.io/v1alpha1", "ServiceImport"): ServiceImport,
}
_SERVED: Final[Mapping[type[Manifest], Kind]] = {
    Service: Kind.SERVICE,
    Pod: Kind.POD,
    EndpointSlice: Kind.SLICE,
    Namespace: Kind.NAMESPACE,
    Node: Kind.NODE,
    ServiceImport: Kind.IMPORT,
}
_NOT_TEXT: Final = re.compile("Expected `str`, got `(?:bool|int|float)`")
_CLUSTER_SCOPED: Final = frozenset(("Namespace", "Node"))
_FREE_FORM: Final = frozenset(("labels", "annotations", "selector"))


def read(document: Mapping[str, object]) -> Declared | None:
    """Check one object; None if its kind does not count. Raises RefusedError."""
    version, kind = document.get("apiVersion"), document.get("kind")
    if not (isinstance(version, str) and version and isinstance(kind, str) and kind):
        raise RefusedError("not a Kubernetes object", "", "apiVersion and kind must be strings")
    declared_type = _TYPES.get((version, kind))
    if declared_type is None:
        if version == "discovery.k8s.io/v1beta1":
            raise RefusedError(kind, "apiVersion", f"{version} is not supported, use v1")
        return None
    return _declared(kind, declared_type, _without_nulls(document))


def _declared(kind: str, kind_type: type[Manifest], document: Mapping[str, object]) -> Declared:
    try:
        manifest = msgspec.convert(document, kind_type)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at ")
        if _NOT_TEXT.fullmatch(problem):
            problem += ": quote it"
        if "matching regex" in problem:
            problem = "not a valid name (RFC 1123): a-z, 0-9 and '-' are expected"
        raise RefusedError(title(document), path.strip("`").lstrip("$."), problem) from None
    if isinstance(manifest, Endpoints):
        _check_addresses(manifest, title(document))
    namespace = "" if kind in _CLUSTER_SCOPED else manifest.metadata.namespace
    trimmed = _trimmed(document, manifest, namespace)
    return Declared(kind, namespace, manifest.metadata.name, manifest, trimmed)


def _trimmed(document: Mapping[str, object], manifest: Manifest, namespace: str) -> Object | None:
    """Convert by ``schema``, but take what it merely leaves out as an error."""
    kind = _SERVED.get(type(manifest))
    if kind is None:
        return None
    metadata = document["metadata"]
    placed = {**metadata, "namespace": namespace} if isinstance(metadata, Mapping) else {}
    decoded = schema.from_mapping(kind, {**document, "metadata": placed})
    for reason in decoded.rejected:
        place = f"{kind.value} {namespace}/{manifest.metadata.name}: "
        path, _, problem = reason.removeprefix(place).partition(": ")
        # A remark that begins with no field is about what a cluster may hold too, such as a slice
        # without the service label.
        if problem and " " not in path:
            raise RefusedError(title(document), path, problem)
    return decoded.object


def _check_addresses(endpoints: Endpoints, what: str) -> None:
    for at, subset in enumerate(endpoints.subsets):
        for field_name, addresses in (
            ("addresses", subset.addresses),
            ("notReadyAddresses", subset.not_ready_addresses),
        ):
            for index, address in enumerate(addresses):
                if canonical_address(address.ip) is None:
                    path = f"subsets[{at}].{field_name}[{index}].ip"
                    raise RefusedError(what, path, f"{address.ip!r} is not an IP address")


def title(document: Mapping[str, object]) -> str:
    """Say which object this is, as far as it does: ``Service default/web``."""
    kind = document.get("kind")
    metadata = document.get("metadata")
    known = metadata if isinstance(metadata, Mapping) else {}
    name, namespace = _shown(known.get("name", "?")), _shown(known.get("namespace", "default"))
    return f"{kind} {name}" if kind in _CLUSTER_SCOPED else f"{kind} {namespace}/{name}"


def _shown(name: object) -> str:
    """Keep what is no name from breaking the line that reports it."""
    text = str(name)[:253]
    return text if text.isprintable() else repr(text)


def _without_nulls(document: Mapping[str, object]) -> Mapping[str, object]:
    """A field that is null is absent (Kubernetes API conventions, "Optional vs. Required")."""
    return {
        key: value if key in _FREE_FORM else _clean(value)
        for key, value in document.items()
        if value is not None
    }


def _clean(value: object) -> object:
    if isinstance(value, Mapping):
        return _without_nulls(value)
    if isinstance(value, list):
        return [_clean(each) for each in value]
    return value
