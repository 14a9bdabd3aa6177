"""Text of a master file -> entries: the tokens of one record or directive, with their line.

RFC 1035 section 5.1: an entry ends with its line unless parentheses hold it open, ``;`` starts a
comment, quotes hold spaces together. Escapes are left in the tokens, for their meaning depends on
where they stand. Knows nothing of records.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r]+)
      | (?P<newline>\n)
      | (?P<comment>;[^\n]*)
      | (?P<open>\()
      | (?P<close>\))
      | "(?P<quoted>(?:\\.|[^"\\\n])*)"
      | (?P<word>(?:\\.|[^ \t\r\n;()"\\])+)
      | (?P<broken>.)""",
    re.VERBOSE,
)


class MasterFileError(ValueError):
    """A master file that cannot be used; its text is ``FILE:LINE: what was expected``."""

    def __init__(self, message: str, file: str, line: int) -> None:
        super().__init__(f"{file}:{line}: {message}")
        self.file = file
        self.line = line


class Token(Struct, frozen=True, gc=False):
    """A word or a quoted string, escapes untouched."""

    text: str
    line: int
    quoted: bool = False
    glued: bool = False
    """Nothing stands between it and the token before, as in ``alpn="h2"``."""


class TokenReader:
    """The tokens of one RDATA, taken from the left."""

    def __init__(self, tokens: tuple[Token, ...], origin: bytes) -> None:
        self._tokens = tokens
        self._at = 0
        self.origin = origin

    @property
    def line(self) -> int:
        """Line of the token read last, or of the first."""
        return self._tokens[max(self._at - 1, 0)].line if self._tokens else 0

    @property
    def generic(self) -> bool:
        """Whether the generic form of RFC 3597 section 5 stands here."""
        return [(token.text, token.quoted) for token in self._tokens[:1]] == [("\\#", False)]

    def take(self, what: str) -> Token:
        if self._at >= len(self._tokens):
            raise ValueError(f"{what} expected, but the record ends")
        self._at += 1
        return self._tokens[self._at - 1]

    def word(self, what: str) -> str:
        return self.take(what).text

    def rest(self) -> tuple[Token, ...]:
        tokens = self._tokens[self._at :]
        self._at = len(self._tokens)
        return tokens


class Entry(Struct, frozen=True):
    """One record or directive: at least one token."""

    tokens: tuple[Token, ...]
    indented: bool
    """The line starts with a blank: the owner is that of the record before."""
    line: int


def entries(text: str, file: str) -> Iterator[Entry]:
    """Split ``text`` into entries. Raises ``MasterFileError`` for open quotes and parentheses."""
    lexer = _Lexer(file)
    for match in _TOKEN.finditer(text + "\n"):
        kind = match.lastgroup or "quoted"
        if kind == "newline":
            if entry := lexer.end_line():
                yield entry
        elif kind in {"word", "quoted"}:
            lexer.add(match[kind], kind == "quoted")
        else:
            lexer.see(kind, match[kind])
    lexer.end()


class _Lexer:
    """The state between two tokens."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._line = 1
        self._opened: list[int] = []  # lines of the parentheses still open
        self._tokens: list[Token] = []
        self._indented = False
        self._fresh = True  # nothing seen on this line yet
        self._after_token = False

    def add(self, text: str, quoted: bool) -> None:
        self._tokens.append(Token(text, self._line, quoted, self._after_token))
        self._fresh, self._after_token = False, True

    def see(self, kind: str, text: str) -> None:
        if kind == "space" and self._fresh and not self._opened:
            self._indented = True
        elif kind == "open":
            self._opened.append(self._line)
        elif kind == "close":
            if not self._opened:
                self._fail("')' without '(' before it", self._line)
            self._opened.pop()
        elif kind == "broken":
            self._fail(_BROKEN[text], self._line)
        self._fresh = self._after_token = False

    def end_line(self) -> Entry | None:
        self._line += 1
        self._after_token = False
        if self._opened:
            return None
        tokens, indented = tuple(self._tokens), self._indented
        self._tokens, self._indented, self._fresh = [], False, True
        return Entry(tokens, indented, tokens[0].line) if tokens else None

    def end(self) -> None:
        if self._opened:
            self._fail(
                "')' expected before the end of the file: '(' is still open", self._opened[0]
            )

    def _fail(self, message: str, line: int) -> None:
        raise MasterFileError(message, self._file, line)


_BROKEN: Final = {
    '"': "closing '\"' expected before the end of the line",
    "\\": "a character expected after '\\' at the end of the line",
}
