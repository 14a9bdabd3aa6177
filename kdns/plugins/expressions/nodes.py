"""The parts of a compiled expression: how they are checked, and what runs in the end."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from kdns.plugins.expressions.functions import OPERATORS, pattern
from kdns.plugins.expressions.lexer import Token
from kdns.plugins.expressions.values import (
    ANY,
    Env,
    ExpressionError,
    Function,
    Run,
    kind_of,
)


class Node(Struct, frozen=True):
    """A part of an expression."""

    kind: str
    run: Run
    at: int
    constant: object = None
    """Its value where that is a text in the expression itself."""


# ---- checks


def require(node: Node, kind: str, what: str) -> None:
    if node.kind not in {kind, ANY}:
        raise ExpressionError(f"{what} takes {kind}, not {node.kind}", node.at)


def check_arguments(token: Token, function: Function, arguments: list[Node]) -> None:
    most = len(function.takes)
    if not most - function.optional <= len(arguments) <= most:
        raise ExpressionError(
            f"{token.text} takes {most} arguments, got {len(arguments)}", token.at
        )
    for kind, node in zip(function.takes, arguments, strict=False):
        if kind != ANY:
            require(node, kind, token.text)
    if token.text == "incidr" and arguments[1].constant is not None:
        try:
            function.call("::", arguments[1].constant)
        except ExpressionError as error:
            raise ExpressionError(str(error), arguments[1].at) from error


def check_pattern(node: Node) -> None:
    try:
        pattern(str(node.constant))
    except ValueError as error:
        raise ExpressionError(str(error), node.at) from error


# ---- what runs


def negation(run: Run) -> Run:
    return lambda env: not truth(run(env))


def truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(f"expected true or false, got {kind_of(value)}")
    return value


def operation(name: str, left: Run, right: Run) -> Run:
    if name == "&&":
        return lambda env: truth(left(env)) and truth(right(env))
    if name == "||":
        return lambda env: truth(left(env)) or truth(right(env))
    call = OPERATORS[name].call
    return lambda env: call(left(env), right(env))


def slice_(of: Run, first: Node | None, last: Node | None) -> Run:
    start: Run = first.run if first else lambda env: None
    end: Run = last.run if last else lambda env: None
    return lambda env: of(env)[start(env) : end(env)]  # type: ignore[index]


def each(values: Run, test: Run, call: Callable[[list[object], list[object]], object]) -> Run:
    def run(env: Env) -> object:
        elements = values(env)
        if not isinstance(elements, list):
            raise ExpressionError(f"expected a list, got {kind_of(elements)}")
        found = []
        for element in elements:
            env.elements.append(element)
            try:
                found.append(test(env))
            finally:
                env.elements.pop()
        return call(elements, found)

    return run
