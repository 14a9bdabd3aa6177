"""Where log lines go and what they look like: CoreDNS's ``[INFO] text`` on standard output."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

MOST_LINES: Final = 10_000
"""Lines that may wait to be written, a megabyte or two; further ones are counted instead."""

AT_ONCE: Final = 500
"""Lines in one write."""

PATIENCE: Final = 1.0
"""Seconds that the end waits for lines to be written."""


def set_up(debug: bool = False) -> None:
    """One line per record on standard output. The query log and everything else share the form."""
    sys.stdout.flush()
    handler = Writer(sys.stdout.fileno())
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    root = logging.getLogger("kdns")
    root.handlers = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    root.propagate = False


class Writer(logging.Handler):
    """Writes lines from a thread of its own: a pipe or disk that is slow holds up no question."""

    def __init__(self, file: int) -> None:
        super().__init__()
        self._file = file
        self._lines: deque[str] = deque()
        # Each counted up by one thread alone, so that none needs a lock.
        self._taken = self._dropped = self._done = self._told = 0
        self._wake = threading.Event()
        self._wrote = threading.Condition()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._lines) >= MOST_LINES:
            self._dropped += 1
            return
        self._lines.append(f"{self.format(record)}\n")
        self._taken += 1
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Wait until all is written, at most ``PATIENCE`` seconds."""
        until = self._taken
        with self._wrote:
            self._wrote.wait_for(lambda: self._done >= until, PATIENCE)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._lines:
                self._write_some()

    def _write_some(self) -> None:
        lines = [self._lines.popleft() for _ in range(min(len(self._lines), AT_ONCE))]
        count = len(lines)
        dropped = self._dropped - self._told
        if dropped:
            self._told += dropped
            lines.append(
                f"[WARNING] {dropped} log lines dropped: they could not be written in time\n"
            )
        # Where nobody reads any more, or the disk is full, there is nobody to tell.
        with suppress(OSError):
            rest = memoryview("".join(lines).encode("utf-8", "backslashreplace"))
            while rest:
                rest = rest[os.write(self._file, rest) :]
        with self._wrote:
            self._done += count
            self._wrote.notify_all()


@contextmanager
def silent() -> Iterator[None]:
    """For commands that look at a configuration: what is wrong with it they raise, and say it once."""
    logger = logging.getLogger("kdns")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
