"""The search list of a Pod, and names that it has lengthened.

The kubelet writes ``search NAMESPACE.svc.D svc.D D`` and ``ndots:5`` into a Pod's resolv.conf, so names
such as ``example.org`` or ``web.shop.svc.cluster.local`` are first asked with each of these appended.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from kdns.records.outcome import Asked, Reason
from kdns.wire.names import Name, is_below

NDOTS: Final = 5
"""Names with fewer dots are completed before they are tried as they are (pkg/kubelet/network/dns)."""


def search_list(namespace: str, zone: Name) -> tuple[Name, Name, Name]:
    """What is appended in turn in a Pod of the namespace, where the zone is the cluster's."""
    return (namespace, "svc", *zone), ("svc", *zone), zone


class Artefact(Struct, frozen=True):
    """A name in front of what was appended."""

    original: Name
    appended: Name
    """Without the zone: the namespace and ``svc``, ``svc`` alone, or nothing."""
    certain: bool
    """Whether nobody can have meant anything else; else only a search list is a likely cause."""


def artefact(asked: Asked, reason: Reason, zones: Iterable[Name]) -> Artefact | None:
    """What a name that does not exist looks like, if it looks like that. ``zones`` are the cluster's."""
    count = _appended(asked, reason)
    if count is None:
        return None
    labels = asked.labels
    original, appended = labels[: len(labels) - count], labels[len(labels) - count :]
    whole = any(len(original) > len(zone) and is_below(original, zone) for zone in zones)
    if whole or (len(original) > 2 and original[-1] in {"svc", "pod"}):
        return Artefact(original, appended, certain=True)
    # One or two labels may be a Service, or that and its namespace, misspelt.
    least = 2 if appended != ("svc",) else 3
    if len(original) < least or any(label.startswith("_") for label in original):
        return None
    return Artefact(original, appended, certain=False)


def _appended(asked: Asked, reason: Reason) -> int | None:
    """How many labels of the search list's domain there can be in front of the zone."""
    if reason is Reason.NOT_A_KUBERNETES_NAME:
        return 0
    if asked.kind != "svc":
        return None
    if reason is Reason.NO_NAMESPACE:
        return 1
    return 2 if reason is Reason.NO_SERVICE else None
