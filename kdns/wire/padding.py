"""Padding of replies over encrypted transports, so that their size tells little (RFC 7830, RFC 8467)."""

from __future__ import annotations

from typing import Final

from kdns.wire.constants import EdnsOption
from kdns.wire.layouts import MAX_MESSAGE, OPTION, option
from kdns.wire.message import Query

REPLY_BLOCK: Final = 468
"""Octets that padded replies are a multiple of (RFC 8467 section 4.1)."""


def is_wanted(query: Query) -> bool:
    """Whether the reply is to be padded: the query has the option, and what is sent is encrypted.

    RFC 7830 section 4 has replies to such queries padded; section 6 says that without encryption it
    serves nothing but amplification.
    """
    if query.transport != "tls" or query.edns is None:
        return False
    return any(code == EdnsOption.PADDING for code, _ in query.edns.options)


def padding(length: int, block: int = REPLY_BLOCK, limit: int = MAX_MESSAGE) -> bytes:
    """The Padding option, code and length included, of a message that has ``length`` octets without it.

    ``length`` counts the whole message: header with its ID, all sections, and the OPT record with its
    other options. With the option, the last one of it, the message is a multiple of ``block`` octets, or has
    ``limit`` octets where that is less; empty where the option does not fit at all. Its data are zeros
    (RFC 7830 section 3).
    """
    if length + OPTION.size > limit:
        return b""
    blocks = -(-(length + OPTION.size) // block)
    size = min(blocks * block, limit) - length - OPTION.size
    return option(EdnsOption.PADDING, bytes(size))
