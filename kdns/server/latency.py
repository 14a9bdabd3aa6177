"""How fast changes reach answers, and how the API server answers: CoreDNS's series for both."""

from __future__ import annotations

from kdns.metrics import Metrics, families
from kdns.records.index import Index
from kdns.records.objects import Change, Put, Slice
from kdns.sources.connection import ObserveRequest


def record_programming(metrics: Metrics, index: Index, change: Change, now: float) -> None:
    """Enter the time since what triggered a change of endpoints, if the controller tells it.

    Only its slices carry the annotation, so a headless Service among these has a selector.
    """
    if not isinstance(change, Put) or not isinstance(change.object, Slice):
        return
    piece = change.object
    service = index.service(piece.namespace, piece.service)
    if piece.triggered and service is not None:
        kind = "headless_with_selector" if service.headless else "cluster_ip"
        metrics.record(families.PROGRAMMING_DURATION, max(0.0, now - piece.triggered), kind)


def request_observer(metrics: Metrics) -> ObserveRequest:
    """Count requests to an API server: status code (``<error>`` without one), host, seconds."""

    def observe(code: str, host: str, seconds: float) -> None:
        metrics.count(families.API_REQUESTS, code, "GET", host)
        metrics.record(families.API_DURATION, seconds, "GET", host)

    return observe
