"""``explain NETWORKS… | any | off``: who may ask how this server block comes to its answers.

It takes no part in answering. The zone ``explain.kdns`` is there without it, for loopback addresses;
names below it are derived by the server block that answers for the name in front.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Final

from msgspec import Struct

from kdns.config.tree import Option
from kdns.plugins.acl import Network
from kdns.wire.names import plain_address

LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
EVERYONE: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class Settings(Struct, frozen=True):
    """What the directive says."""

    networks: tuple[Network, ...] = LOOPBACK
    """Who may ask; empty for nobody."""

    def allows(self, client: str) -> bool:
        """Whether this source address may ask; the server's own questions ("") never do."""
        if not client:
            return False
        address = plain_address(client)
        return any(address in network for network in self.networks)


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.no_options()
    if not directive.args:
        directive.fail("expected networks such as 10.0.0.0/8, any, or off")
    if directive.args in _WORDS:
        return Settings(_WORDS[directive.args])
    return Settings(tuple(_network(directive, word) for word in directive.args))


_WORDS: Final[dict[tuple[str, ...], tuple[Network, ...]]] = {("off",): (), ("any",): EVERYONE}


def _network(directive: Option, word: str) -> Network:
    try:
        return ip_network(word, strict=False)
    except ValueError:
        directive.fail(f"{word!r} is not a network, expected one like 10.0.0.0/8, any, or off")
