"""A static zone: the records of one master file, checked, and the answers that follow from them.

A ``Zone`` never changes; a new file makes a new one. It knows nothing of files or of the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from kdns.records.zone_denial import Denial
from kdns.records.zone_lookup import Lookup, ZoneAnswer, ZoneData
from kdns.records.zone_nodes import ZoneError, canonical_order, gather
from kdns.wire import names
from kdns.wire.constants import Type
from kdns.wire.message import Record
from kdns.wire.names import Name
from kdns.wire.serials import serial_of

__all__ = ["Zone", "ZoneAnswer", "ZoneError"]


class Zone:
    """An immutable zone; ``build`` makes it."""

    __slots__ = ("_data", "serial", "warnings")

    def __init__(self, data: ZoneData, warnings: tuple[str, ...]) -> None:
        """For ``build``, which checks what is given here."""
        self._data = data
        self.serial = serial_of(data.soa)
        self.warnings = warnings
        """What is odd about the records, though they can be served."""

    @classmethod
    def build(cls, origin: Name, records: Iterable[Record], source: str = "") -> Self:
        """Make a zone; ``source`` names its file for people. Raises ``ZoneError``."""
        nodes = gather(origin, records)
        file = f"{source}, " if source else ""
        where = f"zone {names.to_text(origin)} ({file}serial {serial_of(nodes.soa)})"
        by_name = nodes.by_name
        return cls(ZoneData(origin, by_name, nodes.soa, where, Denial(by_name)), nodes.warnings)

    @property
    def origin(self) -> Name:
        return self._data.origin

    @property
    def soa(self) -> Record:
        return self._data.soa

    def lookup(
        self,
        qname: bytes,
        name: Name,
        qtype: int,
        dnssec_ok: bool = False,
        followed: tuple[Name, ...] = (),
    ) -> ZoneAnswer:
        """Answer a query for ``name``, which must lie in the zone; ``qname`` is its wire form.

        ``followed`` are the names of the chain of aliases that led to it (``Query.followed``).
        """
        return Lookup(self._data, qtype, dnssec_ok).run(qname, name, followed)

    def records(self) -> Iterator[Record]:
        """All records, the SOA first, then in canonical order of names (RFC 4034 section 6.1)."""
        yield self.soa
        for name in sorted(self._data.by_name, key=canonical_order):
            for rrset in self._data.by_name[name]:
                yield from (record for record in rrset if record.rtype != Type.SOA)

    def __len__(self) -> int:
        """How many records there are."""
        return sum(len(rrset) for node in self._data.by_name.values() for rrset in node)
