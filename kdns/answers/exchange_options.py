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
    """The data of the COOKIE option, and the answer with the other options.

    What the reply cache cannot add by itself is not cached: a cookie beside other options, and the time
    for which a connection is kept, which depends on the transport.
    """
    cookie, options = b"", query.edns.options if query.edns else ()
    for code, value in options:
        if code == EdnsOption.COOKIE:
            cookie = cookies.respond(value, query.client, time(), secret)
            if len(options) > 1:
                answer = replace(answer, keep_until=0.0)
        elif code == EdnsOption.TCP_KEEPALIVE:
            answer = replace(answer, keep_until=0.0)
            if query.transport != "udp":
                option = (int(EdnsOption.TCP_KEEPALIVE), TCP_IDLE.to_bytes(2, "big"))
                answer = replace(answer, options=(*answer.options, option))
    return cookie, answer
