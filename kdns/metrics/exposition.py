"""What was counted, as prometheus_client's values and as text: imported by the first scrape.

Importing the package takes a part of the time to start, and no question waits for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TypeAlias

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from kdns.metrics import families, former
from kdns.metrics.family import Family
from kdns.metrics.meters import Cell, Histogram, Meter

Labels: TypeAlias = tuple[str, ...]


def exposer(metrics: Callable[[], Iterator[Metric]]) -> Callable[[], bytes]:
    """What makes the text of these, of the process and of the interpreter at each call."""
    registry = CollectorRegistry()
    registry.register(_Collector(metrics))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return partial(generate_latest, registry)


def collect(
    meters: Iterable[Meter],
    histograms: Mapping[Family, Mapping[Labels, Histogram]],
    samples: Callable[[Family], Mapping[Labels, float]],
) -> Iterator[Metric]:
    """The values of one process. A family without any series is left out."""
    yield from _from_meters(meters)
    for family in families.FAMILIES:
        if family.kind == "histogram":
            if found := histograms.get(family):
                yield _histogram_metric(family, found)
        elif counted := samples(family):
            yield _plain_metric(family, counted)


class _Collector:
    """What prometheus_client wants to be given; it must be able to ask before there are values."""

    def __init__(self, metrics: Callable[[], Iterator[Metric]]) -> None:
        self._metrics = metrics

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        return former.with_former(self._metrics())


def _from_meters(meters: Iterable[Meter]) -> Iterator[Metric]:
    counters: defaultdict[Family, defaultdict[Labels, float]] = defaultdict(
        lambda: defaultdict(float)
    )
    sizes: defaultdict[Family, dict[Labels, Histogram]] = defaultdict(dict)
    durations: dict[Labels, Histogram] = {}
    for meter in meters:
        used = [cell for cell in meter.cells.values() if cell.count]
        if used:
            durations[meter.labels] = meter.durations
        for cell in used:
            _add_counts(counters, meter.labels, cell)
            _add_sizes(sizes, meter.labels, cell)
    for family in families.FROM_METERS:
        if family in counters:
            yield _plain_metric(family, counters[family])
        elif family in sizes:
            yield _histogram_metric(family, sizes[family])
    if durations:
        yield _histogram_metric(families.REQUEST_DURATION, durations)


def _add_counts(
    counters: Mapping[Family, defaultdict[Labels, float]], block: Labels, cell: Cell
) -> None:
    (proto, family), (rtype, rcode, plugin, dnssec_ok), *_ = cell.key
    counters[families.REQUESTS][*block, proto, family, rtype] += cell.count
    counters[families.RESPONSES][*block, rcode, plugin] += cell.count
    if dnssec_ok:
        counters[families.DO_REQUESTS][block] += cell.count


def _add_sizes(sizes: Mapping[Family, dict[Labels, Histogram]], block: Labels, cell: Cell) -> None:
    labels = (*block, cell.key[0][0])
    for family, bucket, octets in (
        (families.REQUEST_SIZE, cell.key[2], cell.request_bytes),
        (families.RESPONSE_SIZE, cell.key[3], cell.response_bytes),
    ):
        histogram = sizes[family].setdefault(labels, Histogram(family.buckets))
        histogram.counts[bucket] += cell.count
        histogram.sum += octets


def _plain_metric(family: Family, samples: Mapping[Labels, float]) -> Metric:
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, value in samples.items():
        metric.add_metric(labels, value)
    return metric


def _histogram_metric(family: Family, samples: Mapping[Labels, Histogram]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for labels, histogram in samples.items():
        metric.add_metric(labels, _cumulative(histogram), histogram.sum)
    return metric


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*(_bound(value) for value in histogram.bounds), "+Inf"]
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip(bounds, histogram.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets


def _bound(value: float) -> str:
    """As Go writes it: dashboards select on ``le="511"``, not ``le="511.0"``."""
    return f"{value:.15g}"
