"""The options of the ``hosts`` directive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config import durations
from kdns.config.tree import Option
from kdns.plugins.hosts.table import address_of
from kdns.plugins.options import read_number
from kdns.plugins.zones import Fallthrough, parse_fallthrough, parse_zones
from kdns.wire.names import Name

DEFAULT_PATH: Final = "/etc/hosts"
DEFAULT_TTL: Final = 3600  # seconds
DEFAULT_RELOAD: Final = 5.0  # seconds
MAX_TTL: Final = 65535  # seconds; the peer's limit


class Settings(Struct, frozen=True):
    """What the directive says."""

    path: str = DEFAULT_PATH
    """Read also where there are inline lines."""
    zones: tuple[Name, ...] = ()
    """Empty for those of the server block."""
    inline: str = ""
    """Further lines of a hosts file, written into the directive."""
    ttl: int = DEFAULT_TTL
    reverse: bool = True
    """Whether the addresses are answered for in PTR questions."""
    reload: float = DEFAULT_RELOAD
    """Seconds between two looks at the file at most; 0 for never."""
    fallthrough: Fallthrough = Fallthrough()
    other_types_pass: bool = False
    """Whether ``fallthrough`` is also for types but A, AAAA and PTR at names that exist."""
    warnings: tuple[str, ...] = ()


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    path, *zones = directive.args or (DEFAULT_PATH,)
    settings = Settings(path, parse_zones(directive, tuple(zones)))
    for option in directive.options:
        read = _OPTIONS.get(option.name, _inline)
        settings = read(settings, option)
    if settings.other_types_pass and not settings.fallthrough.zones:
        directive.fail("fallthrough_unsupported needs fallthrough")
    return settings


def _inline(settings: Settings, option: Option) -> Settings:
    """A line of a hosts file. After ``fallthrough`` the peer takes none, which finds mistakes."""
    if settings.fallthrough.zones:
        known = ", ".join(_OPTIONS)
        option.fail(f"unknown option of hosts; known are {known}; hosts go before fallthrough")
    if option.options:
        option.fail("a line of a hosts file has no block")
    line = " ".join((option.name, *option.args))
    warnings = settings.warnings
    if address_of(option.name) is None:
        text = "has no effect: neither an option nor a line that begins with an address"
        warnings = (*warnings, f"{option.location}: hosts: {line!r} {text}")
    return replace(settings, inline=f"{settings.inline}{line}\n", warnings=warnings)


def _ttl(settings: Settings, option: Option) -> Settings:
    text = option.args[0] if option.args else ""
    return replace(settings, ttl=read_number(option, text, 1, MAX_TTL, "seconds"))


def _reload(settings: Settings, option: Option) -> Settings:
    seconds = durations.read_positive_or_zero(option, option.one())
    return replace(settings, reload=seconds)


def _no_reverse(settings: Settings, option: Option) -> Settings:
    return replace(settings, reverse=False)


def _fallthrough(settings: Settings, option: Option) -> Settings:
    return replace(settings, fallthrough=parse_fallthrough(option))


def _unsupported(settings: Settings, option: Option) -> Settings:
    option.none()
    return replace(settings, other_types_pass=True)


_OPTIONS: Final[dict[str, Callable[[Settings, Option], Settings]]] = {
    "ttl": _ttl,
    "no_reverse": _no_reverse,
    "reload": _reload,
    "fallthrough": _fallthrough,
    "fallthrough_unsupported": _unsupported,
}
