"""Which of two resource versions is the older one."""

from __future__ import annotations

from typing import Final

MAX_DIGITS: Final = 100
"""Of two versions; real ones have 64 bits, and ``int`` refuses thousands of digits."""


def is_lower(version: str, than: str) -> bool:
    """Compare versions as numbers, which they are in practice and, since 1.35, by definition."""
    if not (version.isdecimal() and than.isdecimal()) or len(version + than) > MAX_DIGITS:
        return False
    return int(version) < int(than)
