"""Corefile text to the configuration tree. Pure: imported files come through a ``Loader``.

The grammar is that of caddy 1.1.4 with CoreDNS's handling of keys:

    corefile  = { "(" NAME ")" body | keys body }
    keys      = KEY { [","] KEY }        on one line, going on after a comma
    body      = "{" { line } "}" | { line } until the end of the file
    line      = WORD { ARGUMENT } [ "{" { line } "}" ]

What caddy only lets pass by accident (a stray "}", a block without keys, a brace on a line of its
own behind a directive) is an error here. Which directives exist is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from msgspec import Struct

from kdns.config import keys
from kdns.config.imports import Loader, TokenStream
from kdns.config.keys import expand_zone
from kdns.config.lexer import Token
from kdns.config.tree import ConfigError, Key, Location, Option, ServerBlock

__all__ = ["default_blocks", "expand_zone", "parse"]

MAX_NESTING: Final = 16  # no directive of CoreDNS nests more than two
MAX_KEYS: Final = 10_000  # in a block; a network alone makes up to 128 zones
_DIRECTIVE: Final = re.compile("[^./:]+")  # a zone standing here means a forgotten brace or comma


def _no_imports(pattern: str, importing_file: str) -> Sequence[tuple[str, str]]:
    raise ConfigError(f"{pattern!r} is not a snippet defined above, and no files are read here")


def parse(
    text: str,
    file: str = "Corefile",
    *,
    load: Loader = _no_imports,
    environment: Mapping[str, str] | None = None,
    port: int = 53,
) -> tuple[ServerBlock, ...]:
    """The server blocks of a Corefile, none for an empty one (see ``default_blocks``).

    ``file`` is its name in locations and what imports are relative to; ``port`` is for keys that
    name none (``-dns.port``). Raises ``ConfigError`` with file and line.
    """
    stream = TokenStream(text, file, load, environment or {})
    blocks = []
    while stream.peek():
        if block := _block(stream, port):
            blocks.append(block)
    keys.check_unique(blocks)
    return tuple(blocks)


def default_blocks(port: int = 53) -> tuple[ServerBlock, ...]:
    """What CoreDNS serves without a Corefile, and with an empty one: ``whoami`` and ``log``."""
    place = Location("default configuration")
    lines = tuple(Option(name, location=place) for name in ("whoami", "log"))
    return (ServerBlock((Key((), port),), lines, place),)


class _Word(Struct, frozen=True):
    text: str
    location: Location


def _block(stream: TokenStream, port: int) -> ServerBlock | None:
    """A server block; None for the definition of a snippet, and for nothing but empty words."""
    words = _key_words(stream)
    if len(words) == 1 and words[0].text.startswith("(") and words[0].text.endswith(")"):
        _snippet(stream, words[0])
        return None
    following = stream.peek()
    if not words:
        if following:
            _unexpected(following, "a zone (is an environment variable unset?)")
        return None
    expanded = _expand(words, port)
    opening = stream.take() if following and following.text == "{" else None
    return ServerBlock(expanded, _lines(stream, opening, 0), words[0].location)


def _expand(words: list[_Word], port: int) -> tuple[Key, ...]:
    expanded: list[Key] = []
    for word in words:
        expanded += keys.parse_key(word.text, port, word.location)
        if len(expanded) > MAX_KEYS:
            raise ConfigError(f"more than {MAX_KEYS} zones in a block", word.location)
    return tuple(expanded)


def _key_words(stream: TokenStream) -> list[_Word]:
    """The keys up to the brace or the end of the line; a comma at a word's end goes on behind it."""
    words: list[_Word] = []
    first, comma = True, False
    while (token := stream.peek()) and token.text != "{":
        if token.starts_line and not first and not comma:
            return words
        stream.take()
        first = False
        if text := stream.text(token):
            comma = text.endswith(",")
            words.append(_Word(text[:-1] if comma else text, token.location))
    if comma:
        found = "'{'" if token else "the end of the file"
        raise ConfigError(f"expected another zone after the comma, found {found}", stream.last)
    return words


def _snippet(stream: TokenStream, name: _Word) -> None:
    opening = stream.peek()
    if opening is None or opening.text != "{":
        raise ConfigError(f"snippet {name.text} has no body, expected '{{'", name.location)
    body = [stream.take()]
    depth = 1
    while depth:
        if not stream.head():
            _unclosed(stream, opening)
        token = stream.take()
        depth += (token.text == "{") - (token.text == "}")
        body.append(token)
    stream.define(name.text[1:-1], body[1:-1], name.location)


def _lines(stream: TokenStream, opening: Token | None, depth: int) -> tuple[Option, ...]:
    """The lines of a block up to its brace or, without one, to the end of the file."""
    lines: list[Option] = []
    while token := stream.peek(anywhere=depth == 0):
        if opening and token.text == "}":
            stream.take()
            return tuple(lines)
        lines.append(_line(stream, token, depth))
    if opening:
        _unclosed(stream, opening)
    return tuple(lines)


def _line(stream: TokenStream, word: Token, depth: int) -> Option:
    name = _name(stream, word, "an option" if depth else "a directive")
    if depth == 0 and not _DIRECTIVE.fullmatch(name):
        _unexpected(word, "a directive (is the block before it not closed?)")
    stream.take()
    args = []
    while (token := stream.peek()) and not token.starts_line and token.text not in {"{", "}"}:
        args.append(stream.text(stream.take()))
    options: tuple[Option, ...] = ()
    if token and token.text == "{":
        options = _braces(stream, token, name, depth)
    elif token and token.text == "}" and not token.starts_line:
        _unexpected(token, f"the end of the line after {name!r}; '}}' stands on its own line")
    return Option(name, tuple(args), word.location, options)


def _name(stream: TokenStream, word: Token, expected: str) -> str:
    if word.text == "{":
        _unexpected(word, expected)
    if word.text == "}":
        _unexpected(word, f"{expected}; no block is open here")
    if word.text == "import":
        _unexpected(word, f"{expected}; 'import' must start a line")
    if not (name := stream.text(word)):
        _unexpected(word, f"{expected} (is an environment variable unset?)")
    return name


def _braces(stream: TokenStream, opening: Token, name: str, depth: int) -> tuple[Option, ...]:
    if opening.starts_line:
        _unexpected(opening, f"a new line; the brace stands on the line of {name!r}")
    if depth == MAX_NESTING:
        raise ConfigError(f"blocks nest deeper than {MAX_NESTING}", opening.location)
    stream.take()
    options = _lines(stream, opening, depth + 1)
    following = stream.peek()
    if following and not following.starts_line:
        _unexpected(following, "the end of the line after '}'")
    return options


def _unexpected(token: Token, expected: str) -> NoReturn:
    raise ConfigError(f"expected {expected}, found {token.text!r}", token.location)


def _unclosed(stream: TokenStream, opening: Token) -> NoReturn:
    raise ConfigError(
        f"expected '}}', found the end of the file; the block opened at {opening.location}"
        " is not closed",
        stream.last,
    )
