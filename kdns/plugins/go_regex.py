r"""Regular expressions as Go writes them (RE2), compiled by Python's ``re``.

The two differ little for what stands in a Corefile: Go's classes are ASCII, its ``$`` and ``\z`` are the
very end of the text, ``(?<name>…)`` names a group, ``[[:alpha:]]`` is a class, ``\Q…\E`` quotes.
"""

from __future__ import annotations

import re
from typing import Final

MAX_PATTERN: Final = 10_000
"""Characters; the peer's limit."""

_CLASSES: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": "\\x00-\\x7f",
    "blank": "\\t ",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": "\\t\\n\\v\\f\\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_TOKEN: Final = re.compile(
    r"\\Q(?P<quoted>.*?)(?:\\E|$)|(?P<end>\\z|\$)|(?P<escape>\\.)|\[:(?P<posix>\w+):\]"
    r"|(?P<named>\(\?<(?![=!]))|(?P<open>\[\^?\]?)|(?P<close>\])",
    re.DOTALL,
)


def compile(pattern: str) -> re.Pattern[str]:  # noqa: A001  (as re.compile)
    """Raises ``ValueError`` saying what is wrong with the pattern."""
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"the pattern has {len(pattern)} characters; {MAX_PATTERN} is the most")
    try:
        return re.compile(_translate(pattern), re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern[:80]!r} is not a regular expression: {error}") from error


def _translate(pattern: str) -> str:
    out, at, inside = [], 0, False
    for token in _TOKEN.finditer(pattern):
        out.append(pattern[at : token.start()])
        at = token.end()
        out.append(_python(token, inside))
        if token["open"] and not inside:
            inside = True
        elif token["close"]:
            inside = False
    return "".join((*out, pattern[at:]))


def _python(token: re.Match[str], inside: bool) -> str:
    """A token in Python's words; ``inside`` brackets only classes are special."""
    if token["quoted"] is not None:
        return re.escape(token["quoted"])
    if token["posix"]:
        if not inside or token["posix"] not in _CLASSES:
            raise re.error(f"unknown class {token[0]!r}")
        return _CLASSES[token["posix"]]
    if inside:
        return f"\\{token[0]}" if token["open"] else token[0]
    if token["end"]:
        return "\\Z"
    return "(?P<" if token["named"] else token[0]
