"""Functions and operators on plain values, as expr-lang defines them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from kdns.plugins import go_regex
from kdns.plugins.expressions.values import (
    ANY,
    BOOL,
    FLOAT,
    INT,
    LIST,
    NUMBERS,
    STRING,
    ExpressionError,
    Function,
    kind_of,
)

MAX_TEXT: Final = 65536
"""Characters and elements of what an expression makes; a question must not cost more."""


def _bounded(value: str) -> str:
    if len(value) > MAX_TEXT:
        raise ExpressionError(f"a text of more than {MAX_TEXT} characters")
    return value


def sized(value: object) -> object:
    """Whole numbers have 64 bits and overflow, as in Go; texts are bounded."""
    if isinstance(value, int):
        return (value + _HALF) % (2 * _HALF) - _HALF
    return _bounded(value) if isinstance(value, str) else value


_HALF: Final = 1 << 63


def _replace(text: str, old: str, new: str) -> str:
    if text.count(old) * len(new) > MAX_TEXT:  # before it is made
        raise ExpressionError(f"a text of more than {MAX_TEXT} characters")
    return _bounded(text.replace(old, new))


def _join(values: list[object], separator: str = "") -> str:
    texts, size = [], 0
    for value in values:
        texts.append(_string(value))
        size += len(texts[-1]) + len(separator)
        if size - len(separator) > MAX_TEXT:  # before it is made
            raise ExpressionError(f"a text of more than {MAX_TEXT} characters")
    return separator.join(texts)


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _string(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{_join(value, ' ')}]"
    return str(value)


def _int(value: object) -> int:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _HALF:
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value):
        return int(value)
    raise ExpressionError(f"{_string(value)!r} is not a whole number")


def _float(value: object) -> float:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        return float(value)
    raise ExpressionError(f"{_string(value)!r} is not a number")


def _length(value: object) -> int:
    if isinstance(value, (str, list)):
        return len(value)
    raise ExpressionError(f"{kind_of(value)} has no length")


def _end(of: int) -> Callable[[list[object]], object]:
    def element(values: list[object]) -> object:
        if not values:
            raise ExpressionError("the list is empty")
        return values[of]

    return element


FUNCTIONS: Final[dict[str, Function]] = {
    "abs": Function((INT,), INT, lambda value: sized(abs(value))),
    "first": Function((LIST,), ANY, _end(0)),
    "float": Function((ANY,), FLOAT, _float),
    "hasPrefix": Function((STRING, STRING), BOOL, str.startswith),
    "hasSuffix": Function((STRING, STRING), BOOL, str.endswith),
    "indexOf": Function((STRING, STRING), INT, str.find),
    "int": Function((ANY,), INT, _int),
    "join": Function((LIST, STRING), STRING, _join, optional=1),
    "last": Function((LIST,), ANY, _end(-1)),
    "lastIndexOf": Function((STRING, STRING), INT, str.rfind),
    "len": Function((ANY,), INT, _length),
    "lower": Function((STRING,), STRING, str.lower),
    "replace": Function((STRING, STRING, STRING), STRING, _replace),
    "split": Function((STRING, STRING), LIST, _split),
    "string": Function((ANY,), STRING, _string),
    "trim": Function((STRING, STRING), STRING, str.strip, optional=1),
    "trimPrefix": Function((STRING, STRING), STRING, str.removeprefix),
    "trimSuffix": Function((STRING, STRING), STRING, str.removesuffix),
    "upper": Function((STRING,), STRING, str.upper),
}


PREDICATES: Final[dict[str, tuple[str, Callable[[list[object], list[object]], object]]]] = {
    "all": (BOOL, lambda values, found: all(found)),
    "any": (BOOL, lambda values, found: any(found)),
    "none": (BOOL, lambda values, found: not any(found)),
    "one": (BOOL, lambda values, found: found.count(True) == 1),
    "count": (INT, lambda values, found: found.count(True)),
    "filter": (
        LIST,
        lambda values, found: [v for v, is_it in zip(values, found, strict=True) if is_it],
    ),
    "map": (LIST, lambda values, found: found),
}
"""Functions of a list and of an expression about its elements, ``#``: their kind, and their value."""


