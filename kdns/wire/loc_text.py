"""LOC RDATA from its text (RFC 1876): a place on Earth, in whole numbers throughout."""

from __future__ import annotations

import re
from struct import Struct
from typing import Final

_LOC: Final = Struct("!BBBBIII")
_NUMBER: Final = re.compile(r"\d{1,3}")
_SECONDS: Final = re.compile(r"(\d{1,2})(?:\.(\d{1,3}))?")
_METRES: Final = re.compile(r"(-?)(\d{1,8})(?:\.(\d{1,2}))?m?")
_EQUATOR: Final = 1 << 31
_ALTITUDE_BASE: Final = 100_000_00  # centimetres below the WGS 84 spheroid
_MOST_CENTIMETRES: Final = 9 * 10**9
_DEFAULT_SIZES: Final = ("1m", "10000m", "10m")


def loc(words: list[str]) -> bytes:
    """``d1 [m1 [s1]] N|S d2 [m2 [s2]] E|W alt[m] [size[m] [hp[m] [vp[m]]]]`` as RDATA.

    Raises ``ValueError`` saying what was expected.
    """
    latitude, rest = _angle(words, "NS", 90)
    longitude, rest = _angle(rest, "EW", 180)
    if not 1 <= len(rest) <= 4:
        raise ValueError("LOC expects an altitude and at most three sizes after the longitude")
    altitude = _centimetres(rest[0]) + _ALTITUDE_BASE
    if not 0 <= altitude < 1 << 32:
        raise ValueError(f"altitude from -100000 to 42849672.95 metres expected, not {rest[0]!r}")
    sizes = [_size(word) for word in (*rest[1:], *_DEFAULT_SIZES[len(rest) - 1 :])]
    return _LOC.pack(0, *sizes, latitude, longitude, altitude)


def _angle(words: list[str], marks: str, most: int) -> tuple[int, list[str]]:
    at = next((i for i, word in enumerate(words[:4]) if word.upper() in tuple(marks)), 0)
    if not at:
        raise ValueError(f"degrees, minutes and seconds, then {marks[0]} or {marks[1]} expected")
    thousandths = sum(_parts(words[:at], most))
    if thousandths > most * 3_600_000:
        raise ValueError(f"an angle of at most {most} degrees expected")
    sign = 1 if words[at].upper() == marks[0] else -1
    return _EQUATOR + sign * thousandths, words[at + 1 :]


def _parts(words: list[str], most: int) -> list[int]:
    seconds = _SECONDS.fullmatch(words[2]) if len(words) > 2 else _SECONDS.fullmatch("0")
    whole = [int(word) if _NUMBER.fullmatch(word) else -1 for word in words[:2]] + [0]
    if seconds is None or int(seconds[1]) > 59 or min(whole) < 0:
        raise ValueError(f"degrees, minutes and seconds expected, not {' '.join(words)!r}")
    if whole[0] > most or whole[1] > 59:
        raise ValueError(f"degrees up to {most} and minutes up to 59 expected")
    milliseconds = int(seconds[1]) * 1000 + int((seconds[2] or "").ljust(3, "0"))
    return [whole[0] * 3_600_000, whole[1] * 60_000 if len(words) > 1 else 0, milliseconds]


def _centimetres(word: str) -> int:
    match = _METRES.fullmatch(word)
    if match is None:
        raise ValueError(f"metres expected, such as 10m or -2.50m, not {word!r}")
    amount = int(match[2]) * 100 + int((match[3] or "").ljust(2, "0"))
    return -amount if match[1] else amount


def _size(word: str) -> int:
    """RFC 1876 section 2: mantissa and power of ten of centimetres, four bits each."""
    amount = _centimetres(word)
    if not 0 <= amount <= _MOST_CENTIMETRES:
        raise ValueError(f"a size from 0 to 90000000 metres expected, not {word!r}")
    exponent = 0
    while amount > 9:
        amount, exponent = amount // 10, exponent + 1
    return amount << 4 | exponent
