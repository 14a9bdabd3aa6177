"""The cluster's zones as they are handed over whole (``transfer``)."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from kdns.plugins.interface import Context
from kdns.records.enumeration import cluster_records
from kdns.records.index import Index
from kdns.records.outcome import View
from kdns.status import SourceStatus
from kdns.wire.message import Record
from kdns.wire.names import Name


class ClusterZones(Struct, frozen=True):
    """An ``Offer``: nothing before the first whole lists, since what is missing would be taken for gone."""

    index: Index
    status: SourceStatus
    view: View
    context: Context

    def zones(self) -> tuple[Name, ...]:
        return self.view.zones if self.status.synced else ()

    def records(self, zone: Name) -> Iterator[Record] | None:
        return self._records(zone) if zone in self.zones() else None

    def _records(self, zone: Name) -> Iterator[Record]:
        """The SOA alone, which is asked for after each change, is not worth a copy of all objects."""
        local = self.context.local_addresses()
        yield next(cluster_records(self.index, self.view, local, zone))
        rest = cluster_records(self.index.copy(), self.view, local, zone)
        next(rest)
        yield from rest
