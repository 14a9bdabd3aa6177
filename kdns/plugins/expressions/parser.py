"""From an expression's text to a function, by precedence climbing; kinds are checked on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kdns.config.spelling import suggestion
from kdns.plugins.expressions.functions import FUNCTIONS, OPERATORS, PREDICATES
from kdns.plugins.expressions.lexer import Token, number, tokens, unquoted
from kdns.plugins.expressions.nodes import (
    Node,
    check_arguments,
    check_pattern,
    each,
    element,
    negation,
    negative,
    operation,
    require,
    slice_,
)
from kdns.plugins.expressions.values import (
    ANY,
    BOOL,
    INT,
    LIST,
    NUMBERS,
    STRING,
    Expression,
    ExpressionError,
    Function,
    Run,
    kind_of,
)

MAX_DEPTH: Final = 64
"""Parentheses and the like inside one another."""
MAX_LENGTH: Final = 4096  # characters

_NOT_BINDS: Final = 50
_MINUS_BINDS: Final = 90
_WRITTEN: Final = {"and": "&&", "or": "||"}
_CONSTANTS: Final = {"true": True, "false": False}

RESERVED: Final = frozenset(
    {*_WRITTEN, *_CONSTANTS, *FUNCTIONS, *PREDICATES, "not", "nil", "let", "in", "if", "else"}
    | {name for name in OPERATORS if name.isalpha()}
)
"""Words that no variable may be called."""


def compile_expression(
    text: str, functions: Mapping[str, Function], variables: Mapping[str, str]
) -> Expression:
    """``variables`` has kinds by name. Raises ``ExpressionError`` with the place of the mistake."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"longer than {MAX_LENGTH} characters")
    parser = _Parser(text, {**FUNCTIONS, **functions}, variables)
    node = parser.whole()
    return Expression(text, node.kind, node.run, frozenset(parser.uses))


