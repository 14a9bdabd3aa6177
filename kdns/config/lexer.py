r"""Corefile text to tokens, with the rules of caddy 1.1.4's lexer, which CoreDNS uses.

Words end at white space. ``"`` begins a quoted word only where a word begins; in it only ``\"`` is an
escape and lines may be broken. ``#`` drops the rest of the line, but directly after a word only up to
the next white space. A backslash at the end of a line continues nothing. Knows no grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from kdns.config.tree import ConfigError, Location

# Go's unicode.IsSpace, but for the carriage return, which vanishes outside quotes.
_SPACE: Final = "\t\n\v\f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

# The possessive quantifiers keep a quote that never closes linear.
_LEXEME: Final = re.compile(
    rf"""(?P<skip>[{_SPACE}\r]+|\#[^\n]*)
       | "(?P<quoted>(?:[^"\\]++|\\.)*+)"
       | (?P<open>")
       | (?P<word>[^{_SPACE}\#]+)(?:\#[^{_SPACE}]*)?""",
    re.VERBOSE | re.DOTALL,
)


class Token(Struct, frozen=True):
    """A word, where it stands, and whether it is the first of its line."""

    text: str
    location: Location
    starts_line: bool


def tokenize(text: str, file: str) -> Iterator[Token]:
    """The tokens of ``text``. Raises ``ConfigError`` for a quote that is not closed."""
    line, starts_line = 1, True
    for lexeme in _LEXEME.finditer(text.removeprefix("\ufeff")):
        whole = lexeme.group()
        if lexeme["open"]:
            raise ConfigError("this quote is never closed", Location(file, line))
        if lexeme["skip"]:
            starts_line = starts_line or "\n" in whole
        else:
            yield Token(_word(lexeme), Location(file, line), starts_line)
            starts_line = False
        line += whole.count("\n")


def _word(lexeme: re.Match[str]) -> str:
    if (quoted := lexeme["quoted"]) is not None:
        return re.sub(r'\\(\\|")', lambda pair: '"' if pair[1] == '"' else pair[0], quoted)
    return lexeme["word"].replace("\r", "")


def substitute(token: Token, environment: Mapping[str, str]) -> str:
    """The token's text with ``{%NAME%}`` and ``{$NAME}`` replaced; an unset variable is empty.

    Raises ``ConfigError`` for ``{$NAME:default}``, which CoreDNS has not, and for a value that is
    a brace, which would change the structure.
    """
    text = token.text
    for opening, closing in (("{%", "%}"), ("{$", "}")):
        if opening in text:
            text = _replace(text, (opening, closing), environment, token.location)
    if text in {"{", "}"} and text != token.text:
        raise ConfigError(
            f"{token.text} stands for {text!r}; a brace must be written", token.location
        )
    return text


def _replace(
    text: str, marks: tuple[str, str], environment: Mapping[str, str], location: Location
) -> str:
    opening, closing = marks
    pieces, at = [], 0
    while (begin := text.find(opening, at)) >= 0:
        end = text.find(closing, begin)
        if end <= begin + len(opening):  # unclosed, or without a name: caddy replaces no further
            break
        name = text[begin + len(opening) : end]
        if ":" in name:
            variable = name.partition(":")[0]
            raise ConfigError(
                f"{text[begin : end + len(closing)]}: a variable takes no default value,"
                f" expected {opening}{variable}{closing}",
                location,
            )
        pieces += [text[at:begin], environment.get(name, "")]
        at = end + len(closing)
    return "".join(pieces) + text[at:]
