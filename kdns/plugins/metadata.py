"""``metadata [ZONES…]``: accepted. No directive here makes use of what it would collect yet."""

from __future__ import annotations

from msgspec import Struct

from kdns.config.tree import Option
from kdns.plugins.file import parse_zones
from kdns.wire.names import Name


class Settings(Struct, frozen=True):
    """What the directive says."""

    zones: tuple[Name, ...] = ()
    """Empty for those of the server block."""
    warnings: tuple[str, ...] = ()


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    for option in directive.options:
        option.fail("metadata has no options")
    text = "has no effect: every value such as {/kubernetes/service} is empty"
    warning = f"{directive.location}: metadata: {text}"
    return Settings(parse_zones(directive, directive.args), (warning,))
