"""The lines in a directive's braces, read by a table of those that it knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from kdns.config.tree import Option

S = TypeVar("S")


def read_options(
    directive: Option, settings: S, known: Mapping[str, Callable[[S, Option], S]]
) -> S:
    """``settings`` with each of the lines taken in. Raises ``ConfigError`` for one that is not known."""
    for option in directive.options:
        if option.name not in known:
            option.fail(f"unknown option of {directive.name}; known are {', '.join(known)}")
        settings = known[option.name](settings, option)
    return settings
