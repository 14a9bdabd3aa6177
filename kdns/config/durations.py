"""Durations as Go writes them: ``5s``, ``1h30m``, ``0.5s``, ``250ms``."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from kdns.config.tree import Option

_UNITS: Final = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}
_PART: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]+)")

MAX_LENGTH: Final = 64
"""Characters. Longer texts are no durations that anybody means, and exact arithmetic is not free."""

MAX_SECONDS: Final = (2**63 - 1) / 10**9
"""Go counts nanoseconds in 64 bits: some 292 years."""


def parse_duration(text: str) -> float:
    """Seconds, maybe negative. Raises ``ValueError`` naming the text and what was expected."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if digits == "0":
        return 0.0
    total, at = Fraction(), 0
    for part in _PART.finditer(digits[:MAX_LENGTH]):
        if part.start() != at or part[2] not in _UNITS:
            break
        total += Fraction(part[1]) * _UNITS[part[2]]
        at = part.end()
    if at != len(digits) or not digits:
        raise ValueError(
            f"{text[:MAX_LENGTH]!r} is not a duration; write it as in 5s, 250ms, 1h30m"
        )
    if total > MAX_SECONDS:
        raise ValueError(f"{text!r} is too long a duration; 292 years are the most")
    return sign * float(total)


def format_duration(seconds: float) -> str:
    """The text that Go gives a duration: ``1m0s``, ``500ms``, ``1.5s``, ``0s``."""
    nanoseconds = round(abs(seconds) * 10**9)
    sign = "-" if seconds < 0 and nanoseconds else ""
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if 0 < nanoseconds < size * 1000:
            return f"{sign}{_plain(Fraction(nanoseconds, size))}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{_plain(Fraction(rest, 10**9))}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else f"{sign}{text}"


def _plain(value: Fraction) -> str:
    """Decimals without trailing zeros."""
    whole, rest = divmod(round(value * 10**9), 10**9)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


def read(option: Option, text: str) -> float:
    """The seconds that a word of an option stands for. Raises ``ConfigError`` at its line."""
    try:
        return parse_duration(text)
    except ValueError as error:
        option.fail(str(error))


def read_positive_or_zero(option: Option, text: str) -> float:
    """Likewise, where time cannot run backwards."""
    seconds = read(option, text)
    if seconds < 0:
        option.fail(f"cannot be negative, got {text}")
    return seconds
