"""The lines in a directive's braces, read by a table of those that it knows; and numbers in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from kdns.config.tree import Option

S = TypeVar("S")

_MAX_DIGITS: Final = 20
"""``int`` refuses thousands of them by another error."""


def read_options(
    directive: Option, settings: S, known: Mapping[str, Callable[[S, Option], S]]
) -> S:
    """``settings`` with each of the lines taken in. Raises ``ConfigError`` for one that is not known."""
    for option in directive.options:
        if option.name not in known:
            option.fail(f"unknown option of {directive.name}; known are {', '.join(known)}")
        settings = known[option.name](settings, option)
    return settings


def read_number(option: Option, text: str, least: int, most: int, what: str = "a number") -> int:
    """A whole number within bounds. Raises ``ConfigError``, in which it is called ``what``."""
    digits = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    if not digits or not least <= int(text) <= most:
        option.fail(f"expected {what} from {least} to {most}, got {text[:40]!r}")
    return int(text)
