"""What ``forward`` counts, also under the names that CoreDNS had for it before 1.11.

Alerts and dashboards in use still ask for them, such as coredns-mixin's. Nothing is counted twice:
they are made at the scrape from today's series.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.samples import Sample

from kdns.metrics import families
from kdns.metrics.family import Family


def with_former(metrics: Iterable[Metric]) -> Iterator[Metric]:
    """All of them, and after them what follows from them under a former name."""
    made: list[Metric] = []
    for metric in metrics:
        yield metric
        if metric.name == families.PROXY_DURATION.name:
            made += _durations(metric.samples)
        elif f"{metric.name}_total" == families.PROXY_CHECK_FAILURES.name:
            made.append(_count(families.FORWARD_CHECK_FAILURES, metric.samples))
    yield from made


def _durations(samples: list[Sample]) -> Iterator[Metric]:
    counts = [sample for sample in samples if sample.name.endswith("_count")]
    yield _count(families.FORWARD_REQUESTS, counts)
    yield _count(families.FORWARD_RESPONSES, counts)
    family = families.FORWARD_DURATION
    metric = HistogramMetricFamily(family.name, family.help)
    for sample in samples:
        labels = {name: value for name, value in sample.labels.items() if name != "proxy_name"}
        suffix = sample.name.removeprefix(families.PROXY_DURATION.name)
        metric.add_sample(family.name + suffix, labels, sample.value)
    yield metric


def _count(family: Family, samples: Iterable[Sample]) -> Metric:
    """The samples, added up to the family's labels."""
    totals: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for sample in samples:
        totals[tuple(sample.labels[label] for label in family.labels)] += sample.value
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in totals.items():
        metric.add_metric(labels, value)
    return metric
