"""What several directives share about zones: their arguments, matching, and ``fallthrough``."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from kdns.config.keys import expand_zone
from kdns.config.tree import Option, ServerBlock
from kdns.plugins.interface import Context
from kdns.wire.names import Name


def zones_of(option: Option, texts: Iterable[str], block: ServerBlock) -> tuple[Name, ...]:
    """The zones that a directive names (CIDRs expanded), or else those of its server block.

    Raises ``ConfigError`` at the directive for what is no zone.
    """
    return parse_zones(option, tuple(texts)) or _block_zones(block)


def parse_zones(directive: Option, texts: tuple[str, ...]) -> tuple[Name, ...]:
    """The zones named, networks expanded. Raises ``ConfigError``."""
    zones = [zone for text in texts for zone in expand_zone(text, directive.location)]
    return tuple(dict.fromkeys(zones))


def served_zones(zones: tuple[Name, ...], context: Context) -> tuple[Name, ...]:
    """The zones of a directive, or else those of its server block."""
    return zones or _block_zones(context.block)


def _block_zones(block: ServerBlock) -> tuple[Name, ...]:
    return tuple(dict.fromkeys(key.zone for key in block.keys))


def longest_match(zones: Iterable[Name], name: Name) -> Name | None:
    """The zone with most labels that ``name`` lies in."""
    found = None
    for zone in zones:
        size = len(zone)  # every query comes here, so ``is_below`` is spelt out
        if (not size or name[-size:] == zone) and (found is None or size > len(found)):
            found = zone
    return found


class Fallthrough(Struct, frozen=True):
    """The option ``fallthrough [ZONES…]``: names for which the next plugin is asked instead."""

    zones: tuple[Name, ...] = ()

    def covers(self, name: Name) -> bool:
        return longest_match(self.zones, name) is not None


def parse_fallthrough(option: Option) -> Fallthrough:
    """Without zones it covers every name. Raises ``ConfigError`` for what is no zone."""
    zones = [zone for text in option.args for zone in expand_zone(text, option.location)]
    return Fallthrough(tuple(zones) or ((),))
