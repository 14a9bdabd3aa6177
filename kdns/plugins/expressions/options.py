"""Expressions in a Corefile: what is wrong with one is told with file and line, and a caret below it."""

from __future__ import annotations

from collections.abc import Mapping

from kdns.config.tree import ConfigError, Option
from kdns.plugins.expressions.parser import compile_expression
from kdns.plugins.expressions.values import Expression, ExpressionError, Function


def read_expression(
    option: Option, text: str, functions: Mapping[str, Function], variables: Mapping[str, str]
) -> Expression:
    """Raises ``ConfigError`` that points at the mistake."""
    if not text:
        option.fail("expected an expression")
    try:
        return compile_expression(text, functions, variables)
    except ExpressionError as error:
        raise ConfigError(f"{option.name}: {error.pointing(text)}", option.location) from error
