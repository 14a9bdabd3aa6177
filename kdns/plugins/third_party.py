"""Directives that other packages bring: entry points of the group ``kdns.plugins``.

An installed package is looked for only when a Corefile names a directive that is none of ours, so who
has none pays nothing. What goes wrong in one is told with its name and its package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from kdns.config.tree import ConfigError, Option
from kdns.plugins.interface import Context, Handler
from kdns.wire.message import Answer, Query

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "kdns.plugins"


class PluginError(Exception):
    """A stage of another package raised; the message names both."""


class _BelowError(Exception):
    """What a later stage raised, on its way through one of another package."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Plugin(Struct, frozen=True):
    """A directive of another package, used as the modules here are."""

    name: str
    package: str
    """Name and version, for people."""
    before: str
    """The directive of ours that it is asked just before; or ``after``."""
    after: str
    read: Callable[[Option], object]
    make: Callable[[object, Handler, Context], Handler]

    def __str__(self) -> str:
        return f"directive {self.name} of {self.package}"

    def parse(self, directive: Option) -> object:
        """Raises ``ConfigError``, whatever the package raises."""
        try:
            return self.read(directive)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"{self}: {error!r}", directive.location) from error

    def wrap(self, settings: object, next_handler: Handler, context: Context) -> Handler:
        """Make the stage. Raises ``ConfigError``, whatever the package raises."""

        async def below(query: Query) -> Answer:
            try:
                return await next_handler(query)
            except Exception as error:
                raise _BelowError(error) from error

        try:
            handler = self.make(settings, below, context)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"{self}: {error!r}") from error

        async def named(query: Query) -> Answer:
            try:
                return _answer(await handler(query))
            except _BelowError as passed:
                raise passed.error from None
            except Exception as error:
                raise PluginError(f"{self}: {error!r}") from error

        return named


def _answer(found: object) -> Answer:
    """What is no answer shows itself here, and not where nothing catches what is raised."""
    if not isinstance(found, Answer):
        raise TypeError(f"the handler returned {found!r}, not an Answer")
    return found


@cache
def _installed() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - see above

    return {entry.name: entry for entry in entry_points(group=GROUP)}


@cache
def find(name: str) -> Plugin | None:
    """The directive of this name that a package brings. Raises ``ConfigError`` for one that is broken."""
    entry = _installed().get(name)
    if entry is None:
        return None
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
    title = f"directive {name} of {package}"
    try:
        found = entry.load()
    except Exception as error:
        raise ConfigError(f"{title} cannot be loaded: {error!r}") from error
    before, after = getattr(found, "BEFORE", ""), getattr(found, "AFTER", "")
    if bool(before) == bool(after):
        raise ConfigError(
            f"{title} must have either BEFORE or AFTER, the directive that it is next to"
        )
    for needed in ("parse", "wrap"):
        if not callable(getattr(found, needed, None)):
            raise ConfigError(f"{title} has no function {needed}")
    return Plugin(name, package, before, after, found.parse, found.wrap)


def ordered(ours: Iterable[str], plugins: Iterable[Plugin]) -> list[str]:
    """Our order with the others in their places. Raises ``ConfigError`` for an unknown neighbour."""
    order = list(ours)
    for plugin in plugins:
        neighbour = plugin.before or plugin.after
        if neighbour not in order:
            raise ConfigError(f"{plugin} wants to be next to {neighbour!r}, which is no directive")
        order.insert(order.index(neighbour) + bool(plugin.after), plugin.name)
    return order
