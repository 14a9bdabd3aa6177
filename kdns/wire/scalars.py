"""The small things that RDATA and TTLs are written with: numbers, times, strings, type names.

Every function raises ``ValueError`` saying what was expected and what stood there.
"""

from __future__ import annotations

import re
from typing import Final

from kdns.wire import names
from kdns.wire.constants import Type

MAX_TTL: Final = 0x7FFFFFFF  # RFC 2181 section 8
_DIGITS: Final = re.compile(r"[0-9]{1,10}")
_DURATION: Final = re.compile(r"(?:[0-9]{1,10}[wdhmsWDHMS])+")
_PART: Final = re.compile(r"([0-9]+)([a-z])")
_SECONDS: Final = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_ESCAPE: Final = re.compile(rb"\\([0-9]{3}|.)", re.DOTALL)
_GENERIC: Final = re.compile(r"(TYPE|CLASS)([0-9]{1,5})", re.IGNORECASE)
_CLASSES: Final = {"IN": 1, "CS": 2, "CH": 3, "HS": 4}


def number(text: str, most: int) -> int:
    """A decimal number from 0 to ``most``."""
    if not _DIGITS.fullmatch(text) or int(text) > most:
        raise ValueError(f"a number from 0 to {most} expected, not {text[:40]!r}")
    return int(text)


def duration(text: str, most: int = MAX_TTL) -> int:
    """Seconds, either plain or in BIND's units, as in ``1h30m``; 0 to ``most``."""
    seconds = -1
    if _DIGITS.fullmatch(text):
        seconds = int(text)
    elif _DURATION.fullmatch(text):
        parts = _PART.findall(text.lower())
        seconds = sum(int(amount) * _SECONDS[unit] for amount, unit in parts)
    if not 0 <= seconds <= most:
        raise ValueError(f"seconds from 0 to {most} or as in 1h30m expected, not {text[:40]!r}")
    return seconds


def is_duration(text: str) -> bool:
    """Whether ``text`` can be meant as a TTL: starts with a digit, as no type or class does."""
    return text[:1].isascii() and text[:1].isdigit()


def string(octets: bytes) -> bytes:
    r"""A character string with ``\DDD`` and ``\X`` resolved (RFC 1035 section 5.1)."""
    return _ESCAPE.sub(_unescape, octets) if b"\\" in octets else octets


def _unescape(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    if len(escaped) == 3:
        if int(escaped) > 255:
            raise ValueError(f"\\000 to \\255 expected, not \\{escaped.decode()}")
        return bytes((int(escaped),))
    if escaped.isdigit():
        raise ValueError(f"three digits expected after the backslash before {escaped.decode()!r}")
    return escaped


def type_number(text: str) -> int:
    """The number of a type by its name or as ``TYPE123`` (RFC 3597 section 5)."""
    word = text.upper()
    if word in Type.__members__:
        return Type[word]
    if (match := _GENERIC.fullmatch(word)) and match[1] == "TYPE" and int(match[2]) < 65536:
        return int(match[2])
    raise ValueError(f"a record type expected, not {text[:40]!r}")


def class_number(text: str) -> int | None:
    """The number of a class by its name or as ``CLASS123``; None if it is no class."""
    word = text.upper()
    if (match := _GENERIC.fullmatch(word)) and match[1] == "CLASS" and int(match[2]) < 65536:
        return int(match[2])
    return _CLASSES.get(word)


def domain_name(text: str, origin: bytes) -> bytes:
    """The wire form of a name, relative to ``origin`` without a final dot; letter case kept."""
    if not text.isascii():
        raise ValueError(f"a name in ASCII expected (xn--… or \\DDD), not {text[:60]!r}")
    return names.wire_from_text(text, origin)
