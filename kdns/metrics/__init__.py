"""Every Prometheus series, and the text that ``/metrics`` answers with.

``families`` names the series, ``meters`` counts questions where it is hot; here they are kept, and
``exposition`` adds them up when somebody scrapes. Nothing is ever sent from here, and nothing below knows
who counts.
"""

from __future__ import annotations

import platform
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from kdns import __version__
from kdns.metrics import exported, families
from kdns.metrics.exported import Exported
from kdns.metrics.family import Family
from kdns.metrics.meters import Histogram, Meter

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels: TypeAlias = tuple[str, ...]
Samples: TypeAlias = Iterable[tuple[Labels, float]]


class WatchedResource(Protocol):
    """What the series about watches need to know of a resource (``status.ResourceStatus``)."""

    @property
    def synced(self) -> bool: ...
    @property
    def restored(self) -> bool: ...
    @property
    def lost_at(self) -> float: ...
    @property
    def relists(self) -> int: ...
    @property
    def restarts(self) -> int: ...


class WatchedSource(Protocol):
    """A source and its resources by name (``status.SourceStatus``)."""

    @property
    def name(self) -> str: ...
    @property
    def resources(self) -> Mapping[str, WatchedResource]: ...


class Metrics:
    """All counters of the process. One exists; whoever counts is handed it."""

    def __init__(self) -> None:
        self._meters: dict[Labels, Meter] = {}
        self._counts: defaultdict[Family, defaultdict[Labels, float]] = defaultdict(
            lambda: defaultdict(float)
        )
        self._histograms: defaultdict[Family, dict[Labels, Histogram]] = defaultdict(dict)
        self._sources: dict[Family, Callable[[], Samples]] = {}
        self._before: list[Callable[[], None]] = []
        self._processes: dict[int, Exported] = {}
        self._ended: Exported = {}
        self._expose: Callable[[], bytes] | None = None
        self._init_families()

    def _init_families(self) -> None:
        for family in families.FAMILIES:
            if not family.labels and family.kind == "counter":
                self._counts[family][()] = 0.0
            elif not family.labels and family.kind == "histogram":
                self._histograms[family][()] = Histogram(family.buckets)
        build = (__version__, "", f"python{platform.python_version()}")
        self.read(families.BUILD_INFO, lambda: [(build, 1)])

    def meter(self, server: str, zone: str, view: str = "") -> Meter:
        """The meter of a server block; the same one again for the same labels, also after a reload."""
        labels = (server, zone, view)
        if labels not in self._meters:
            self._meters[labels] = Meter(*labels)
        return self._meters[labels]

    def count(self, family: Family, *labels: str, by: float = 1) -> None:
        """Increment a counter. For what is rare; hot paths count themselves and are ``read``."""
        self._counts[family][labels] += by

    def show(self, family: Family, value: float, *labels: str) -> None:
        """Set a gauge: what was said before no longer counts."""
        self._counts[family][labels] = value

    def counts(self, family: Family) -> defaultdict[Labels, float]:
        """The counters of a family by their labels' values, for hot paths that increment them."""
        return self._counts[family]

    def record(self, family: Family, value: float, *labels: str) -> None:
        """Enter a value into a histogram."""
        self.histogram(family, *labels).observe(value)

    def histogram(self, family: Family, *labels: str) -> Histogram:
        """The histogram with these labels, for hot paths that enter values."""
        histograms = self._histograms[family]
        if labels not in histograms:
            histograms[labels] = Histogram(family.buckets)
        return histograms[labels]

    def read(self, family: Family, source: Callable[[], Samples | float]) -> None:
        """Ask ``source`` for a gauge's or counter's value at every scrape; replaces an earlier source.

        It gives a number where the family has no labels, else pairs of label values and number.
        """

        def samples() -> Samples:
            found = source()
            return [((), found)] if isinstance(found, int | float) else found

        self._sources[family] = samples

    def read_feeds(
        self,
        clusters: Callable[[], Iterable[WatchedSource]],
        others: Callable[[], Iterable[WatchedSource]],
        now: Callable[[], float],
    ) -> None:
        """Ask for the state of all feeds at every scrape; ``now`` is Unix time in seconds.

        Those beside clusters may share a name: the worst of them counts.
        """

        def reader(
            value: Callable[[WatchedResource], float],
            *sources: Callable[[], Iterable[WatchedSource]],
        ) -> Callable[[], Samples]:
            def samples() -> Samples:
                found: dict[Labels, float] = {}
                for source in chain.from_iterable(read() for read in sources):
                    for name, resource in source.resources.items():
                        labels = (source.name, name)
                        found[labels] = max(found.get(labels, 0), value(resource))
                return found.items()

            return samples

        def age(resource: WatchedResource) -> float:
            return max(0, now() - resource.lost_at) if resource.lost_at else 0

        self.read(families.WATCH_AGE, reader(age, clusters, others))
        self.read(families.WATCH_RESTARTS, reader(lambda r: r.restarts, clusters, others))
        self.read(
            families.WATCH_SYNCED, reader(lambda r: int(r.synced and not r.restored), clusters)
        )
        self.read(families.WATCH_RELISTS, reader(lambda r: r.relists, clusters))

    def read_runtime(self) -> None:
        """Export the interpreter's own figures too (``prometheus { runtime_metrics }``)."""
        self.read(families.RUNTIME_BLOCKS, sys.getallocatedblocks)
        self.read(families.RUNTIME_THREADS, threading.active_count)

    def before_scrape(self, fold: Callable[[], None]) -> None:
        """Call ``fold`` at the start of every scrape, so that kept replies report their hits."""
        self._before.append(fold)

    def export(self) -> Exported:
        """Figures for the main process to ``absorb``."""
        for fold in self._before:
            fold()
        return exported.export(self.collect())

    def absorb(self, process: int, figures: Exported) -> None:
        """Add a worker's figures to what is exposed; the latest ones count."""
        self._processes[process] = figures

    def forget(self, process: int) -> None:
        """A worker is gone; what it counted stays counted."""
        gone = self._processes.pop(process, {})
        self._ended = exported.add(self._ended, exported.ended(gone))

    def expose(self) -> bytes:
        """The text exposition format, version 0.0.4."""
        for fold in self._before:
            fold()
        from kdns.metrics import exposition  # noqa: PLC0415 - see there

        if self._expose is None:
            self._expose = exposition.exposer(self.collect)
        return self._expose()

    def collect(self) -> Iterator[Metric]:
        """What is counted, as values. A family without any series is left out."""
        from kdns.metrics import exposition  # noqa: PLC0415 - see there

        others = self._ended
        for figures in self._processes.values():
            others = exported.add(others, figures)
        own = exposition.collect(self._meters.values(), self._histograms, self._samples)
        return exported.combine(own, others) if others else own

    def _samples(self, family: Family) -> Mapping[Labels, float]:
        """What was counted here, and what ``read`` finds on top of it."""
        counted: Mapping[Labels, float] = self._counts.get(family, {})
        if family not in self._sources:
            return counted
        samples = dict(self._sources[family]())
        for labels, value in counted.items():
            samples[labels] = samples.get(labels, 0.0) + value
        return samples
