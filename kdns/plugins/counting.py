"""Counting of answers: each one that a directive gives, and each repetition from the reply cache."""

from __future__ import annotations

from msgspec.structs import replace

from kdns.metrics import Metrics
from kdns.metrics.family import Family
from kdns.wire.message import Answer


def counted(answer: Answer, metrics: Metrics, family: Family, *labels: str) -> Answer:
    """``answer``, counted now and whenever its bytes are sent again."""

    def count(times: int) -> None:
        metrics.count(family, *labels, by=times)

    count(1)
    return replace(answer, replayed=(*answer.replayed, count))
