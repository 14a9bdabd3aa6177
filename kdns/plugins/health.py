"""``health [ADDRESS] { lameduck DURATION }``: where ``/health`` is served, always 200 while we run."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kdns.config import durations
from kdns.config.addresses import Address, parse_address
from kdns.config.tree import Option

DEFAULT: Final = Address("", 8080)


class Settings(Struct, frozen=True):
    """What the directive says."""

    address: Address = DEFAULT
    lameduck: float = 0.0
    """Seconds that the server goes on answering (``/health`` too) after it was told to stop."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    lameduck = 0.0
    for option in directive.options:
        if option.name != "lameduck":
            option.fail("not an option of health; expected lameduck DURATION")
        lameduck = durations.read(option, option.one())
    return Settings(address_of(directive, DEFAULT), max(0.0, lameduck))


def address_of(directive: Option, default: Address) -> Address:
    """The one optional argument of a directive that serves HTTP. Raises ``ConfigError``."""
    if not directive.args:
        return default
    text = directive.one()
    try:
        return parse_address(text)
    except ValueError as error:
        directive.fail(str(error))
