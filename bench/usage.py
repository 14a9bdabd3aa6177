"""CPU time, instructions and memory of a process, as the kernel counts them (proc(5), perf-stat(1))."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME = 11, 12  # counted from the state, which follows the name in brackets


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of the process and of its living descendants."""
    return sum(_ticks(each) for each in family(pid)) / _TICKS


def cpu_nanoseconds(pid: int) -> int:
    """The same by the scheduler's count, exact but without threads that have ended."""
    return sum(
        int(path.read_text().split()[0])
        for each in family(pid)
        for path in Path(f"/proc/{each}/task").glob("*/schedstat")
    )


def pss_bytes(pid: int) -> int:
    """Proportional set size of the process and its living descendants."""
    rollups = (Path(f"/proc/{each}/smaps_rollup").read_text() for each in family(pid))
    return sum(int(text.partition("\nPss:")[2].split()[0]) * 1024 for text in rollups)


def resident_bytes(pid: int) -> int:
    """Resident memory of the process and its living descendants; shared pages count for each."""
    return sum(
        int(Path(f"/proc/{each}/statm").read_text().split()[1]) * _PAGE for each in family(pid)
    )


def family(pid: int) -> list[int]:
    """The process and its living descendants."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[_UTIME]) + int(fields[_STIME])


@cache
def instructions_problem() -> str:
    """Why instructions cannot be counted on this machine, or ""."""
    if shutil.which("perf") is None:
        return "perf is not installed"
    return (
        "" if read_instructions(_perf("true")) is not None else "perf stat cannot count them here"
    )


class Instructions:
    """Counts the instructions of a process and its descendants, from ``with`` to its end.

    Does nothing where they cannot be counted.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._counter: subprocess.Popen[str] | None = None
        self.count: int | None = None
        """Set at the end."""

    def __enter__(self) -> Instructions:
        if not instructions_problem():
            pids = ",".join(map(str, family(self._pid)))
            self._counter = subprocess.Popen(
                [*_PERF, "-p", pids], stderr=subprocess.PIPE, text=True, start_new_session=True
            )
            time.sleep(_ATTACH)
        return self

    def __exit__(self, *_: object) -> None:
        if self._counter is not None:
            self._counter.send_signal(signal.SIGINT)
            self.count = read_instructions(self._counter.communicate(timeout=10)[1])


_PERF: Final = ("perf", "stat", "-x", ",", "-e", "instructions")
_ATTACH: Final = 0.1
"""Seconds that perf takes to attach itself; what is not counted meanwhile is not much."""


def _perf(*command: str) -> str:
    return subprocess.run([*_PERF, *command], capture_output=True, text=True, check=False).stderr


def read_instructions(text: str) -> int | None:
    """The count in the output of ``perf stat -x,``; None for ``<not supported>`` and the like."""
    for line in text.splitlines():
        count, _, rest = line.partition(",")
        if "instructions" in rest and count.isdecimal():
            return int(count)
    return None
