"""``nsid [DATA]``: who asks for the server's identifier is told it (RFC 5001)."""

from __future__ import annotations

import socket
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins.interface import Context, Handler
from kdns.wire.constants import EdnsOption
from kdns.wire.message import Answer, Query

MAX_DATA: Final = 255
"""Octets: more would not leave the answer its place in a small reply."""


class Settings(Struct, frozen=True):
    """What the directive says."""

    data: str = ""
    """"" for the name of the host."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.no_options()
    data = " ".join(directive.args)
    if len(data.encode()) > MAX_DATA:
        directive.fail(f"takes at most {MAX_DATA} octets")
    return Settings(data)


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Add the identifier to what later stages say."""
    option = (EdnsOption.NSID, (settings.data or socket.gethostname()).encode())

    async def answer(query: Query) -> Answer:
        reply = await next_handler(query)
        if query.edns is None or all(code != EdnsOption.NSID for code, _ in query.edns.options):
            return reply
        return replace(reply, options=(*reply.options, option))

    return answer
