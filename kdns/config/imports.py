"""The stream of tokens that the Corefile's parser reads: ``import`` lines already replaced.

Snippets and files are spliced in where they are imported, as caddy does, so they may hold server
blocks, directives, options or any part of them. Reads no files itself: a ``Loader`` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, Protocol

from msgspec import Struct

from kdns.config.lexer import Token, substitute, tokenize
from kdns.config.tree import ConfigError, Location

# A ConfigMap holds at most 1 MiB; this is more words than fit there, and soon reached by
# snippets that import one another twice at every level.
MAX_TOKENS: Final = 500_000


class Loader(Protocol):
    """Reads what an ``import`` names."""

    def __call__(self, pattern: str, importing_file: str, /) -> Sequence[tuple[str, str]]:
        """Path and text of the files, relative to the importing file; none for an empty glob.

        Raises ``ConfigError`` without location for a file that is missing or cannot be read.
        """


class _Frame(Struct):
    """A run of tokens being read: the Corefile, an imported file, or a snippet."""

    chain: tuple[str, ...]
    """What led here, itself last: files, and snippets in parentheses."""
    tokens: tuple[Token, ...]
    at: int = 0


class TokenStream:
    """Tokens one by one, with one of look-ahead."""

    def __init__(self, text: str, file: str, load: Loader, environment: Mapping[str, str]) -> None:
        self._load = load
        self._environment = environment
        self._snippets: dict[str, tuple[Token, ...]] = {}
        self._budget = MAX_TOKENS
        self._frames = [_Frame((file,), tuple(tokenize(text, file)))]
        self.last = Location(file, 1)
        """Where the token taken last stands."""

    def peek(self, *, anywhere: bool = False) -> Token | None:
        """The next token, None at the end. An ``import`` is replaced where it starts a line.

        ``anywhere``: also where it does not, as caddy does after the brace of a server block.
        """
        while (token := self.head()) and token.text == "import":
            if not (token.starts_line or anywhere):
                break
            self._import(self.take())
        return token

    def head(self) -> Token | None:
        """The next token as it is written, None at the end."""
        while self._frames:
            frame = self._frames[-1]
            if frame.at < len(frame.tokens):
                return frame.tokens[frame.at]
            self._frames.pop()
        return None

    def take(self) -> Token:
        """Consume the next token as it is written. Raises ``ConfigError`` at the end."""
        token = self.head()
        if token is None:
            raise ConfigError("unexpected end of file", self.last)
        self._frames[-1].at += 1
        self.last = token.location
        return token

    def text(self, token: Token) -> str:
        """Its text with environment variables replaced."""
        return substitute(token, self._environment)

    def define(self, name: str, body: Sequence[Token], location: Location) -> None:
        """Keep a snippet. Raises ``ConfigError`` when the name is taken or it imports itself."""
        if name in self._snippets:
            raise ConfigError(f"snippet ({name}) is defined twice", location)
        for word, argument in pairwise(body):
            if word.text == "import" and word.starts_line and self.text(argument) == name:
                raise ConfigError(f"snippet ({name}) imports itself", word.location)
        first = [Token(token.text, token.location, True) for token in body[:1]]
        self._snippets[name] = (*first, *body[1:])

    def _import(self, word: Token) -> None:
        name = self._argument(word)
        chain = self._frames[-1].chain
        if name in self._snippets:
            self._push((*chain, f"({name})"), self._snippets[name], word.location)
            return
        for path, text in reversed(self._read(name, word.location)):
            self._push((*chain, path), tuple(tokenize(text, path)), word.location)

    def _argument(self, word: Token) -> str:
        frame = self._frames[-1]
        line = []
        for token in frame.tokens[frame.at :]:
            if token.starts_line:
                break
            line.append(token)
        if len(line) != 1:
            found = f"{len(line)} words" if line else "none"
            raise ConfigError(
                f"import: expected one argument, a snippet, file or glob, found {found}",
                word.location,
            )
        if not (name := self.text(self.take())):
            raise ConfigError(
                f"import: {line[0].text!r} is empty, expected a snippet, file or glob",
                word.location,
            )
        return name

    def _read(self, pattern: str, location: Location) -> Sequence[tuple[str, str]]:
        # The limit is CoreDNS's: a pattern with many wildcards can take very long.
        if pattern.count("*") > 1 or pattern.count("?") > 1 or "[" in pattern:
            raise ConfigError(
                f"import: a pattern may have one '*' and one '?' and no '[', found {pattern!r}",
                location,
            )
        try:
            return self._load(pattern, location.file)
        except ConfigError as error:
            raise ConfigError(f"import: {error}", location) from error

    def _push(self, chain: tuple[str, ...], tokens: tuple[Token, ...], location: Location) -> None:
        if (first := chain.index(chain[-1])) < len(chain) - 1:
            raise ConfigError(f"import: goes in a circle: {' -> '.join(chain[first:])}", location)
        self._budget -= len(tokens) + 1
        if self._budget < 0:
            raise ConfigError(f"import: more than {MAX_TOKENS} words are imported", location)
        self._frames.append(_Frame(chain, tokens))
