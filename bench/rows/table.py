"""All rows, in the order in which they run: an empty cluster's first, the large one's last."""

from __future__ import annotations

from typing import Final

from bench.rows import Row, churn, flood, latency, queries, scale, varied, workers

ROWS: Final[tuple[Row, ...]] = (
    *scale.EMPTY_ROWS,
    *queries.ROWS,
    *varied.ROWS,
    *flood.ROWS,
    *workers.ROWS,
    *latency.ROWS,
    *churn.ROWS,
    *scale.ROWS,
)
