r"""Master files (RFC 1035 section 5) -> records.

Takes all of RFC 1035, ``$TTL`` (RFC 2308 section 4) with BIND's units, either order of TTL and class,
and the generic forms of RFC 3597. Names are ASCII: an internationalised one is written as ``xn--…``.
``$INCLUDE`` reads through a function that the caller gives; nothing here opens a file. Every fault is
a ``MasterFileError`` with file and line, whatever the input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NoReturn, TypeAlias

from msgspec import Struct

from kdns.wire import record_types
from kdns.wire.constants import Class, Type
from kdns.wire.master_lexer import Entry, MasterFileError, Token, TokenReader, entries
from kdns.wire.message import Record
from kdns.wire.scalars import class_number, domain_name, duration, is_duration, type_number

__all__ = ["Include", "MasterFileError", "Placed", "parse"]

Include: TypeAlias = Callable[[str, str], tuple[str, str]]
"""(path as written, file that names it) -> (file, its text). Raises ``OSError`` or ``ValueError``."""

MAX_INCLUDE_DEPTH: Final = 10  # Knot and BIND nest a few deep; more is a mistake
MAX_INCLUDES: Final = 1000  # files that include one another twice would multiply otherwise
_META_TYPES: Final = frozenset({Type.OPT, *range(128, 256)})  # RFC 6895 section 3.1: not data


class Placed(Struct, frozen=True):
    """A record and where it was written."""

    record: Record
    file: str
    line: int


def parse(text: str, file: str, origin: bytes, include: Include | None = None) -> Iterator[Placed]:
    """The records of ``text`` in the order written, each with its place.

    ``file`` names the text in errors, ``origin`` (wire form) completes its relative names. Octets of
    the file that are no UTF-8 are to be surrogate-escaped. Raises ``MasterFileError``.
    """
    return _File(file, origin, _Shared(include)).records(text, ())


class _Shared:
    """What a file and its includes have in common."""

    def __init__(self, include: Include | None) -> None:
        self.include = include
        self.included = 0


class _File:
    """The reading of one file: what RFC 1035 lets carry over from one entry to the next."""

    def __init__(self, file: str, origin: bytes, shared: _Shared) -> None:
        self._file = file
        self._origin = origin
        self._shared = shared
        self._owner = origin
        self._default_ttl: int | None = None
        self._last_ttl: int | None = None

    def records(self, text: str, within: tuple[str, ...]) -> Iterator[Placed]:
        for entry in entries(text, self._file):
            head = entry.tokens[0]
            if head.text.startswith("$") and not head.quoted and not entry.indented:
                yield from self._directive(entry, (*within, self._file))
            else:
                yield Placed(self._record(entry), self._file, entry.line)

    # Directives

    def _directive(self, entry: Entry, within: tuple[str, ...]) -> Iterator[Placed]:
        word = entry.tokens[0].text.upper()
        if word == "$ORIGIN":
            self._origin = self._name(self._arguments(entry, 1, "one domain name")[0])
        elif word == "$TTL":
            argument = self._arguments(entry, 1, "one TTL")[0]
            self._default_ttl = self._ttl(argument)
        elif word == "$INCLUDE":
            yield from self._include(entry, within)
        else:
            self._fail(entry.line, f"{entry.tokens[0].text} is not supported; {_DIRECTIVES}")

    def _arguments(self, entry: Entry, most: int, what: str) -> tuple[Token, ...]:
        arguments = entry.tokens[1:]
        if not 1 <= len(arguments) <= most:
            self._fail(entry.line, f"{what} expected after {entry.tokens[0].text.upper()}")
        return arguments

    def _include(self, entry: Entry, within: tuple[str, ...]) -> Iterator[Placed]:
        path, *origin = self._arguments(entry, 2, "a file and at most one origin")
        if self._shared.include is None:
            self._fail(path.line, "$INCLUDE cannot be used here")
        self._shared.included += 1
        if len(within) > MAX_INCLUDE_DEPTH or self._shared.included > MAX_INCLUDES:
            self._fail(path.line, "$INCLUDE nests too deep, or too often")
        try:
            file, text = self._shared.include(path.text, self._file)
        except (OSError, ValueError) as error:
            self._fail(path.line, f"$INCLUDE {path.text}: {_reason(error)}")
        if file in within:
            self._fail(path.line, f"$INCLUDE {path.text}: the file includes itself")
        inner = _File(file, self._name(origin[0]) if origin else self._origin, self._shared)
        inner._default_ttl, inner._last_ttl = self._default_ttl, self._last_ttl
        yield from inner.records(text, within)

    # Records

    def _record(self, entry: Entry) -> Record:
        at = 0
        if not entry.indented:
            self._owner = self._name(entry.tokens[0])
            at = 1
        ttl, at = self._ttl_and_class(entry, at)
        if at >= len(entry.tokens):
            self._fail(entry.tokens[-1].line, "a record type expected, but the record ends")
        rtype = self._type(entry.tokens[at])
        rdata = self._rdata(rtype, entry, at)
        ttl = self._settled_ttl(ttl, rtype, rdata, entry.tokens[at])
        return Record(self._owner, rtype, ttl, rdata)

    def _ttl_and_class(self, entry: Entry, at: int) -> tuple[int | None, int]:
        """RFC 1035 section 5.1: ``[TTL] [class]`` or ``[class] [TTL]``."""
        ttl: int | None = None
        seen_class = False
        for token in entry.tokens[at : at + 2]:
            if ttl is None and is_duration(token.text):
                ttl = self._ttl(token)
            elif not seen_class and (rclass := class_number(token.text)) is not None:
                seen_class = True
                if rclass != Class.IN:
                    self._fail(token.line, f"class IN expected, not {token.text}")
            else:
                break
            at += 1
        return ttl, at

    def _settled_ttl(self, ttl: int | None, rtype: int, rdata: bytes, token: Token) -> int:
        """RFC 2308 section 4: $TTL, else the last one written; an SOA may start with its minimum."""
        if ttl is None:
            ttl = self._last_ttl if self._default_ttl is None else self._default_ttl
        if ttl is None and rtype == Type.SOA:
            ttl = int.from_bytes(rdata[-4:]) & 0x7FFFFFFF
        if ttl is None:
            self._fail(token.line, f"a TTL expected before {token.text}: none was given, nor $TTL")
        self._last_ttl = ttl
        return ttl

    def _type(self, token: Token) -> int:
        try:
            rtype = type_number(token.text)
        except ValueError as error:
            self._fail(token.line, str(error))
        if rtype in _META_TYPES or not rtype:
            self._fail(token.line, f"{token.text} is not a type that a zone can hold")
        return rtype

    def _rdata(self, rtype: int, entry: Entry, at: int) -> bytes:
        reader = TokenReader(entry.tokens[at + 1 :], self._origin)
        try:
            return record_types.from_text(rtype, reader)
        except ValueError as error:
            line = reader.line or entry.tokens[at].line
            self._fail(line, f"{entry.tokens[at].text}: {_reason(error)}")

    def _ttl(self, token: Token) -> int:
        try:
            return duration(token.text)
        except ValueError as error:
            self._fail(token.line, f"TTL: {error}")

    def _name(self, token: Token) -> bytes:
        if token.quoted:
            self._fail(token.line, f"a domain name without quotes expected, not {token.text!r}")
        try:
            return domain_name(token.text, self._origin)
        except ValueError as error:
            self._fail(token.line, f"a domain name expected: {_reason(error)}")

    def _fail(self, line: int, message: str) -> NoReturn:
        raise MasterFileError(message, self._file, line)


_DIRECTIVES: Final = "$ORIGIN, $TTL or $INCLUDE expected"


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
