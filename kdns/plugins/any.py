"""``any``: questions for ANY get a HINFO instead of all that there is (RFC 8482 section 4.2)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kdns.config.tree import Option
from kdns.plugins.interface import Context, Handler
from kdns.wire import rdata
from kdns.wire.constants import Class, Type
from kdns.wire.message import Answer, Query, Record

TTL: Final = 8482  # seconds; the peer's, after the RFC's number
_DATA: Final = rdata.strings("ANY obsoleted", "See RFC 8482")


class Settings(Struct, frozen=True):
    """There is nothing to set."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.none()
    directive.no_options()
    return Settings()


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Answer for ANY of class IN, whatever the name; leave the rest to the next stage."""

    async def answer(query: Query) -> Answer:
        if query.qtype != Type.ANY or query.qclass != Class.IN:
            return await next_handler(query)
        record = Record(query.qname, Type.HINFO, TTL, _DATA, Class.IN)
        return Answer(answer=(record,), authoritative=False, plugin="any")

    return answer
