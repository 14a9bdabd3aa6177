"""The comparisons as one picture, for docs/performance.md. Needs matplotlib (the extra ``bench``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from bench.rounds import Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bench.report import Line

_OURS: Final = "#2f6f4f"
_THEIRS: Final = "#b9bec4"
_UNIT: Final = "µs of CPU per query"


def draw(lines: Sequence[Line], path: Path) -> str:
    """CPU time per query of kdns and its peers; returns why there is no picture, or ""."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra
    except ImportError:
        return "matplotlib is not installed (the extra bench)"
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    shown = [
        (line, line.measured) for line in lines if line.measured and line.measured.unit == _UNIT
    ]
    if not shown:
        return "no row in it was measured"
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(shown) + 1.2))
    _bars(axes, shown)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return ""


def _bars(axes: Axes, shown: Sequence[tuple[Line, Measured]]) -> None:
    for at, (line, measured) in enumerate(reversed(shown)):
        ours, theirs = median(measured.kdns), median(measured.peer)
        axes.barh(at + 0.2, theirs, 0.36, color=_THEIRS)
        axes.barh(at - 0.2, ours, 0.36, color=_OURS)
        axes.text(theirs, at + 0.2, f" {line.peer} {theirs:.3g}", va="center", fontsize=8)
        axes.text(ours, at - 0.2, f" kdns {ours:.3g}", va="center", fontsize=8)
    axes.set_yticks(range(len(shown)), [line.title for line, _ in reversed(shown)], fontsize=8)
    axes.set_xlabel(f"{_UNIT}: less is better", fontsize=8)
    axes.margins(x=0.15)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
