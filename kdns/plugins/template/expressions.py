"""The expressions in a Go template's actions: operands, calls and pipelines, compiled into functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from kdns.plugins.template.lexer import TemplateError, Token
from kdns.plugins.template.values import FUNCTIONS, call, field, show


class Scope:
    """What names mean at a place: the dot, and variables with those of the surrounding blocks."""

    def __init__(self, dot: object, variables: dict[str, object], outer: Scope | None) -> None:
        self.dot, self.variables, self.outer = dot, variables, outer

    def inner(self, dot: object) -> Scope:
        return Scope(dot, {}, self)

    def holder(self, name: str) -> Scope:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.variables:
                return scope
            scope = scope.outer
        raise TemplateError(f"undefined variable {name}")


Expression: TypeAlias = Callable[[Scope], object]
Operand: TypeAlias = tuple[Expression, bool]
"""Second: whether it is a function waiting for arguments."""


class Pipeline:
    """What stands in an action, by recursive descent."""

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self.tokens, self.at = tokens, 0

    def whole(self) -> Expression:
        expression = self._pipe()
        if (token := self._peek()) is not None:
            raise TemplateError(f"unexpected {token.text!r}")
        return expression

    def _peek(self, space: bool = False) -> Token | None:
        while not space and self.at < len(self.tokens) and self.tokens[self.at].kind == "space":
            self.at += 1
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _pipe(self) -> Expression:
        expression = self._command(None)
        while (token := self._peek()) and token.text == "|":
            self.at += 1
            expression = self._command(expression)
        return expression

    def _command(self, piped: Expression | None) -> Expression:
        """A function with its arguments, or a single operand; what is piped is the last argument."""
        operands: list[Operand] = []
        while (token := self._peek()) and token.text not in {"|", ")"}:
            operands.append(self._operand(token))
        if not operands:
            raise TemplateError("a value expected")
        (head, is_function), *rest = operands
        arguments = [expression for expression, _ in rest] + ([piped] if piped else [])
        if not is_function:
            if arguments and not self._is_method(head):
                raise TemplateError("only a function takes arguments")
            if not arguments:
                return head
        return _calling(head, arguments)

    @staticmethod
    def _is_method(head: Expression) -> bool:
        """``.Meta "label"``: a field that is a function."""
        return getattr(head, "__name__", "") == "chained"

    def _operand(self, token: Token) -> Operand:
        self.at += 1
        is_function = False
        if token.kind == "word" and token.text in FUNCTIONS:
            expression, is_function = _named(token.text), True
        elif token.text == "(":
            expression = self._pipe()
            if (closing := self._peek()) is None or closing.text != ")":
                raise TemplateError("')' expected")
            self.at += 1
        elif token.kind == "field":
            self.at -= 1
            expression = _dot
        else:
            expression = _simple(token)
        names: list[str] = []
        while (following := self._peek(space=True)) and following.kind == "field":
            self.at += 1
            names.append(following.text[1:])
        return (
            _chain(expression, tuple(names)) if names else expression
        ), is_function and not names


def _dot(scope: Scope) -> object:
    return scope.dot


def _simple(token: Token) -> Expression:
    """A literal, a variable, the dot."""
    text = token.text
    if text == ".":
        return _dot
    if token.kind == "variable":
        return lambda scope: scope.holder(text).variables[text]
    values: Mapping[str, object] = {"true": True, "false": False, "nil": None}
    if token.kind == "word":
        if text not in values:
            raise TemplateError(f"function {text!r} not defined; known are {', '.join(FUNCTIONS)}")
        value = values[text]
    elif token.kind == "number":
        value = (
            float(text) if "." in text else int(text, 0 if not text.lstrip("+-0").isdigit() else 10)
        )
    elif token.kind in {"string", "char"}:
        value = _unquote(text)
        value = ord(value) if token.kind == "char" else value
    else:
        raise TemplateError(f"unexpected {text!r}")
    return lambda scope: value


def _unquote(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        return text[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError as error:
        raise TemplateError(f"{text} has a broken escape") from error


def _named(name: str) -> Expression:
    return lambda scope: FUNCTIONS[name]


def _chain(expression: Expression, names: tuple[str, ...]) -> Expression:
    def chained(scope: Scope) -> object:
        value = expression(scope)
        for name in names:
            value = field(value, name)
        return value

    return chained


def _calling(head: Expression, arguments: list[Expression]) -> Expression:
    def called(scope: Scope) -> object:
        function = head(scope)
        values = [argument(scope) for argument in arguments]
        if callable(function):
            return call(function, values)
        raise TemplateError(f"{show(function)!r} takes no arguments")

    return called


def assigning(expression: Expression, names: tuple[str, ...], assign: bool) -> Expression:
    name = names[0]

    def assigned(scope: Scope) -> object:
        value = expression(scope)
        (scope.holder(name) if assign else scope).variables[name] = value
        return value

    return assigned
