"""Load by dnsperf: a fixed file of queries over UDP or TCP, as fast as the server answers or at a given rate.

Every run is bounded in time, by dnsperf itself and once more from outside.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct

_FIELDS: Final = {
    "answered": re.compile(r"Queries completed:\s+(\d+)"),
    "lost": re.compile(r"Queries lost:\s+(\d+)"),
    "seconds": re.compile(r"Run time \(s\):\s+([\d.]+)"),
}
_RCODES: Final = re.compile(r"([A-Z]+) (\d+) \([\d.]+%\)")
_TIMEOUT: Final = 2
"""Seconds until dnsperf counts a query as lost: on loopback that is a server that stands still."""


class Load(Struct, frozen=True):
    """Queries and how they are sent."""

    queries: Path
    """Lines of NAME TYPE."""
    options: tuple[str, ...] = ()
    """Of dnsperf, such as ``-e`` for EDNS."""
    seconds: float = 0
    """Sending ends after this time; 0: once through the file."""
    rate: int = 0
    """Queries per second; 0: as many as are answered."""


class LoadResult(Struct, frozen=True):
    """The queries that were sent and what became of them."""

    answered: int
    lost: int
    seconds: float
    rcodes: dict[str, int]

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds


class LoadError(Exception):
    """The load did not come to a result; the message has dnsperf's words."""


def write(path: Path, queries: Iterable[tuple[str, str]]) -> Path:
    """A file of queries, each a name and a type."""
    path.write_text("".join(f"{name} {rtype}\n" for name, rtype in queries))
    return path


def command(load: Load, port: int) -> list[str]:
    """The dnsperf call."""
    bound = ["-l", f"{load.seconds:g}"] if load.seconds else ["-n", "1", "-l", "60"]
    rate = ["-Q", str(load.rate)] if load.rate else []
    fixed = ["-s", "127.0.0.1", "-p", str(port), "-d", str(load.queries), "-t", str(_TIMEOUT)]
    return ["dnsperf", *fixed, *bound, *rate, *load.options]


def run(load: Load, port: int) -> LoadResult:
    """Send until the load's end. Raises ``LoadError``."""
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
    if len(values) < len(_FIELDS) or values["answered"] == "0":
        raise LoadError("no answers")
    rcodes = {name: int(count) for name, count in _RCODES.findall(text)}
    return LoadResult(
        int(values["answered"]), int(values["lost"]), float(values["seconds"]), rcodes
    )
