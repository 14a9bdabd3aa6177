"""``var NAME EXPRESSION`` and ``expr EXPRESSION``: values and conditions in CoreDNS's expressions."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from kdns.config.tree import Option
from kdns.plugins.expressions import (
    BY_ASKER,
    QUESTION,
    RESERVED,
    Env,
    Expression,
    Function,
    compile_expression,
    read_expression,
)


def _group(env: Env, which: object) -> str:
    return env.groups.get(str(which), "")


FUNCTIONS: Final = {**QUESTION, "group": Function(("any",), "string", _group, sees_question=True)}
"""``group(NAME)`` and ``group(NUMBER)``: what a group of the pattern matched."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Definitions(Struct, frozen=True):
    """The expressions of a directive, compiled."""

    variables: tuple[tuple[str, Expression], ...] = ()
    conditions: tuple[Expression, ...] = ()

    @property
    def by_asker(self) -> bool:
        """Whether they may be different for another asker of the same question."""
        expressions = (*(expression for _, expression in self.variables), *self.conditions)
        return any(not BY_ASKER.isdisjoint(each.uses) for each in expressions)


def compile_definitions(
    variables: tuple[tuple[str, str], ...], conditions: tuple[str, ...]
) -> Definitions:
    """From texts that are known to be right. Each variable may use those before it."""
    kinds: dict[str, str] = {}
    compiled = []
    for name, text in variables:
        expression = compile_expression(text, FUNCTIONS, kinds)
        kinds[name] = expression.kind
        compiled.append((name, expression))
    return Definitions(
        tuple(compiled), tuple(compile_expression(text, FUNCTIONS, kinds) for text in conditions)
    )


def read_variable(option: Option, before: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """Name and expression. Raises ``ConfigError`` that points at the mistake."""
    if len(option.args) < 2:
        option.fail("takes a name and an expression")
    name, *words = option.args
    if not _NAME.fullmatch(name):
        option.fail(f"{name!r} is no name for a variable")
    if name in RESERVED or name in FUNCTIONS:
        option.fail(f"{name!r} means something else in expressions")
    if name in dict(before):
        option.fail(f"the variable {name} is there already; give this one another name")
    return name, read_condition(option, " ".join(words), before)


def read_condition(option: Option, text: str, variables: tuple[tuple[str, str], ...]) -> str:
    """The expression. Raises ``ConfigError`` that points at the mistake."""
    known = compile_definitions(variables, ())
    kinds = {name: expression.kind for name, expression in known.variables}
    read_expression(option, text, FUNCTIONS, kinds)
    return text
