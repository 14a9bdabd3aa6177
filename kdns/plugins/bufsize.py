"""``bufsize [SIZE]``: the largest datagram, to clients and from upstreams (DNS flag day 2020)."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins.interface import Context, Handler
from kdns.plugins.options import read_number
from kdns.wire.encoded import MAX_BUFSIZE, MAX_UDP, MIN_UDP
from kdns.wire.message import Answer, Query


class Settings(Struct, frozen=True):
    """What the directive says."""

    size: int = MAX_UDP
    """Octets of the DNS message."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.no_options()
    if not directive.args:
        return Settings()
    return Settings(read_number(directive, directive.one(), MIN_UDP, MAX_BUFSIZE, "octets"))


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Lower the size in the query for later stages, and set the limit of the reply."""
    size = settings.size

    async def answer(query: Query) -> Answer:
        if query.edns is None:
            return await next_handler(query)
        if query.edns.payload_size > size:
            query = replace(query, edns=replace(query.edns, payload_size=size))
        return replace(await next_handler(query), payload_limit=size)

    return answer
