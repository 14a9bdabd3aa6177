"""Figures of one process for another to add to its own: how workers are in ``/metrics``.

Counters and histograms add up sample by sample, and so do gauges that count what a process holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from kdns.metrics import families
from kdns.metrics.family import Family

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Labels: TypeAlias = tuple[tuple[str, str], ...]
Exported: TypeAlias = dict[str, list[tuple[str, Labels, float]]]
"""Samples by the name of their family: own name (with ``_bucket`` …), labels, value."""

HELD: Final = frozenset(
    {families.CACHE_ENTRIES.name, families.ANSWERS_KEPT.name, families.TCP_CONNECTIONS.name}
)
"""Gauges that add up while the process lives, and mean nothing after it."""

SHARED: Final = frozenset(
    family.name.removesuffix("_total")
    for family in (families.WATCH_RESTARTS, families.WATCH_RELISTS, families.ZONE_FILE_FAILURES)
)
"""Counters of what all processes are told, or see, of one thing: the main one's own are enough."""


def export(metrics: Iterable[Metric]) -> Exported:
    """What another process may add up."""
    return {
        metric.name: [(s.name, tuple(sorted(s.labels.items())), s.value) for s in metric.samples]
        for metric in metrics
        if metric.name not in SHARED
        and (metric.type in {"counter", "histogram"} or metric.name in HELD)
    }


def add(total: Exported, more: Exported) -> Exported:
    """The sum, sample by sample."""
    result = dict(total)
    for family, samples in more.items():
        values = {(name, labels): value for name, labels, value in result.get(family, [])}
        for name, labels, value in samples:
            values[name, labels] = values.get((name, labels), 0.0) + value
        result[family] = [(name, labels, value) for (name, labels), value in values.items()]
    return result


def ended(exported: Exported) -> Exported:
    """What is left of a process's figures when it is gone."""
    return {family: samples for family, samples in exported.items() if family not in HELD}


def combine(own: Iterable[Metric], others: Exported) -> Iterator[Metric]:
    """Our own metrics with the others' samples added."""
    from prometheus_client.core import Metric  # noqa: PLC0415 - as ``exposition``

    rest = dict(others)
    for metric in own:
        samples = rest.pop(metric.name, None)
        if samples:
            mine: Exported = export([metric])
            summed = add(mine, {metric.name: samples})[metric.name]
            metric.samples.clear()
            for name, labels, value in summed:
                metric.add_sample(name, dict(labels), value)
        yield metric
    known = {_bare(family): family for family in families.FAMILIES}
    for name, samples in rest.items():
        family = known[name]
        metric = Metric(name, family.help, family.kind)
        for sample, labels, value in samples:
            metric.add_sample(sample, dict(labels), value)
        yield metric


def _bare(family: Family) -> str:
    """As prometheus_client names a family: a counter's without ``_total``."""
    return family.name.removesuffix("_total") if family.kind == "counter" else family.name
