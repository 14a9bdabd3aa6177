"""Load by dnsperf: a fixed file of questions, answered as fast as the server can or at a given rate.

Every run is bounded in time, by dnsperf itself and once more from outside.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.cluster.processes import Process

_FIELDS: Final = {
    "completed": re.compile(r"Queries completed:\s+(\d+)"),
    "lost": re.compile(r"Queries lost:\s+(\d+)"),
    "seconds": re.compile(r"Run time \(s\):\s+([\d.]+)"),
}
_RCODES: Final = re.compile(r"([A-Z]+) (\d+) \([\d.]+%\)")
_TIMEOUT: Final = 2
"""Seconds until dnsperf calls a question lost: on loopback that is a server that stands still."""


class Load(Struct, frozen=True):
    """How to ask."""

    questions: Path
    """Lines of NAME TYPE."""
    options: tuple[str, ...] = ()
    """Of dnsperf, such as ``-e`` for EDNS."""
    seconds: float = 0
    """Run so long; 0: once through the file."""
    rate: int = 0
    """Questions a second; 0: as many as are answered."""


class LoadResult(Struct, frozen=True):
    """What dnsperf saw."""

    completed: int
    lost: int
    seconds: float
    rcodes: dict[str, int]

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.completed / self.seconds


class LoadError(Exception):
    """The load did not come to a result; the message has dnsperf's words."""


def write(path: Path, questions: Iterable[tuple[str, str]]) -> Path:
    """A file of questions, each a name and a type."""
    path.write_text("".join(f"{name} {rtype}\n" for name, rtype in questions))
    return path


def command(load: Load, port: int) -> list[str]:
    """The dnsperf call."""
    bound = ["-l", f"{load.seconds:g}"] if load.seconds else ["-n", "1", "-l", "60"]
    rate = ["-Q", str(load.rate)] if load.rate else []
    fixed = ["-s", "127.0.0.1", "-p", str(port), "-d", str(load.questions), "-t", str(_TIMEOUT)]
    return ["dnsperf", *fixed, *bound, *rate, *load.options]


def run(load: Load, port: int) -> LoadResult:
    """Ask until the load's end. Raises ``LoadError``."""
    limit = (load.seconds or 60) + _TIMEOUT + 10
    done = subprocess.run(
        command(load, port), capture_output=True, text=True, timeout=limit, check=False
    )
    try:
        return parse(done.stdout)
    except LoadError as error:
        raise LoadError(f"dnsperf: {error}: {done.stderr.strip()[-300:]}") from error


def parse(text: str) -> LoadResult:
    """Read dnsperf's summary. Raises ``LoadError``."""
    found = {name: pattern.search(text) for name, pattern in _FIELDS.items()}
    values = {name: match[1] for name, match in found.items() if match}
    if len(values) < len(_FIELDS) or values["completed"] == "0":
        raise LoadError("no answers")
    rcodes = {name: int(count) for name, count in _RCODES.findall(text)}
    return LoadResult(
        int(values["completed"]), int(values["lost"]), float(values["seconds"]), rcodes
    )


class Background:
    """A load beside what is measured, from ``with`` to its end, at most as long as it says."""

    def __init__(self, load: Load, port: int, log: Path) -> None:
        self._command, self._log = command(load, port), log
        self._process: Process | None = None

    def __enter__(self) -> Background:
        self._process = Process(self._command, self._log)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
