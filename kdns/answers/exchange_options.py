"""EDNS options of a reply that belong to the exchange, and not to the answer."""

from __future__ import annotations

from time import time
from typing import Final

from msgspec.structs import replace

from kdns.wire import cookies
from kdns.wire.constants import EdnsOption
from kdns.wire.message import Answer, Query

TCP_IDLE: Final = 100
"""Tenths of a second that an idle TCP connection is kept: what RFC 7828 lets a client know."""


def with_options(query: Query, answer: Answer, secret: bytes) -> tuple[bytes, Answer]:
    """The data of the COOKIE option, and the answer with the other options, which is not cached then."""
    cookie = b""
    for code, value in query.edns.options if query.edns else ():
        if code == EdnsOption.COOKIE:
            cookie = cookies.respond(value, query.client, time(), secret)
        elif code == EdnsOption.TCP_KEEPALIVE and query.transport != "udp":
            option = (int(EdnsOption.TCP_KEEPALIVE), TCP_IDLE.to_bytes(2, "big"))
            answer = replace(answer, options=(*answer.options, option), keep_until=0.0)
    return cookie, answer
