"""``auto [ZONES…]``: zones from the files of a folder, told by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins import go_regex
from kdns.plugins.aliases import AliasChaser
from kdns.plugins.authority import Authority
from kdns.plugins.file import DEFAULT_RELOAD, ignored, parse_reload
from kdns.plugins.interface import ZONES_KEY, Context, Handler
from kdns.plugins.options import read_options
from kdns.plugins.root import rooted
from kdns.plugins.zones import Fallthrough, longest_match, parse_zones, served_zones
from kdns.wire.message import Answer, Query
from kdns.wire.names import Name

NAME: Final = "auto"
DEFAULT_PATTERN: Final = r"db\.(.*)"
DEFAULT_TEMPLATE: Final = "{1}"


class Settings(Struct, frozen=True):
    """A folder of master files."""

    folder: str
    """Relative to the directive ``root``, or else to the working folder."""
    zones: tuple[Name, ...] = ()
    """Questions below these are answered; empty for those of the server block."""
    pattern: str = DEFAULT_PATTERN
    """A regular expression, searched in the file name."""
    template: str = DEFAULT_TEMPLATE
    """The zone that a file is for, ``{1}`` being the first group of the pattern."""
    reload: float = DEFAULT_RELOAD
    """Seconds between two looks at the folder at most; 0 for never."""
    warnings: tuple[str, ...] = ()


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    settings = Settings("", parse_zones(directive, directive.args))
    settings = read_options(directive, settings, _OPTIONS)
    if not settings.folder:
        directive.fail("needs a line 'directory DIR' with the folder of the zone files")
    return settings


def _directory(settings: Settings, option: Option) -> Settings:
    if len(option.args) not in {1, 3}:
        option.fail("takes a folder, or a folder, a regular expression and an origin template")
    if len(option.args) == 1:
        return replace(settings, folder=option.args[0])
    folder, pattern, template = option.args
    try:
        groups = go_regex.compile(pattern).groups
    except ValueError as error:
        option.fail(str(error))
    if not groups:
        option.fail(f"{pattern!r} needs a group in parentheses, which becomes the zone")
    return replace(settings, folder=folder, pattern=pattern, template=template)


def _reload(settings: Settings, option: Option) -> Settings:
    return replace(settings, reload=parse_reload(option))


def _ignored(settings: Settings, option: Option) -> Settings:
    return replace(settings, warnings=(*settings.warnings, ignored(NAME, option)))


_OPTIONS: Final[dict[str, Callable[[Settings, Option], Settings]]] = {
    "directory": _directory,
    "reload": _reload,
    "upstream": _ignored,
}


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Answer for the zones found in the folder; pass the rest on."""
    own = served_zones(settings.zones, context)
    folder = rooted(settings.folder, context.block)
    store = context.zone_folder(folder, settings.pattern, settings.template, own, settings.reload)
    authority = Authority(store, NAME, AliasChaser(context.resolve))
    context.offers.append(authority)

    async def handle(query: Query) -> Answer:
        if longest_match(own, query.name) is None:
            return await next_handler(query)
        found = authority.match(query)
        if found is None:
            return _until_zones_change(await next_handler(query))
        answer, _ = await authority.answer(query, *found, Fallthrough())
        return _until_zones_change(answer)

    return handle


def _until_zones_change(answer: Answer) -> Answer:
    """A file that comes may hold a longer zone for the same name."""
    return replace(answer, keys=answer.keys | {ZONES_KEY})