class _Parser:
    def __init__(
        self, text: str, functions: Mapping[str, Function], variables: Mapping[str, str]
    ) -> None:
        self.tokens, self.at = list(tokens(text)), 0
        self.functions, self.variables = functions, variables
        self.uses: set[str] = set()
        self.depth = self.predicates = 0

    def whole(self) -> Node:
        node = self.expression(0)
        if self.next.kind != "end":
            raise ExpressionError(f"unexpected {self.next.text}", self.next.at)
        return node

    # ---- tokens

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def takes(self, *texts: str) -> Token | None:
        """The next token if it is one of these signs or words."""
        if self.next.kind in {"sign", "word"} and self.next.text in texts:
            return self.take()
        return None

    def expect(self, text: str) -> None:
        if self.takes(text) is None:
            raise ExpressionError(f"expected {text}, found {self.next.text}", self.next.at)

    # ---- operators

    def expression(self, binds: int) -> Node:
        """What stands here, with the operators that bind at least so tight."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(f"nests deeper than {MAX_DEPTH}", self.next.at)
        node = self.unary()
        while True:
            if not binds and self.takes("|"):  # a | f(b) is f(a, b)
                node = self.postfix(self.call(self.take(), node))
            elif (found := self.operator()) and OPERATORS[found[0]].binds >= binds:
                node = self.binary(node, *found)
            else:
                break
        if not binds:
            node = self.conditional(node)
        self.depth -= 1
        return node

    def operator(self) -> tuple[str, bool] | None:
        """The operator that stands here, and whether ``not`` stands before it."""
        token = self.next
        negated = token.kind == "word" and token.text == "not"
        if negated:
            token = self.tokens[self.at + 1]
        name = _WRITTEN.get(token.text, token.text)
        is_one = token.kind in {"sign", "word"} and name in OPERATORS
        return (name, negated) if is_one else None

    def binary(self, left: Node, name: str, negated: bool) -> Node:
        token = self.take()
        if negated:
            token = self.take()
        operator = OPERATORS[name]
        right = self.expression(operator.binds + (not operator.groups_right))
        kind = operator.result(left.kind, right.kind)
        if kind is None or (negated and kind != BOOL):
            what = f"{token.text} is not for {left.kind} and {right.kind}"
            raise ExpressionError(f"{what}, but for {operator.sides}", token.at)
        if name == "matches" and right.constant is not None:
            check_pattern(right)
        run = operation(name, left, right)
        return Node(kind, negation(run) if negated else run, left.at)

    def unary(self) -> Node:
        if token := self.takes("not", "!"):
            node = self.expression(_NOT_BINDS)
            return Node(BOOL, negation(require(node, BOOL, token.text)), token.at)
        if token := self.takes("-", "+"):
            node = self.expression(_MINUS_BINDS)
            if node.kind not in NUMBERS | {ANY}:
                raise ExpressionError(f"{token.text} is not for {node.kind}", token.at)
            run = negative(node.run) if token.text == "-" else node.run
            return Node(node.kind, run, token.at)
        return self.postfix(self.primary())

    def conditional(self, node: Node) -> Node:
        """``a ? b : c``."""
        if self.takes("?") is None:
            return node
        test = require(node, BOOL, "?")
        then = self.expression(0)
        self.expect(":")
        otherwise = self.expression(0)
        kind = then.kind if then.kind == otherwise.kind else ANY
        first, second = then.run, otherwise.run
        return Node(kind, lambda env: first(env) if test(env) else second(env), node.at)

    # ---- operands

    def primary(self) -> Node:
        token = self.take()
        match token.kind:
            case "string":
                text = unquoted(token)
                return Node(STRING, lambda env: text, token.at, text)
            case "number":
                value = number(token)
                return Node(kind_of(value), lambda env: value, token.at)
            case "word":
                return self.named(token)
            case _:
                pass
        if token.text == "(":
            node = self.expression(0)
            self.expect(")")
            return node
        if token.text == "[":
            return self.elements(token)
        if token.text == "#" and self.predicates:
            return Node(ANY, lambda env: env.elements[-1], token.at)
        raise ExpressionError(f"expected a value, found {token.text}", token.at)

    def named(self, token: Token) -> Node:
        if token.text in _CONSTANTS:
            value = _CONSTANTS[token.text]
            return Node(BOOL, lambda env: value, token.at)
        if self.next.text == "(" and self.next.kind == "sign":
            return self.call(token)
        if token.text in self.variables:
            name = token.text
            return Node(self.variables[name], lambda env: env.variables[name], token.at)
        if token.text in self.functions:
            raise ExpressionError(f"{token.text} is a function, write {token.text}()", token.at)
        raise ExpressionError(f"unknown name {token.text!r}{self.near(token)}", token.at)

    def near(self, token: Token) -> str:
        known = [*self.functions, *PREDICATES, *self.variables]
        return suggestion(token.text, known) or f"; known are {', '.join(sorted(known))}"

    def elements(self, token: Token) -> Node:
        nodes: list[Node] = []
        while not self.takes("]"):
            nodes.append(self.expression(0))
            if not self.takes(","):
                self.expect("]")
                break
        runs = [node.run for node in nodes]
        return Node(LIST, lambda env: [run(env) for run in runs], token.at)

    def postfix(self, node: Node) -> Node:
        """``a[1]``, ``a[1:3]``."""
        while token := self.takes("["):
            if node.kind not in {LIST, STRING, ANY}:
                raise ExpressionError(f"{node.kind} has no elements", token.at)
            node = self.element(node)
        return node

    def element(self, node: Node) -> Node:
        first = None if self.next.text == ":" else self.integer()
        if self.takes(":"):
            last = None if self.next.text == "]" else self.integer()
            self.expect("]")
            return Node(node.kind, slice_(node.run, first, last), node.at)
        self.expect("]")
        assert first is not None, "only a colon stands there without a number"
        return Node(ANY, element(node.run, first), node.at)

    def integer(self) -> Run:
        return require(self.expression(0), INT, "an index")

    # ---- calls

    def call(self, token: Token, *given: Node) -> Node:
        if token.text in PREDICATES:
            return self.predicate(token, *given)
        function = self.functions.get(token.text)
        if function is None:
            raise ExpressionError(f"unknown function {token.text!r}{self.near(token)}", token.at)
        self.expect("(")
        arguments = [*given, *self.arguments()]
        runs, called = check_arguments(token, function, arguments), function.call
        self.uses.add(token.text)
        if function.sees_question:
            return Node(function.gives, lambda env: called(env, *[r(env) for r in runs]), token.at)
        made: Run = lambda env: env.spend(called(*[r(env) for r in runs]))  # noqa: E731
        return Node(function.gives, made, token.at)

    def arguments(self) -> list[Node]:
        """Up to the closing parenthesis."""
        nodes: list[Node] = []
        while not self.takes(")"):
            nodes.append(self.expression(0))
            if not self.takes(","):
                self.expect(")")
                break
        return nodes

    def predicate(self, token: Token, *given: Node) -> Node:
        """``any(LIST, # …)``, the expression also in braces."""
        self.expect("(")
        if given:
            values = given[0]
        else:
            values = self.expression(0)
            self.expect(",")
        elements = require(values, LIST, token.text)
        self.predicates += 1
        braced = self.takes("{")
        test = self.expression(0)
        if braced:
            self.expect("}")
        self.expect(")")
        self.predicates -= 1
        kind, call = PREDICATES[token.text]
        run = require(test, ANY if token.text == "map" else BOOL, token.text)
        return Node(kind, each(elements, run, call), token.at)