# ---- operators


@lru_cache(maxsize=256)
def pattern(text: str) -> go_regex.Pattern:
    """Raises ``ValueError``."""
    return go_regex.compile(text)


def _span(first: int, last: int) -> list[object]:
    if last - first >= MAX_TEXT:
        raise ExpressionError(f"a range of more than {MAX_TEXT} numbers")
    return list(range(first, last + 1))


def _modulo(left: int, right: int) -> int:
    """The sign is that of the left side, as in Go."""
    found = abs(left) % abs(right)
    return found if left >= 0 else -found


def _power(left: float, right: float) -> float:
    return math.pow(left, right)


class Operator:
    """A binary operator: how tight it binds, for which kinds, what comes out."""

    def __init__(
        self, binds: int, sides: str, gives: str, call: Callable[..., object], right: bool = False
    ) -> None:
        self.binds, self.sides, self.gives, self.call = binds, sides, gives, call
        self.groups_right = right

    def result(self, left: str, right: str) -> str | None:
        """The kind of the value; None where it is not for these kinds."""
        if not _SIDES[self.sides](left, right):
            return None
        if self.gives != "operands":
            return self.gives
        if ANY in {left, right}:
            return ANY
        return left if left == right else FLOAT


def _both(kinds: frozenset[str]) -> Callable[[str, str], bool]:
    return lambda left, right: {left, right} <= kinds | {ANY}


def _comparable(left: str, right: str) -> bool:
    return left == right or ANY in {left, right} or {left, right} <= NUMBERS


_SIDES: Final[dict[str, Callable[[str, str], bool]]] = {
    "bool": _both(frozenset({BOOL})),
    "string": _both(frozenset({STRING})),
    "int": _both(frozenset({INT})),
    "number": _both(NUMBERS),
    "number or string": lambda a, b: _both(NUMBERS)(a, b) or _both(frozenset({STRING}))(a, b),
    "comparable": _comparable,
    "anything and a list": lambda a, b: b in {LIST, ANY},
}

OPERATORS: Final[dict[str, Operator]] = {
    "||": Operator(10, "bool", BOOL, lambda a, b: a or b),
    "&&": Operator(15, "bool", BOOL, lambda a, b: a and b),
    "==": Operator(20, "comparable", BOOL, lambda a, b: a == b),
    "!=": Operator(20, "comparable", BOOL, lambda a, b: a != b),
    "<": Operator(20, "number or string", BOOL, lambda a, b: a < b),
    ">": Operator(20, "number or string", BOOL, lambda a, b: a > b),
    "<=": Operator(20, "number or string", BOOL, lambda a, b: a <= b),
    ">=": Operator(20, "number or string", BOOL, lambda a, b: a >= b),
    "in": Operator(20, "anything and a list", BOOL, lambda a, b: a in b),
    "matches": Operator(20, "string", BOOL, lambda a, b: pattern(b).search(a) is not None),
    "contains": Operator(20, "string", BOOL, lambda a, b: b in a),
    "startsWith": Operator(20, "string", BOOL, lambda a, b: a.startswith(b)),
    "endsWith": Operator(20, "string", BOOL, lambda a, b: a.endswith(b)),
    "..": Operator(25, "int", LIST, _span),
    "+": Operator(30, "number or string", "operands", lambda a, b: sized(a + b)),
    "-": Operator(30, "number", "operands", lambda a, b: sized(a - b)),
    "*": Operator(60, "number", "operands", lambda a, b: sized(a * b)),
    "/": Operator(60, "number", FLOAT, lambda a, b: a / b),
    "%": Operator(60, "int", INT, _modulo),
    "**": Operator(100, "number", FLOAT, _power, right=True),
    "^": Operator(100, "number", FLOAT, _power, right=True),
}
"""``and``, ``or`` and ``not in`` are ways to write these."""
