"""DNS cookies: a token that tells askers at their address from forgers (RFC 7873, RFC 9018)."""

from __future__ import annotations

from hashlib import blake2b
from ipaddress import ip_address
from typing import Final

CLIENT_LENGTH: Final = 8  # RFC 7873 section 4
_VERSION: Final = b"\1\0\0\0"  # RFC 9018 section 4.1: version 1 and three reserved octets


def respond(cookie: bytes, client: str, now: float, secret: bytes) -> bytes:
    """The COOKIE option to send back: the asker's own part and a fresh part of ours.

    ``cookie`` is the option received, 8 or 16 to 40 octets; ``client`` an address in text; ``now``
    Unix time in seconds; ``secret`` at least 16 octets. The layout is RFC 9018 section 4's, its hash
    keyed BLAKE2b: it has to be reproduced by this server alone.
    """
    ours = cookie[:CLIENT_LENGTH] + _VERSION + (int(now) & 0xFFFFFFFF).to_bytes(4, "big")
    digest = blake2b(ours + ip_address(client).packed, digest_size=8, key=secret).digest()
    return ours + digest
