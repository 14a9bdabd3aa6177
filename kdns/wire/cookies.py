"""DNS cookies: a token that tells clients at their address from forgers (RFC 7873, RFC 9018)."""

from __future__ import annotations

from hashlib import blake2b
from secrets import token_bytes
from typing import Final

CLIENT_OCTETS: Final = 8  # RFC 7873 section 4
_VERSION: Final = b"\1\0\0\0"  # RFC 9018 section 4.1: version 1 and three reserved octets


def new_secret() -> bytes:
    """A secret for ``respond``."""
    return token_bytes(16)


def is_well_formed(cookie: bytes) -> bool:
    """Whether a COOKIE option has a length that RFC 7873 section 5.2.2 allows."""
    return len(cookie) == CLIENT_OCTETS or 16 <= len(cookie) <= 40


def respond(cookie: bytes, client: str, now: float, secret: bytes) -> bytes:
    """The COOKIE option to send back: the client's own part and a fresh part of ours.

    ``cookie`` is the option received, 8 or 16 to 40 octets; ``client`` an address in text; ``now``
    Unix time in seconds; ``secret`` at least 16 octets. The layout is RFC 9018 section 4's, its hash
    keyed BLAKE2b over the address in text: it has to be reproduced by this server alone.
    """
    ours = cookie[:CLIENT_OCTETS] + _VERSION + (int(now) & 0xFFFFFFFF).to_bytes(4, "big")
    return ours + blake2b(ours + client.encode(), digest_size=8, key=secret).digest()
