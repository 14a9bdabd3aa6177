"""Hands the figures that others keep to ``metrics``, which asks for them at each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from kdns.answers.reply_cache import ReplyCache
from kdns.metrics import Metrics, Samples, families
from kdns.metrics.family import Family
from kdns.server.clusters import Clusters
from kdns.server.generation import Generation
from kdns.server.sockets import Endpoint, Sockets
from kdns.status import SourceStatus
from kdns.wire.names import to_text


def register(
    metrics: Metrics,
    sockets: Sockets,
    clusters: Clusters,
    generation: Callable[[], Generation | None],
) -> None:
    """Tell ``metrics`` where to find everything that is not counted by itself."""
    metrics.before_scrape(lambda: _report(metrics, sockets, generation()))
    _register_snapshots(metrics, clusters)
    metrics.read(families.INDEX_OBJECTS, lambda: list(_sizes(clusters)))
    _register_caches(metrics, sockets)
    _register_tcp(metrics, sockets)
    metrics.read(families.PLUGIN_ENABLED, lambda: list(_plugins(generation())))
    metrics.read(families.ZONE_SERIAL, lambda: list(_serials(generation())))
    metrics.read(families.ZONE_FILE_FAILURES, lambda: list(_failures(generation())))


def _register_snapshots(metrics: Metrics, clusters: Clusters) -> None:
    def reader(value: Callable[[SourceStatus], float]) -> Callable[[], Samples]:
        return lambda: [
            ((cluster.status.name,), value(cluster.status))
            for cluster in clusters
            if cluster.status.keeps_snapshot
        ]

    metrics.read(families.SNAPSHOT_SERVED, reader(lambda status: int(status.restored)))
    metrics.read(families.SNAPSHOT_SAVED, reader(lambda status: status.saved_at))
    metrics.read(families.SNAPSHOT_FAILURES, reader(lambda status: status.save_failures))


def _report(metrics: Metrics, sockets: Sockets, generation: Generation | None) -> None:
    _count_drops(metrics, sockets)
    sockets.report()  # first: it notifies the stages of hits that they did not see
    if generation is not None:
        generation.report()


_CACHE_COUNTERS: Final[dict[Family, Callable[[ReplyCache], int]]] = {
    families.CACHE_HITS: lambda cache: cache.hits,
    families.CACHE_MISSES: lambda cache: cache.misses,
    families.CACHE_DROPS: lambda cache: cache.drops,
    families.CACHE_EVICTIONS: lambda cache: cache.evictions,
}


def _register_caches(metrics: Metrics, sockets: Sockets) -> None:
    def total(value: Callable[[ReplyCache], int]) -> Callable[[], float]:
        return lambda: sum(value(endpoint.cache) for endpoint in sockets)

    metrics.read(families.CACHE_ENTRIES, total(len))
    metrics.read(families.CACHE_OCTETS, total(lambda cache: cache.octets))
    for family, value in _CACHE_COUNTERS.items():
        metrics.read(family, total(value))


def _register_tcp(metrics: Metrics, sockets: Sockets) -> None:
    def ended() -> Samples:
        reasons: Counter[str] = Counter()
        for endpoint in sockets:
            reasons.update(endpoint.tcp.ended)
        return [((reason,), count) for reason, count in reasons.items()]

    metrics.read(families.TCP_CONNECTIONS, lambda: sum(len(e.tcp.connections) for e in sockets))
    metrics.read(families.TCP_ACCEPTED, lambda: sum(e.tcp.accepted for e in sockets))
    metrics.read(families.TCP_CLOSED, ended)


def retire(metrics: Metrics, endpoint: Endpoint) -> None:
    """Keep what a closed address has counted: counters never go back."""
    endpoint.cache.report()
    for family, value in _CACHE_COUNTERS.items():
        metrics.count(family, by=value(endpoint.cache))
    metrics.count(families.TCP_ACCEPTED, by=endpoint.tcp.accepted)
    for reason, count in endpoint.tcp.ended.items():
        metrics.count(families.TCP_CLOSED, reason, by=count)


def _count_drops(metrics: Metrics, sockets: Sockets) -> None:
    for endpoint in sockets:
        for reason, count in endpoint.udp.take_drops().items() if endpoint.udp else ():
            metrics.count(families.DROPPED_DATAGRAMS, reason, by=count)


def _sizes(clusters: Clusters) -> Iterator[tuple[tuple[str, ...], float]]:
    for cluster in clusters:
        for kind, count in cluster.index.sizes().items():
            yield (cluster.status.name, kind.value), count


def _plugins(generation: Generation | None) -> Iterator[tuple[tuple[str, ...], float]]:
    for responder in generation.responders.values() if generation else ():
        for served in responder.blocks:
            for name in served.directives:
                yield (*served.meter.labels, name), 1


def _serials(generation: Generation | None) -> Iterator[tuple[tuple[str, ...], float]]:
    for store in generation.services.zone_stores if generation else ():
        for origin, zone in store.zones.items():
            if zone is not None:
                yield (to_text(origin),), zone.serial


def _failures(generation: Generation | None) -> Iterator[tuple[tuple[str, ...], float]]:
    for store in generation.services.zone_stores if generation else ():
        for path, count in store.failures.items():
            yield (path,), count
