"""Go's text/template, as far as DNS records are made with it.

Fields, variables, pipelines, the predefined functions, ``if``, ``with`` and ``range``; not ``define``,
``block``, ``template``, ``break`` and ``continue``. A template is compiled once into functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from kdns.plugins.template.lexer import Piece, TemplateError, Token, pieces
from kdns.plugins.template.values import FUNCTIONS, call, field, is_true, show

__all__ = ["Template", "TemplateError", "compile_template"]


class _Scope:
    """What names mean at a place: the dot, and variables with those of the surrounding blocks."""

    def __init__(self, dot: object, variables: dict[str, object], outer: _Scope | None) -> None:
        self.dot, self.variables, self.outer = dot, variables, outer

    def inner(self, dot: object) -> _Scope:
        return _Scope(dot, {}, self)

    def holder(self, name: str) -> _Scope:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.variables:
                return scope
            scope = scope.outer
        raise TemplateError(f"undefined variable {name}")


Expression: TypeAlias = Callable[[_Scope], object]
Operand: TypeAlias = tuple[Expression, bool]
"""Second: whether it is a function waiting for arguments."""
Step: TypeAlias = Callable[[_Scope], str]


class Template(Struct, frozen=True):
    """A compiled template."""

    step: Step
    fields: frozenset[str]
    """The fields that stand anywhere in it, such as ``Name``."""

    def execute(self, data: Mapping[str, object]) -> str:
        """The text that comes out. Raises ``TemplateError``."""
        try:
            return self.step(_Scope(data, {"$": data}, None))
        except RecursionError as error:
            raise TemplateError("the template nests too deep") from error


def compile_template(text: str) -> Template:
    """Raises ``TemplateError`` saying what is wrong with the template."""
    parser = _Parser(pieces(text))
    step, end = parser.body(())
    if end:
        raise TemplateError(f"unexpected {{{{ {end[0].text} }}}}")
    return Template(step, frozenset(parser.fields))


_ENDS: Final = ("else", "end")
_NOT_HERE: Final = ("define", "block", "template", "break", "continue")


class _Parser:
    def __init__(self, found: Iterator[Piece]) -> None:
        self.pieces = found
        self.fields: set[str] = set()

    def body(self, ends: tuple[str, ...]) -> tuple[Step, tuple[Token, ...]]:
        """Everything up to an action that begins with one of ``ends``, and that action."""
        steps: list[Step] = []
        for piece in self.pieces:
            if isinstance(piece, str):
                steps.append(_constant(piece))
                continue
            word = piece[0].text if piece and piece[0].kind == "word" else ""
            if word in _ENDS:
                if word not in ends:
                    raise TemplateError(f"unexpected {{{{ {word} }}}}")
                return _sequence(steps), piece
            steps.append(self._action(word, piece))
        if ends:
            raise TemplateError("{{ end }} expected, but the template ends")
        return _sequence(steps), ()

    def _action(self, word: str, tokens: tuple[Token, ...]) -> Step:
        if word in _NOT_HERE:
            raise TemplateError(f"{{{{ {word} }}}} is not supported")
        if word in {"if", "with"}:
            return self._conditional(word, tokens[1:])
        if word == "range":
            return self._range(tokens[1:])
        pipeline, names, _ = self._pipeline(tokens)
        return _silent(pipeline) if names else lambda scope: show(pipeline(scope))

    # ---- blocks

    def _conditional(self, word: str, tokens: tuple[Token, ...]) -> Step:
        condition, _, _ = self._pipeline(tokens)
        then, ending = self.body(_ENDS)
        otherwise = self._otherwise(ending)
        with_dot = word == "with"

        def step(scope: _Scope) -> str:
            inner = scope.inner(scope.dot)
            value = condition(inner)
            if not is_true(value):
                return otherwise(inner)
            return then(inner.inner(value) if with_dot else inner)

        return step

    def _otherwise(self, ending: tuple[Token, ...]) -> Step:
        """After ``else``, which may be an ``else if``; nothing after ``end``."""
        rest = [token for token in ending if token.kind != "space"]
        if rest[0].text == "end":
            return _constant("")
        if len(rest) == 1:
            step, _ = self.body(("end",))
            return step
        if rest[1].text not in {"if", "with"}:
            raise TemplateError(f"unexpected {rest[1].text!r} after else")
        at = ending.index(rest[1])
        return self._conditional(rest[1].text, ending[at + 1 :])

    def _range(self, tokens: tuple[Token, ...]) -> Step:
        values, names, assign = self._pipeline(tokens, assigns=False)
        if assign or len(names) > 2:
            raise TemplateError("range takes at most two variables, made with :=")
        then, ending = self.body(_ENDS)
        otherwise = self._otherwise(ending)

        def step(scope: _Scope) -> str:
            pairs = _pairs(values(scope))
            texts = []
            for key, value in pairs:
                inner = scope.inner(value)
                given = (value,) if len(names) == 1 else (key, value)
                inner.variables.update(zip(names, given, strict=False))
                texts.append(then(inner))
            return "".join(texts) if pairs else otherwise(scope)

        return step

    # ---- pipelines

    def _pipeline(
        self, tokens: tuple[Token, ...], assigns: bool = True
    ) -> tuple[Expression, tuple[str, ...], bool]:
        """The expression, the variables that it goes to, and whether they are there already."""
        names: tuple[str, ...] = ()
        assign = False
        signs = [t.text for t in tokens if t.kind == "sign"]
        for sign in (":=", "="):
            if sign in signs:
                at = tokens.index(Token("sign", sign))
                names = tuple(t.text for t in tokens[:at] if t.kind == "variable")
                if any(t.kind not in {"variable", "space"} and t.text != "," for t in tokens[:at]):
                    raise TemplateError(f"variables expected before {sign}")
                tokens, assign = tokens[at + 1 :], sign == "="
                break
        expression = _Expressions(tokens, self.fields).whole()
        return (
            (_assigning(expression, names, assign) if assigns and names else expression),
            names,
            assign,
        )


class _Expressions:
    """The pipeline in an action: operands by recursive descent."""

    def __init__(self, tokens: tuple[Token, ...], fields: set[str]) -> None:
        self.tokens, self.at, self.fields = tokens, 0, fields

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
        self.fields.update(names)
        return (
            _chain(expression, tuple(names)) if names else expression
        ), is_function and not names


# ---- expressions


def _dot(scope: _Scope) -> object:
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
    def chained(scope: _Scope) -> object:
        value = expression(scope)
        for name in names:
            value = field(value, name)
        return value

    return chained


def _calling(head: Expression, arguments: list[Expression]) -> Expression:
    def called(scope: _Scope) -> object:
        function = head(scope)
        values = [argument(scope) for argument in arguments]
        if callable(function):
            return call(function, values)
        raise TemplateError(f"{show(function)!r} takes no arguments")

    return called


def _assigning(expression: Expression, names: tuple[str, ...], assign: bool) -> Expression:
    name = names[0]

    def assigned(scope: _Scope) -> object:
        value = expression(scope)
        (scope.holder(name) if assign else scope).variables[name] = value
        return value

    return assigned


# ---- steps


def _constant(text: str) -> Step:
    return lambda scope: text


def _silent(expression: Expression) -> Step:
    def step(scope: _Scope) -> str:
        expression(scope)
        return ""

    return step


def _sequence(steps: Iterable[Step]) -> Step:
    todo = tuple(steps)
    return lambda scope: "".join([step(scope) for step in todo])


def _pairs(value: object) -> list[tuple[object, object]]:
    if isinstance(value, Mapping):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        if value > 10_000:  # Go would go on; nobody means it, and a question must cost little
            raise TemplateError(f"range over {value} is too much")
        return [(number, number) for number in range(value)]
    raise TemplateError(f"range cannot go over {show(value)!r}")
