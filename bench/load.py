"""Load by our own program ``load.c``: prepared messages over UDP, which dnsperf could not make.

Every run is bounded in time, by the program itself and once more from outside.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from bench import compiled
from tests.cluster.processes import Process


class Load(Struct, frozen=True):
    """Messages and how they are sent."""

    messages: Path
    """As ``packets.write`` writes them."""
    seconds: float
    """Sending ends after this time, at most 300."""
    rate: int = 0
    """Queries per second, sent whether or not replies arrive; 0: as many as are answered."""
    once: bool = False
    """Each message is sent once at most, else the file is repeated."""
    sockets: int = 4
    window: int = 25
    """Queries that wait for a reply at a time, per socket; without a rate."""
    timeout: float = 2
    """Seconds without a reply after which a query is lost."""


class LoadResult(Struct, frozen=True):
    """The queries that were sent and what became of them. Times in microseconds."""

    sent: int
    answered: int
    lost: int
    seconds: float
    p50: float
    p99: float
    longest: float
    rcodes: dict[str, int]

    @property
    def lost_share(self) -> float:
        """Per cent of the queries."""
        return 100 * self.lost / self.sent


def command(load: Load, port: int, folder: Path) -> list[str]:
    """The call of the program, which is compiled into ``folder``."""
    numbers = {
        "-s": load.seconds,
        "-c": load.sockets,
        "-w": load.window,
        "-r": load.rate,
        "-t": load.timeout,
    }
    options = [f"{letter}{number:g}" for letter, number in numbers.items()]
    binary = compiled.program("load", folder)
    once = ["-1"] if load.once else []
    return [str(binary), *options, *once, str(port), str(load.messages)]


def run(load: Load, port: int, folder: Path) -> LoadResult:
    """Send until the load's end. Raises ``OSError`` or ``CalledProcessError`` when it cannot."""
    limit = load.seconds + load.timeout + 10
    called = command(load, port, folder)
    done = subprocess.run(called, capture_output=True, timeout=limit, check=True)
    return msgspec.json.decode(done.stdout, type=LoadResult)


class Background:
    """A load program beside what is measured, from ``with`` to its end; it ends by itself at the latest."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command, self._log = command, log
        self._process: Process | None = None

    def __enter__(self) -> Background:
        self._process = Process(self._command, self._log)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
