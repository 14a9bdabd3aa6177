"""Why an answer is what it is: Extended DNS Errors (RFC 8914), with texts for people."""

from __future__ import annotations

from typing import Final

from kdns.wire.message import ExtendedError, Query
from kdns.wire.presentation import CONTROL_ESCAPES

MAX_TEXT: Final = 200
"""Octets: dig prints it on one line, and a reply without EDNS padding stays below 512."""


def because(query: Query, code: int, text: str = "") -> tuple[ExtendedError, ...]:
    """The reason, for an asker that can be told: only who speaks EDNS (RFC 8914 section 3)."""
    return (ExtendedError(code, cut(text)),) if query.wants_reason else ()


def cut(text: str) -> str:
    """What fits, without control characters."""
    if len(text) <= MAX_TEXT and text.isascii() and text.isprintable():  # nearly always
        return text
    encoded = text.translate(CONTROL_ESCAPES).encode(errors="replace")
    if len(encoded) > MAX_TEXT:
        encoded = encoded[: MAX_TEXT - 3].decode(errors="ignore").encode() + "…".encode()
    return encoded.decode()
