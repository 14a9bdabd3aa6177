"""Parts of an answer that has more records than are wanted in one reply (``Answer.at_most``).

All parts have the same size, and each next one goes on where the one before it ended, so that over all
replies every record is sent equally often.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import gcd
from typing import Final

from msgspec.structs import replace

from kdns.wire.address_records import LazyRecords
from kdns.wire.constants import Type
from kdns.wire.message import Answer, Record

MOST: Final = 16
"""Parts that are made at once; who keeps them asks anew after ``KEPT`` where there are more."""

KEPT: Final = 1.0  # seconds

_CAPPED: Final = frozenset({Type.A, Type.AAAA, Type.SRV})
_TARGET: Final = 6  # octets of an SRV record before its target


def windows(answer: Answer, start: int, now: float) -> list[Answer]:
    """Answers of ``at_most`` records, aliases before them not counted; none when all fit in one.

    The first begins at the record number ``start``, which may be any; ``now`` is on the monotonic clock.
    """
    size = answer.at_most
    capped, others = _split(answer.answer)
    if not 0 < size < len(capped):
        return []
    period = len(capped) // gcd(len(capped), size)
    until = answer.keep_until if period <= MOST else min(answer.keep_until, now + KEPT)
    starts = [start + number * size for number in range(min(period, MOST))]
    parts = [tuple([capped[at % len(capped)] for at in range(s, s + size)]) for s in starts]
    addresses = _of_targets(parts, answer.additional)
    return [
        replace(
            answer,
            answer=(*others, *part),
            additional=tuple(
                [each for to in dict.fromkeys(map(_target, part)) for each in addresses.get(to, ())]
            ),
            keep_until=until,
        )
        for part in parts
    ]


def _split(records: Sequence[Record]) -> tuple[Sequence[Record], tuple[Record, ...]]:
    """Those that count, and others; what is not made yet is of the former alone."""
    if isinstance(records, LazyRecords):
        return records, ()
    capped = [record for record in records if record.rtype in _CAPPED]
    return capped, tuple([record for record in records if record.rtype not in _CAPPED])


def _target(record: Record) -> bytes:
    """Where an SRV record leads; b"" for others."""
    return record.rdata[_TARGET:] if record.rtype == Type.SRV else b""


def _of_targets(
    parts: Iterable[Iterable[Record]], additional: Sequence[Record]
) -> dict[bytes, dict[Record, None]]:
    """The addresses of the targets that are left, by target."""
    targets = {_target(record) for part in parts for record in part} - {b""}
    found: dict[bytes, dict[Record, None]] = {}
    if targets and isinstance(additional, LazyRecords):
        additional = additional.of(targets)
    for record in additional if targets else ():
        if record.owner in targets:
            found.setdefault(record.owner, {})[record] = None
    return found
