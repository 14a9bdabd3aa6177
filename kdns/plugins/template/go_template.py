"""Go's text/template, as far as DNS records are made with it.

Fields, variables, pipelines, the predefined functions, ``if``, ``with`` and ``range``; not ``define``,
``block``, ``template``, ``break`` and ``continue``. A template is compiled once into functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from kdns.plugins.template.expressions import Expression, Pipeline, Scope, assigning
from kdns.plugins.template.lexer import Piece, TemplateError, Token, pieces
from kdns.plugins.template.values import is_true, show

__all__ = ["Template", "TemplateError", "compile_template"]

Step: TypeAlias = Callable[[Scope], str]


class Template(Struct, frozen=True):
    """A compiled template."""

    step: Step

    def execute(self, data: Mapping[str, object]) -> str:
        """The text that comes out. Raises ``TemplateError``."""
        try:
            return self.step(Scope(data, {"$": data}, None))
        except RecursionError as error:
            raise TemplateError("the template nests too deep") from error


def compile_template(text: str) -> Template:
    """Raises ``TemplateError`` saying what is wrong with the template."""
    parser = _Parser(pieces(text))
    step, end = parser.body(())
    if end:
        raise TemplateError(f"unexpected {{{{ {end[0].text} }}}}")
    return Template(step)


_ENDS: Final = ("else", "end")
_NOT_HERE: Final = ("define", "block", "template", "break", "continue")


class _Parser:
    def __init__(self, found: Iterator[Piece]) -> None:
        self.pieces = found

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

        def step(scope: Scope) -> str:
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

        def step(scope: Scope) -> str:
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
        expression = Pipeline(tokens).whole()
        return (
            (assigning(expression, names, assign) if assigns and names else expression),
            names,
            assign,
        )


# ---- steps


def _constant(text: str) -> Step:
    return lambda scope: text


def _silent(expression: Expression) -> Step:
    def step(scope: Scope) -> str:
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
