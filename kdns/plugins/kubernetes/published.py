"""What the directive publishes as metadata: the parts of the name that is asked for, and who asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from kdns.plugins.interface import Context
from kdns.plugins.kubernetes.settings import Settings
from kdns.plugins.zones import longest_match
from kdns.records.index import Index
from kdns.records.objects import Pod
from kdns.records.outcome import PodMode
from kdns.wire.message import Query
from kdns.wire.names import Name, plain_address

_KINDS: Final = ("svc", "pod")
_PARSE_ERROR: Final = "invalid query name"
"""The peer's words."""


def publish(settings: Settings, context: Context) -> Callable[[Query, str], str]:
    """Values under ``kubernetes/…``: those of the name, and ``client-…`` where Pods are watched."""
    view = settings.view(context.block)
    index, _ = context.cluster(settings.access())
    verified = view.pods is PodMode.VERIFIED

    def read(query: Query, label: str) -> str:
        name = label.partition("/")[2]
        if name in _CLIENT:
            pod = client_pod(index, query.client) if verified else None
            return _CLIENT[name](pod) if pod else ""
        zone = longest_match(view.zones, query.name)
        if zone is None:
            return ""
        return parts(query.name[: len(query.name) - len(zone)], settings.zonal).get(name, "")

    return read


def client_pod(index: Index, client: str) -> Pod | None:
    """The Pod with the asker's address."""
    return index.sole_pod(str(plain_address(client))) if client else None


_CLIENT: Final[Mapping[str, Callable[[Pod], str]]] = {
    "client-namespace": lambda pod: pod.namespace,
    "client-pod-name": lambda pod: pod.name,
}


def parts(labels: Name, zonal: bool = False) -> dict[str, str]:
    """By CoreDNS's names, what the labels before the zone are."""
    if not labels or labels in {("svc",), ("pod",)}:
        return {}
    *rest, kind = labels
    if kind not in _KINDS:
        return {"parse-error": _PARSE_ERROR}
    found = dict(zip(("namespace", "service"), reversed(rest), strict=False), kind=kind)
    match rest[:-2]:
        case []:
            return found
        case [endpoint]:
            return found | {"endpoint": endpoint}
        case [port, protocol]:
            port, protocol = port.removeprefix("_"), protocol.removeprefix("_")
            return found | {"port-name": port, "protocol": protocol}
        case [*zone, "pin" | "prefer", "_zone"] if zonal and kind == "svc":
            return found | {"zone": ".".join(zone)}
    return {"parse-error": _PARSE_ERROR}
