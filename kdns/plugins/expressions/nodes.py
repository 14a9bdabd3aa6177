"""The parts of a compiled expression: how they are checked, and what runs in the end."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from kdns.plugins.expressions.functions import OPERATORS, pattern, sized
from kdns.plugins.expressions.lexer import Token
from kdns.plugins.expressions.values import (
    ANY,
    BOOL,
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


def require(node: Node, kind: str, what: str) -> Run:
    """The node's function; it checks the kind where that shows only with a query."""
    if kind in {ANY, node.kind}:
        return node.run
    if node.kind != ANY:
        raise ExpressionError(f"{what} takes {kind}, not {node.kind}", node.at)
    run = node.run

    def checked(env: Env) -> object:
        value = run(env)
        if kind_of(value) != kind:
            raise ExpressionError(f"{what} takes {kind}, not {kind_of(value)}")
        return value

    return checked


def check_arguments(token: Token, function: Function, arguments: list[Node]) -> list[Run]:
    """What gives the arguments. Raises ``ExpressionError``."""
    most = len(function.takes)
    if not most - function.optional <= len(arguments) <= most:
        raise ExpressionError(
            f"{token.text} takes {most} arguments, got {len(arguments)}", token.at
        )
    runs = [
        require(node, kind, token.text)
        for kind, node in zip(function.takes, arguments, strict=False)
    ]
    if token.text == "incidr" and arguments[1].constant is not None:
        try:
            function.call("::", arguments[1].constant)
        except ExpressionError as error:
            raise ExpressionError(str(error), arguments[1].at) from error
    return runs


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


def operation(name: str, left: Node, right: Node) -> Run:
    first, second, operator = left.run, right.run, OPERATORS[name]
    if name == "&&":
        return lambda env: truth(first(env)) and truth(second(env))
    if name == "||":
        return lambda env: truth(first(env)) or truth(second(env))
    call = operator.call
    if ANY not in {left.kind, right.kind}:
        if operator.gives == BOOL and name != "in":
            return lambda env: call(first(env), second(env))
        return lambda env: env.spend(call(first(env), env.spend(second(env))))

    def checked(env: Env) -> object:
        one, other = first(env), env.spend(second(env))
        kinds = kind_of(one), kind_of(other)
        if operator.result(*kinds) is None:
            if operator.sides == "comparable":  # what is of another kind is not equal
                return name == "!="
            raise ExpressionError(f"{name} is not for {' and '.join(kinds)}")
        return env.spend(call(one, other))

    return checked


def negative(run: Run) -> Run:
    def negated(env: Env) -> object:
        value = run(env)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return sized(-value)
        raise ExpressionError(f"- is not for {kind_of(value)}")

    return negated


def element(of: Run, at: Run) -> Run:
    def run(env: Env) -> object:
        values = of(env)
        if isinstance(values, (str, list)):
            return values[at(env)]  # type: ignore[index, call-overload]
        raise ExpressionError(f"{kind_of(values)} has no elements")

    return run


def slice_(of: Run, first: Run | None, last: Run | None) -> Run:
    start: Run = first or (lambda env: None)
    end: Run = last or (lambda env: None)

    def run(env: Env) -> object:
        values = of(env)
        if isinstance(values, (str, list)):
            return env.spend(values[start(env) : end(env)])  # type: ignore[index]
        raise ExpressionError(f"{kind_of(values)} has no elements")

    return run


def each(values: Run, test: Run, call: Callable[[list[object], list[object]], object]) -> Run:
    def run(env: Env) -> object:
        elements = env.spend(values(env))
        assert isinstance(elements, list), "checked before"
        found = []
        for element in elements:
            env.elements.append(element)
            try:
                found.append(test(env))
            finally:
                env.elements.pop()
        return call(elements, found)

    return run
