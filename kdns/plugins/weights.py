"""The file of ``loadbalance weighted``: names, and below each the weights of its addresses.

www.example.com
192.0.2.1 3
192.0.2.2 1
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, TypeAlias

from kdns.config.tree import ConfigError, Location
from kdns.wire.names import BadNameError, Name, from_text

MAX_WEIGHT: Final = 255

Weights: TypeAlias = dict[Name, dict[bytes, int]]
"""By owner and packed address."""


def parse_weights(text: str, path: str) -> Weights:
    """Raises ``ConfigError`` with the line that cannot be used."""
    found: Weights = {}
    weights: dict[bytes, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            if len(words) == 1:
                weights = found.setdefault(_name(words[0]), {})
                continue
            if len(words) != 2:
                raise ValueError("expected a name, or an address and its weight")
            if weights is None:
                raise ValueError("expected a name before the first address")
            weights[ip_address(words[0]).packed] = _weight(words[1])
        except ValueError as error:
            raise ConfigError(str(error), Location(path, number)) from error
    return found


def _name(word: str) -> Name:
    try:
        ip_address(word)
    except ValueError:
        pass
    else:
        raise ValueError(f"expected a weight after {word}")
    try:
        return from_text(word)
    except BadNameError as error:
        raise ValueError(f"not a name: {error}") from error


def _weight(word: str) -> int:
    if word.isascii() and word.isdigit() and len(word) < 4 and 0 < int(word) <= MAX_WEIGHT:
        return int(word)
    raise ValueError(f"expected a weight of 1 to {MAX_WEIGHT}, got {word!r}")
