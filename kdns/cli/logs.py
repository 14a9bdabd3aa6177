"""Where log lines go and what they look like: CoreDNS's ``[INFO] text`` on standard output."""

from __future__ import annotations

import logging
import sys


def set_up(debug: bool = False) -> None:
    """One line per record on standard output. The query log and everything else share the form."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    root = logging.getLogger("kdns")
    root.handlers = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    root.propagate = False
