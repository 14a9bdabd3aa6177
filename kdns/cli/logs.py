"""Where log lines go and what they look like: CoreDNS's ``[INFO] text`` on standard output."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def set_up(debug: bool = False) -> None:
    """One line per record on standard output. The query log and everything else share the form."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    root = logging.getLogger("kdns")
    root.handlers = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    root.propagate = False


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
