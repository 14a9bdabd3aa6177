"""A Go template's text cut into pieces: text, and actions in ``{{ }}`` with their tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from msgspec import Struct


class TemplateError(ValueError):
    """A template that cannot be used, or that failed with the values of a question."""


class Token(Struct, frozen=True):
    """``kind`` is one of the group names of the pattern below."""

    kind: str
    text: str


Piece: TypeAlias = str | tuple[Token, ...]
"""Text, or the tokens of an action."""

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
    |(?P<char>'(?:[^'\\]|\\.)')
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|[0-9][0-9_]*(?:\.[0-9]+)?))
    |(?P<field>\.[A-Za-z_]\w*)
    |(?P<variable>\$\w*)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<sign>:=|[=|(),.])""",
    re.VERBOSE,
)


def pieces(text: str) -> Iterator[Piece]:
    """Raises ``TemplateError``. ``{{-`` and ``-}}`` take the white space beside them away."""
    at, trim = 0, False
    while (start := text.find("{{", at)) >= 0:
        before = text[at:start].lstrip() if trim else text[at:start]
        end = _end(text, start)
        body = text[start + 2 : end]
        if body.startswith("-") and body[1:2].isspace():
            before, body = before.rstrip(), body[1:]
        trim = body.endswith("-") and body[-2:-1].isspace()
        yield before
        body = (body[:-1] if trim else body).strip()
        if not (body.startswith("/*") and body.endswith("*/")):
            yield tuple(_tokens(body))
        at = end + 2
    yield text[at:].lstrip() if trim else text[at:]


def _end(text: str, start: int) -> int:
    """Where the action's braces are, quoted ones left alone."""
    quoted = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|/\*.*?\*/|\}\}', re.DOTALL)
    for found in quoted.finditer(text, start + 2):
        if found[0] == "}}":
            return found.start()
    raise TemplateError("an action is not closed; '}}' expected")


def _tokens(body: str) -> Iterator[Token]:
    """Of an action. White space is kept where it ends a chain: ``.a .b`` is two operands."""
    at = 0
    while at < len(body):
        found = _TOKEN.match(body, at)
        if found is None:
            raise TemplateError(f"unexpected {body[at]!r} in {body!r}")
        at = found.end()
        yield Token(str(found.lastgroup), found[0])
