"""What a running process uses, as the kernel counts it (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME = 11, 12  # counted from the state, which follows the name in brackets


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of the process and of its living descendants."""
    return sum(_ticks(each) for each in family(pid)) / _TICKS


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
