"""The objects behind the keys of an answer, each in a line, as far as they may be seen.

What lies in a namespace that is not exposed, or may not be queried by the client, is treated as if it were
not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from kdns.records.client_view import ClientView
from kdns.records.holders import outside
from kdns.records.index import Index
from kdns.records.lookup import is_exposed
from kdns.records.objects import Endpoint, Kind, Pod, Port, Service, Slice
from kdns.records.outcome import View
from kdns.wire.message import Key
from kdns.wire.names import Name

MAX_SLICES: Final = 8
MAX_ENDPOINTS: Final = 8
"""Shown of a Service, and of a slice; the rest is counted."""


def visible(shown: ClientView, keys: Iterable[Key], name: Name) -> list[Key]:
    """The keys that tell nothing of what is not shown, except of a namespace in the query's own name."""

    def is_shown(key: Key) -> bool:
        match key:
            case ("ns" | "names", namespace):
                return namespace in name or shown.has_namespace(namespace)
            case ("svc", namespace, service):
                own = service in name and namespace in name
                return own or shown.may_name(namespace, service)
            case _:
                return True

    return [key for key in sorted(keys) if is_shown(key)]


def describe(shown: ClientView, keys: Iterable[Key]) -> Iterator[str]:
    """A line for each object, each once."""
    lines: dict[str, None] = {}
    for key in keys:
        lines.update(dict.fromkeys(_of_key(shown, key)))
    yield from lines


def _of_key(shown: ClientView, key: Key) -> Iterator[str]:
    match key:
        case ("ns", namespace):
            state = "exposed" if shown.has_namespace(namespace) else "not there or not exposed"
            yield f"Namespace {namespace}: {state}"
        case ("svc", namespace, name) if shown.may_name(namespace, name):
            yield from _service(shown.index, namespace, name)
        case ("ip", address):
            yield from _at_address(shown, address)
        case ("pod", address):
            pods = shown.index.pods_at(address)
            yield from (_pod(pod) for pod in pods if shown.has_namespace(pod.namespace))
        case ("zone" | "file" as kind, what):
            yield f"{kind} {what}"
        case _:
            pass


def _service(index: Index, namespace: str, name: str) -> Iterator[str]:
    service = index.service(namespace, name)
    yield f"Service {namespace}/{name}: {_shape(service) if service else 'not there'}"
    pieces = list(index.slices(namespace, name))
    for piece in pieces[:MAX_SLICES]:
        yield _slice(piece)
    if len(pieces) > MAX_SLICES:
        yield f"{len(pieces) - MAX_SLICES} more EndpointSlices of {namespace}/{name}"
    if service and not pieces and not service.external_name and Kind.SLICE in index.synced:
        selector = "" if service.selects else "; the Service has no selector"
        yield f"no EndpointSlice of {namespace}/{name}{selector}"


def _shape(service: Service) -> str:
    if service.external_name:
        return f"ExternalName {service.external_name}"
    kind = "headless" if service.headless else f"ClusterIP {' '.join(service.cluster_ips)}"
    ports = " ".join(map(_port, service.ports))
    shape = f"{kind}; {f'ports {ports}' if ports else 'no ports'}"
    found = outside(service)
    return f"{shape}; outside {' '.join(found)}" if found else shape


def _port(port: Port) -> str:
    """As kubectl has it: ``http:80:30080/tcp`` with a node port."""
    node_port = f":{port.node_port}" if port.node_port else ""
    return f"{port.name}:{port.number}{node_port}/{port.protocol}"


def _slice(piece: Slice) -> str:
    shown = "; ".join(map(_endpoint, piece.endpoints[:MAX_ENDPOINTS])) or "no endpoints"
    more = len(piece.endpoints) - MAX_ENDPOINTS
    return f"EndpointSlice {piece.namespace}/{piece.name}: {shown}" + (
        f"; {more} more" if more > 0 else ""
    )


def _endpoint(endpoint: Endpoint) -> str:
    state = "ready" if endpoint.ready else "terminating" if endpoint.terminating else "not ready"
    words = [*endpoint.addresses, state]
    if endpoint.pod:
        words.append(f"(Pod {endpoint.pod})")
    if endpoint.hostname:
        words.append(f"hostname {endpoint.hostname}")
    return " ".join(words)


def _pod(pod: Pod) -> str:
    host = ", on its node's network" if pod.host_network else ""
    return f"Pod {pod.namespace}/{pod.name}: {' '.join(pod.ips)}{host}"


def _at_address(shown: ClientView, address: str) -> Iterator[str]:
    for service in shown.index.services_at(address):
        if shown.may_name(service.namespace, service.name):
            yield f"Service {service.namespace}/{service.name}: {_shape(service)}"
    for piece in shown.index.slices_at(address):
        if shown.may_name(piece.namespace, piece.service):
            yield _slice(piece)


def pod_at(index: Index, view: View, address: str) -> str:
    """``NAMESPACE/NAME`` of the one Pod that has the address; "" where none or several do."""
    found = {(pod.namespace, pod.name) for pod in index.pods_at(address)}
    for piece in index.slices_at(address):
        for endpoint in piece.endpoints:
            if endpoint.pod and address in endpoint.addresses:
                found.add((piece.namespace, endpoint.pod))
    shown = [pair for pair in found if is_exposed(index, view, pair[0])]
    return "/".join(shown[0]) if len(shown) == 1 == len(found) else ""
