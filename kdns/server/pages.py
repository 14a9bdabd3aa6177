"""What ``/health``, ``/ready`` and ``/metrics`` are to serve, and where, by the directives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import time

from kdns.config.addresses import Address
from kdns.config.tree import Option
from kdns.listeners.http import Endpoint, Page, health_page, metrics_page, ready_page
from kdns.metrics import Metrics
from kdns.plugins import health, kubernetes, prometheus, ready
from kdns.plugins.chain import Plan
from kdns.plugins.kubernetes.freshness import STALE_AFTER
from kdns.server.generation import Generation
from kdns.status import SourceStatus


class Pages:
    """The pages of the running generation."""

    def __init__(self, metrics: Metrics, feeds: Callable[[], Iterable[SourceStatus]]) -> None:
        """``feeds`` gives the state of what is followed beside the clusters."""
        self.metrics = metrics
        self._readiness: dict[Address, ready.Readiness] = {}
        self._feeds = feeds
        self._gates: Callable[[], list[tuple[str, str | None]]] = list

    def stop(self) -> None:
        """Say "not ready" from now on."""
        for readiness in self._readiness.values():
            readiness.stop()

    def endpoints(self, generation: Generation) -> list[Endpoint]:
        """What a generation wants served. What was ready before a reload still is."""
        self._gates = lambda: [*gates(generation), *feed_gates(self._feeds())]
        return [e for planned in generation.plans for e in self._of_block(planned)]

    def _of_block(self, planned: Plan) -> Iterator[Endpoint]:
        for name, settings in planned.settings.items():
            match settings[0]:
                case health.Settings(address):
                    yield _endpoint(planned, name, address, health_page)
                case ready.Settings(address) as wanted:
                    readiness = self._readiness.setdefault(address, ready.Readiness(wanted))
                    readiness.continuously = wanted.continuously
                    yield _endpoint(planned, name, address, self._ready_page(readiness))
                case prometheus.Settings(address, runtime_metrics):
                    if runtime_metrics:
                        self.metrics.read_runtime()
                    yield _endpoint(planned, name, address, self._metrics_page)
                case _:
                    pass

    def _metrics_page(self) -> Page:
        return metrics_page(self.metrics)

    def _ready_page(self, readiness: ready.Readiness) -> Callable[[], Page]:
        return lambda: ready_page(readiness.problems(self._gates()))


_PATHS = {"health": "/health", "ready": "/ready", "prometheus": "/metrics"}


def _endpoint(planned: Plan, name: str, address: Address, page: Callable[[], Page]) -> Endpoint:
    directive = next(planned.block.named(name), Option(name))
    return Endpoint(address, _PATHS[name], page, name, directive.location)


def feed_gates(feeds: Iterable[SourceStatus]) -> Iterator[tuple[str, str | None]]:
    """The directives whose feeds fail again and again, with the reason."""
    now = time()
    for status in feeds:
        failing = status.age(now) >= STALE_AFTER
        yield status.name.partition(" ")[0], f"{status.name}: {status.problem}" if failing else None


def gates(generation: Generation) -> Iterator[tuple[str, str | None]]:
    """Who can be unready, with the reason or None: the clusters, until synced or while stale."""
    for planned in generation.plans:
        if isinstance(planned.first("kubernetes"), kubernetes.Settings):
            for cluster in generation.clusters.values():
                status = cluster.status
                current = status.synced and status.age(time()) < STALE_AFTER
                yield "kubernetes", None if current else status.problem
