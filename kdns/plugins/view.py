"""``view NAME { expr EXPRESSION }``: which questions a server block is for.

Not a stage: the responder asks before it chooses among the blocks of a zone. A question that the
expression cannot be evaluated for is not the block's, as with the peer.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins.expressions import (
    BY_ASKER,
    QUESTION,
    Env,
    ExpressionError,
    compile_expression,
    read_expression,
)
from kdns.plugins.interface import Context
from kdns.wire.message import Query


class Settings(Struct, frozen=True):
    """What the directive says. Expressions are texts that are known to be right; all must be true."""

    name: str
    expressions: tuple[str, ...] = ()


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError`` that points at the mistake in an expression."""
    settings = Settings(directive.one())
    for option in directive.options:
        if option.name != "expr":
            option.fail("unknown option of view; expected expr EXPRESSION")
        text = " ".join(option.args)
        read_expression(option, text, QUESTION, {})
        settings = replace(settings, expressions=(*settings.expressions, text))
    return settings


class View:
    """``Settings`` at work."""

    def __init__(self, settings: Settings, context: Context) -> None:
        self.name = settings.name
        self.expressions = [compile_expression(text, QUESTION, {}) for text in settings.expressions]
        self.by_asker = any(not BY_ASKER.isdisjoint(each.uses) for each in self.expressions)
        self._metadata: Callable[[Query, str], str] = context.metadata

    def __call__(self, query: Query) -> bool:
        env = Env(query, self._metadata)
        try:
            return all(expression(env) is True for expression in self.expressions)
        except ExpressionError:
            return False


def publish(settings: Settings, context: Context) -> Callable[[Query, str], str]:
    """``view/name``."""
    return lambda query, label: settings.name if label == "view/name" else ""
