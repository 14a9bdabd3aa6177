"""``bufsize [SIZE]``: no datagram longer than this, even to who would take it (DNS flag day 2020)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins.interface import Context, Handler
from kdns.plugins.options import read_number
from kdns.wire.message import Answer, Query

DEFAULT: Final = 1232  # octets
LEAST: Final = 512
MOST: Final = 4096
"""Octets; the peer's bounds."""


class Settings(Struct, frozen=True):
    """What the directive says."""

    size: int = DEFAULT
    """Octets of the DNS message."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.no_options()
    if not directive.args:
        return Settings()
    return Settings(read_number(directive, directive.one(), LEAST, MOST, "octets"))


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Lower the size that later stages, and upstreams, are told; and that of the reply."""
    size = settings.size

    async def answer(query: Query) -> Answer:
        if query.edns is None or query.edns.payload_size <= size:
            return await next_handler(query)
        lowered = replace(query, edns=replace(query.edns, payload_size=size))
        reply = await next_handler(lowered)
        return replace(reply, payload_limit=min(size, reply.payload_limit))

    return answer
