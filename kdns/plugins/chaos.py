"""``chaos [VERSION] [AUTHORS…]``: CH TXT questions about the server itself (RFC 4892)."""

from __future__ import annotations

import random
import socket
from typing import Final

from msgspec import Struct

from kdns import __version__
from kdns.config.tree import Option
from kdns.plugins.interface import Context, Handler
from kdns.wire import rdata
from kdns.wire.constants import Class, Type
from kdns.wire.message import Answer, Query, Record
from kdns.wire.names import Name

VERSION: Final[tuple[Name, ...]] = (("version", "bind"), ("version", "server"))
HOST: Final[tuple[Name, ...]] = (("hostname", "bind"), ("id", "server"))
AUTHORS: Final[Name] = ("authors", "bind")

MAX_STRING: Final = 255  # octets, RFC 1035 section 3.3


class Settings(Struct, frozen=True):
    """What is told; each text fits a character string."""

    version: bytes = f"kdns-{__version__}".encode()
    authors: tuple[bytes, ...] = (b"the kdns authors",)


DEFAULT: Final = Settings()


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    directive.no_options()
    texts = [text.encode()[:MAX_STRING] for text in directive.args]
    authors = tuple(sorted(set(texts[1:]))) or DEFAULT.authors
    return Settings(texts[0] if texts else DEFAULT.version, authors)


def wrap(settings: Settings, next_handler: Handler, context: Context) -> Handler:
    """Answer CH TXT for the known names, leave the rest to the next stage."""

    async def answer(query: Query) -> Answer:
        if query.qclass != Class.CH or query.qtype != Type.TXT:
            return await next_handler(query)
        texts = _texts(settings, query.name)
        if texts is None:
            return await next_handler(query)
        records = tuple(
            Record(query.qname, Type.TXT, 0, rdata.strings(text), Class.CH) for text in texts
        )
        return Answer(answer=records, authoritative=False, plugin="chaos")

    return answer


def _texts(settings: Settings, name: Name) -> list[bytes] | None:
    if name in VERSION:
        return [settings.version]
    if name in HOST:
        return [socket.gethostname().encode()[:MAX_STRING]]
    if name == AUTHORS:
        return random.sample(settings.authors, len(settings.authors))
    return None
