"""``debug``: log debug lines too."""

from __future__ import annotations

from msgspec import Struct

from kdns.config.tree import Option


class Settings(Struct, frozen=True):
    """There is nothing to set: to be there is to be on."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.none()
    for option in directive.options:
        option.fail("debug has no options")
    return Settings()
