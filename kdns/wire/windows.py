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
    additional = _by_owner(answer.additional)
    period = len(capped) // gcd(len(capped), size)
    until = answer.keep_until if period <= MOST else min(answer.keep_until, now + KEPT)
    found = []
    for number in range(min(period, MOST)):
        at = start + number * size
        part = tuple([capped[each % len(capped)] for each in range(at, at + size)])
        found.append(
            replace(
                answer,
                answer=(*others, *part),
                additional=_of_targets(part, additional),
                keep_until=until,
            )
        )
    return found


def _split(records: Sequence[Record]) -> tuple[Sequence[Record], tuple[Record, ...]]:
    """Those that count, and others; what is not made yet is of the former alone."""
    if isinstance(records, LazyRecords):
        return records, ()
    capped = [record for record in records if record.rtype in _CAPPED]
    return capped, tuple([record for record in records if record.rtype not in _CAPPED])


def _by_owner(records: Iterable[Record]) -> dict[bytes, list[Record]]:
    found: dict[bytes, list[Record]] = {}
    for record in records:
        found.setdefault(record.owner, []).append(record)
    return found


def _of_targets(
    part: tuple[Record, ...], additional: dict[bytes, list[Record]]
) -> tuple[Record, ...]:
    """The addresses of the targets that are left."""
    targets = dict.fromkeys(record.rdata[_TARGET:] for record in part if record.rtype == Type.SRV)
    return tuple([record for target in targets for record in additional.get(target, ())])
