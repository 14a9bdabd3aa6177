"""``bind ADDRESS|INTERFACE… { except … }``: on which addresses a server block listens.

The interfaces of the machine are handed in: what the directive says stays comparable across reloads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from msgspec import Struct

from kdns.config.tree import Option


class Settings(Struct, frozen=True):
    """What the directive says; each word is an IP address or the name of an interface."""

    listen: Option
    excluded: tuple[Option, ...] = ()


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    for option in (directive, *directive.options):
        if option is not directive and option.name != "except":
            option.fail("not an option of bind; expected except ADDRESS|INTERFACE…")
        if not option.args:
            option.fail("expected at least one address or interface name")
    return Settings(directive, directive.options)


def resolve(
    settings: Sequence[Settings], interfaces: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """The addresses that all ``bind`` directives of a block name, each once, in the order written.

    ``interfaces`` has the addresses by interface name. Raises ``ConfigError`` for a word that is
    neither an address nor among them, and where no address is left.
    """
    addresses: dict[str, None] = {}
    for one in settings:
        excluded = {text for option in one.excluded for text in _expand(option, interfaces)}
        wanted = _expand(one.listen, interfaces)
        addresses |= dict.fromkeys(text for text in wanted if text not in excluded)
    if not addresses:
        settings[-1].listen.fail("except leaves no address to listen on")
    return tuple(addresses)


def _expand(option: Option, interfaces: Mapping[str, Sequence[str]]) -> list[str]:
    return [text for word in option.args for text in interfaces.get(word) or [_check(option, word)]]


def _check(option: Option, word: str) -> str:
    try:
        address = ip_address(word)
    except ValueError:
        option.fail(f"{word!r} is neither an IP address nor the name of an interface here")
    if "%" in word:
        option.fail(f"{word!r} has a zone; name the interface instead")
    return str(address)
