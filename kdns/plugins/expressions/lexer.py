"""An expression cut into tokens, each with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf
from typing import Final

from msgspec import Struct

from kdns.plugins.expressions.values import ExpressionError

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<number>0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
       |[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    |(?P<word>[A-Za-z_$][A-Za-z0-9_]*)
    |(?P<sign>\*\*|\.\.|==|!=|<=|>=|&&|\|\||[-+*/%^<>!?:,()\[\]{}|\#.])""",
    re.VERBOSE,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL)


class Token(Struct, frozen=True):
    """``kind`` is ``string``, ``number``, ``word``, ``sign`` or ``end``."""

    kind: str
    text: str
    at: int


def tokens(text: str) -> Iterator[Token]:
    """Raises ``ExpressionError``. The last one is the end."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            what = "a text that is not closed" if text[at] in "\"'`" else f"unexpected {text[at]!r}"
            raise ExpressionError(what, at)
        if found.lastgroup != "space":
            yield Token(str(found.lastgroup), found[0], at)
        at = found.end()
    yield Token("end", "the end", len(text))


def number(token: Token) -> int | float:
    """The value of a number's token. Raises ``ExpressionError`` for one that has no 64 bits."""
    digits = token.text.replace("_", "")
    try:
        if re.match(r"0[xXbBoO]", digits):
            value: float = int(digits, 0)
        else:
            value = int(digits) if digits.isdigit() else float(digits)
    except ValueError as error:
        raise ExpressionError(f"{token.text!r} is not a number", token.at) from error
    if value == inf or (isinstance(value, int) and value >> 63):
        raise ExpressionError("the number is too large", token.at)
    return value


def unquoted(token: Token) -> str:
    """The text that a string's token means. Raises ``ExpressionError`` for an unknown escape."""
    if token.text[0] == "`":
        return token.text[1:-1]

    def meant(found: re.Match[str]) -> str:
        if code := found[1] or found[2]:
            if 0xD800 <= int(code, 16) < 0xE000:
                raise ExpressionError(f"{found[0]} is no character", token.at + 1 + found.start())
            return chr(int(code, 16))
        if found[3] in "\\\"'`":
            return str(found[3])
        if found[3] not in _ESCAPES:
            hint = f"; a backslash itself is written twice: \\\\{found[3]}"
            raise ExpressionError(f"unknown escape {found[0]}{hint}", token.at + 1 + found.start())
        return _ESCAPES[found[3]]

    return _ESCAPE.sub(meant, token.text[1:-1])
