"""The table for people: on the terminal and in ``bench/RESULTS.md``."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

from msgspec import Struct

from bench import chart, usage
from bench.rounds import Bar, Measured

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "RESULTS.md"
CHART: Final = HERE / "results.png"

_HEAD: Final = ("row", "measured", "kdns", "peer", "ratio", "spread", "bar", "")


class Line(Struct, frozen=True):
    """A row with its outcome: what was measured, or why not."""

    name: str
    title: str
    peer: str
    bar: Bar
    measured: Measured | None = None
    reason: str = ""

    @property
    def missed(self) -> bool:
        return self.measured is not None and not self.bar.holds(self.measured.ratio)

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not run"
        return "missed" if self.missed else "holds"

    def cells(self) -> tuple[str, ...]:
        if self.measured is None:
            return self.name, self.title, "", self.peer, "", "", str(self.bar), "not run"
        found = self.measured
        low, high = found.spread
        return (
            self.name,
            f"{self.title}; {found.unit}",
            _figure(median(found.kdns)),
            f"{_figure(median(found.peer))} ({self.peer})",
            f"{found.ratio:.2f}",
            f"{low:.2f}-{high:.2f}",
            str(self.bar),
            self.verdict,
        )

    def __str__(self) -> str:
        return " | ".join(self.cells()[2:]) + (f": {self.reason}" if self.reason else "")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def table(lines: Sequence[Line]) -> str:
    """Markdown, with what is to be said about single rows below it."""
    rows = [_HEAD, *(line.cells() for line in lines)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    rule = tuple("-" * width for width in widths)
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (rows[0], rule, *rows[1:])
    ]
    return "\n".join([*text, "", *_remarks(lines)])


def _remarks(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        for remark in (line.reason, *(line.measured.notes if line.measured else ())):
            if remark:
                yield f"- {line.name}: {remark}"


def write(lines: Sequence[Line]) -> None:
    """Write the results beside the code."""
    text = f"# Measured side by side\n\n{_circumstances()}\n\n{table(lines)}\n"
    RESULTS.write_text(text)
    problem = chart.draw(lines, CHART)
    print(f"written: {RESULTS}" + (f"; no chart: {problem}" if problem else f", {CHART}"))


def _circumstances() -> str:
    versions = ", ".join(f"{name} {number}" for name, number in _versions())
    return (
        f"{time.strftime('%Y-%m-%d')}, commit {_first_line('git', 'rev-parse', '--short', 'HEAD')}. "
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}.\n"
        f"{versions}.\n\n"
        "Ratios are medians of interleaved rounds within one run, the spread is the lowest and the "
        "highest round.\nWhere the bar is ≥ the ratio is peer ÷ kdns, where it is ≤ it is "
        f"kdns ÷ peer. {_instructions()}`make bench` measures again."
    )


def _instructions() -> str:
    problem = usage.instructions_problem()
    return f"Instructions per query are not reported: {problem}. " if problem else ""


def _versions() -> Iterator[tuple[str, str]]:
    yield "Python", platform.python_version()
    programs = (
        ("CoreDNS", "coredns", "-version"),
        ("Knot", "knotd", "--version"),
        ("kube-apiserver", "kube-apiserver", "--version"),
    )
    for name, program, option in programs:
        yield name, _first_line(program, option).split()[-1].split("-")[-1]
    yield "uvloop", version("uvloop")


def _first_line(program: str, *arguments: str) -> str:
    folders = f"{os.environ['PATH']}:/usr/sbin:{Path.home()}/.cache/kdns/bin"
    path = shutil.which(program, path=folders)
    if path is None:
        return "?"
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, cwd=HERE)
    return next(iter((done.stdout or done.stderr).splitlines()), "?")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
