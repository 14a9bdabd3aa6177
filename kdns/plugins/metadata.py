"""``metadata [ZONES…]``: what directives of the block publish about a question, for others to use.

Nothing is collected: a value is worked out when ``log``, ``rewrite``, ``template`` or ``view`` asks for it.
Labels are ``DIRECTIVE/NAME``; a directive publishes by a function ``publish(settings, context)``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from kdns.config.tree import Option
from kdns.plugins.zones import longest_match, parse_zones
from kdns.wire.message import Answer, Query
from kdns.wire.names import Name, to_text

logger: Final = logging.getLogger("kdns.metadata")

Publisher: TypeAlias = Callable[[Query, str], str]
"""The value under a label; "" where there is none."""

Reader: TypeAlias = Callable[[Query, str, Answer | None], str]
"""The same, also of what is known with the answer alone."""


class Settings(Struct, frozen=True):
    """What the directive says."""

    zones: tuple[Name, ...] = ()
    """Empty for those of the server block."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.no_options()
    return Settings(parse_zones(directive, directive.args))


def reader(zones: tuple[Name, ...], publishers: Mapping[str, Publisher]) -> Reader:
    """All of ``publishers``, which are by directive, for questions in ``zones``.

    It never raises, since ``log`` and ``view`` read where no handler's failure is caught.
    """

    def published(query: Query, label: str) -> str:
        publisher = publishers.get(label.partition("/")[0])
        try:
            return publisher(query, label) if publisher else ""
        except Exception as error:
            logger.error("%s for %s: %r", label, to_text(query.name), error, exc_info=error)
            return ""

    def read(query: Query, label: str, answer: Answer | None) -> str:
        if longest_match(zones, query.name) is None:
            return ""
        known = dict(answer.metadata) if answer else {}
        return known.get(label) or published(query, label)

    return read
