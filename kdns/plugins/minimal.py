"""``minimal``: positive answers without their Authority and Additional sections."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from kdns.config.tree import Option
from kdns.plugins.interface import Context, Handler
from kdns.wire.constants import Rcode
from kdns.wire.message import Answer, Query


class Settings(Struct, frozen=True):
    """There is nothing to set."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.none()
    directive.no_options()
    return Settings()


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Shorten what later stages say."""

    async def answer(query: Query) -> Answer:
        reply = await next_handler(query)
        # Denials need their SOA and referrals their NS records: only an answer stands alone.
        is_denial = not reply.answer and reply.authority
        if reply.rcode != Rcode.NOERROR or is_denial or not reply.handled:
            return reply
        return replace(reply, authority=(), additional=())

    return answer
