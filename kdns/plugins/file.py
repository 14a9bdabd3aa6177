"""``file DBFILE [ZONES…]``: zones from a master file.

Several ``file`` directives of a server block act as one: the longest of their zones answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config import durations
from kdns.config.tree import Option
from kdns.plugins.aliases import AliasChaser
from kdns.plugins.authority import Authority
from kdns.plugins.interface import Context, Handler
from kdns.plugins.options import read_options
from kdns.plugins.root import rooted
from kdns.plugins.zones import (
    Fallthrough,
    longest_match,
    parse_fallthrough,
    parse_zones,
    served_zones,
    zones_of,
)
from kdns.wire.message import Answer, Query
from kdns.wire.names import Name

NAME: Final = "file"
DEFAULT_RELOAD: Final = 60.0  # seconds, as in CoreDNS


class Settings(Struct, frozen=True):
    """A master file, and what it is served as."""

    path: str
    """Relative to the directive ``root``, or else to the working folder."""
    zones: tuple[Name, ...] = ()
    """Empty for those of the server block."""
    reload: float = DEFAULT_RELOAD
    """Seconds between two looks at the files at most; 0 for never."""
    fallthrough: Fallthrough = Fallthrough()
    warnings: tuple[str, ...] = ()


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    if not directive.args:
        directive.fail("takes a zone file, and the zones it is for")
    path, *zones = directive.args
    settings = Settings(path, parse_zones(directive, tuple(zones)))
    return read_options(directive, settings, _OPTIONS)


def _reload(settings: Settings, option: Option) -> Settings:
    return replace(settings, reload=parse_reload(option))


def _fallthrough(settings: Settings, option: Option) -> Settings:
    return replace(settings, fallthrough=parse_fallthrough(option))


def _ignored(settings: Settings, option: Option) -> Settings:
    return replace(settings, warnings=(*settings.warnings, ignored(NAME, option)))


_OPTIONS: Final[dict[str, Callable[[Settings, Option], Settings]]] = {
    "reload": _reload,
    "fallthrough": _fallthrough,
    "reload_by_mtime": _ignored,
    "upstream": _ignored,
}


def parse_reload(option: Option) -> float:
    """Seconds, 0 for never. Raises ``ConfigError``."""
    return durations.read_positive_or_zero(option, option.one())


def ignored(directive: str, option: Option) -> str:
    """What is to be said of an option without effect here."""
    why = "changes of content always count" if option.name == "reload_by_mtime" else "it is retired"
    return f"{option.location}: {directive}: {option.name} has no effect: {why}"


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Answer for the zones of the file; pass on what is in none, or in another directive's."""
    own = served_zones(settings.zones, context)
    path = rooted(settings.path, context.block)
    store = context.zone_files([(zone, path) for zone in own], settings.reload)
    authority = Authority(store, NAME, AliasChaser(context.resolve))
    context.offers.append(authority)
    block = context.block
    others = {zone for each in block.named(NAME) for zone in zones_of(each, each.args[1:], block)}
    longer = others - set(own)

    async def handle(query: Query) -> Answer:
        found = authority.match(query)
        if found is None or len(longest_match(longer, query.name) or ()) > len(found[0]):
            return await next_handler(query)
        return await authority.answer_or_pass(query, found, settings.fallthrough, next_handler)

    return handle
