"""Kubernetes label selectors in their string form: ``app=web,tier!=db,env in (a,b),!legacy``.

What the API server does for a watch is done here for manifests; ``parse`` also checks the options
of the ``kubernetes`` directive before anything is connected. Grammar and meaning follow
``k8s.io/apimachinery/pkg/labels``:
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

from msgspec import Struct


class Operator(Enum):
    """How a requirement compares; ``=`` and ``==`` are IN, ``!=`` is NOT_IN with one value."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    DOES_NOT_EXIST = "!"
    GREATER = ">"
    LESS = "<"


class Requirement(Struct, frozen=True):
    """One comma-separated part of a selector."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value in self.values
            case Operator.NOT_IN:
                return value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
            case Operator.GREATER | Operator.LESS:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        if value is None or not _INTEGER.fullmatch(value):
            return False
        (bound,) = self.values
        if self.operator is Operator.GREATER:
            return int(value) > int(bound)
        return int(value) < int(bound)


class Selector(Struct, frozen=True):
    """Requirements that all have to hold; without any, everything matches."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)


EVERYTHING: Final = Selector()


def parse(text: str) -> Selector:
    """Read a selector; an empty text selects everything. Raises ValueError: what is wrong."""
    tokens = _Tokens(text)
    if tokens.ended():
        return EVERYTHING
    requirements = [_requirement(tokens)]
    while not tokens.ended():
        tokens.expect(",")
        requirements.append(_requirement(tokens))
    return Selector(tuple(requirements))


_INTEGER: Final = re.compile(r"[0-9]{1,19}")
_TOKEN: Final = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)")
_SYMBOLS: Final = frozenset(("==", "!=", *"=!(),<>"))
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_NAME: Final = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_SUBDOMAIN: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
_KEY: Final = re.compile(rf"(?:(?=[^/]{{1,253}}/){_SUBDOMAIN}/)?{_NAME}")
_VALUE: Final = re.compile(rf"(?:{_NAME})?")

_COMPARISONS: Final[Mapping[str, Operator]] = {
    "=": Operator.IN,
    "==": Operator.IN,
    "!=": Operator.NOT_IN,
    ">": Operator.GREATER,
    "<": Operator.LESS,
}
_SETS: Final[Mapping[str, Operator]] = {"in": Operator.IN, "notin": Operator.NOT_IN}


class _Tokens:
    """The words and symbols of a selector, taken one at a time."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = _TOKEN.findall(text)
        self._next = 0

    def ended(self) -> bool:
        return self._next == len(self._found)

    def peek(self) -> str:
        """Return the next token, "" at the end."""
        return "" if self.ended() else self._found[self._next]

    def take(self) -> str:
        token = self.peek()
        self._next += 1
        return token

    def expect(self, symbol: str) -> None:
        if self.peek() != symbol:
            raise self.error(f"expected {symbol!r}")
        self._next += 1

    def word(self, what: str) -> str:
        if self.ended() or self.peek() in _SYMBOLS:
            raise self.error(f"expected {what}")
        return self.take()

    def error(self, expected: str) -> ValueError:
        found = "its end" if self.ended() else repr(self.peek())
        return ValueError(f"label selector {self._text!r}: {expected}, found {found}")


def _requirement(tokens: _Tokens) -> Requirement:
    if tokens.peek() == "!":
        tokens.take()
        return Requirement(_key(tokens), Operator.DOES_NOT_EXIST)
    key = _key(tokens)
    following = tokens.peek()
    if following in {"", ","}:
        return Requirement(key, Operator.EXISTS)
    if following in _SETS:
        tokens.take()
        return Requirement(key, _SETS[following], _value_set(tokens))
    if following in _COMPARISONS:
        tokens.take()
        return _comparison(tokens, key, _COMPARISONS[following])
    raise tokens.error("expected one of = == != in notin < > or ','")


def _key(tokens: _Tokens) -> str:
    key = tokens.word("a label key")
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a valid label key: [DNS subdomain/]name, name ≤ 63")
    return key


def _comparison(tokens: _Tokens, key: str, operator: Operator) -> Requirement:
    value = "" if tokens.peek() in {"", ","} else _value(tokens)
    if operator in {Operator.GREATER, Operator.LESS} and not _INTEGER.fullmatch(value):
        raise ValueError(f"label {key!r}: {operator.value} needs an integer, found {value!r}")
    return Requirement(key, operator, frozenset((value,)))


def _value(tokens: _Tokens) -> str:
    value = tokens.word("a label value")
    if not _VALUE.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a valid label value: ≤ 63 letters, digits, '-', '_', '.'"
        )
    return value


def _value_set(tokens: _Tokens) -> frozenset[str]:
    """``(a,,b)``: the empty string between two commas is a value too."""
    tokens.expect("(")
    values = set[str]()
    while True:
        values.add("" if tokens.peek() in {",", ")"} else _value(tokens))
        if tokens.peek() == ")":
            tokens.take()
            return frozenset(values)
        tokens.expect(",")
