"""All rows, in the order in which they run: an empty cluster's first, the large one's last."""

from __future__ import annotations

from typing import Final

from bench.rows import (
    Row,
    churn,
    first,
    flood,
    growth,
    latency,
    limits,
    queries,
    scale,
    silent,
    varied,
    workers,
)

ROWS: Final[tuple[Row, ...]] = (
    *scale.EMPTY_ROWS,
    *queries.ROWS,
    *varied.ROWS,
    *flood.ROWS,
    *workers.ROWS,
    *latency.ROWS,
    *churn.ROWS,
    *silent.ROWS,
    *growth.ROWS,
    *limits.ROWS,
    *first.ROWS,
    *scale.ROWS,
)
