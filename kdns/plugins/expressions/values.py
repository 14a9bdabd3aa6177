"""What expressions are made of: kinds, functions, and where their values come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from kdns.wire.message import Query

ANY: Final = "any"
"""The kind of what is known only when a question is there, such as the elements of a list."""
BOOL: Final = "bool"
INT: Final = "int"
FLOAT: Final = "float"
STRING: Final = "string"
LIST: Final = "list"
NUMBERS: Final = frozenset({INT, FLOAT})


class ExpressionError(ValueError):
    """An expression that cannot be used (with its place), or that failed with the values of a question."""

    def __init__(self, message: str, at: int = -1) -> None:
        super().__init__(message)
        self.at = at
        """Characters before the place; -1 where there is none."""

    def pointing(self, text: str) -> str:
        """The message, and below it the expression with a caret under the place."""
        return f"{self}\n    {text}\n    {' ' * self.at}^" if self.at >= 0 else str(self)


MAX_WORK: Final = 1 << 18
"""Characters and elements that one evaluation may make or go through: about a tenth of a second."""


class Env:
    """What an expression is evaluated with. ``elements`` is what ``#`` means, the innermost last."""

    __slots__ = ("elements", "groups", "metadata", "query", "variables", "work")

    def __init__(
        self,
        query: Query,
        metadata: Callable[[Query, str], str],
        groups: Mapping[str, str] | None = None,
    ) -> None:
        self.query, self.metadata = query, metadata
        self.groups: Mapping[str, str] = groups or {}
        self.variables: dict[str, object] = {}
        self.elements: list[object] = []
        self.work = 0

    def spend(self, value: object) -> object:
        """The same value, its size counted. Raises ``ExpressionError`` beyond ``MAX_WORK``."""
        if isinstance(value, (str, list)):
            self.work += len(value)
            if self.work > MAX_WORK:
                raise ExpressionError(f"more than {MAX_WORK} characters and elements")
        return value


Run: TypeAlias = Callable[[Env], object]


class Function(Struct, frozen=True):
    """A function that expressions may call."""

    takes: tuple[str, ...]
    """The kinds of its arguments."""
    gives: str
    call: Callable[..., object]
    """Its first argument is the ``Env`` where ``sees_question``."""
    sees_question: bool = False
    optional: int = 0
    """How many of the last arguments may be left out."""


class Expression(Struct, frozen=True):
    """A compiled expression."""

    text: str
    kind: str
    run: Run
    uses: frozenset[str]
    """The functions that are called in it."""

    def __call__(self, env: Env) -> object:
        """Its value. Raises ``ExpressionError``, and nothing else whatever goes wrong."""
        try:
            return self.run(env)
        except ExpressionError:
            raise
        except RecursionError as error:
            raise ExpressionError("the expression nests too deep") from error
        except Exception as error:  # a view is evaluated where nothing else catches it
            raise ExpressionError(str(error) or repr(error)) from error


def kind_of(value: object) -> str:
    """The kind of a value, for messages and for what is known only with a question."""
    for kind, types in _TYPES:
        if isinstance(value, types):
            return kind
    return ANY


_TYPES: Final = ((BOOL, bool), (INT, int), (FLOAT, float), (STRING, str), (LIST, list))
