"""The keys of server blocks: ``[SCHEME://]ZONE[:PORT]``, networks expanded to their reverse zones.

Also expands the zone arguments of directives, and refuses two blocks that would answer for the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from msgspec import Struct

from kdns.config.tree import ConfigError, Key, Location, ServerBlock
from kdns.wire import names
from kdns.wire.names import Name, is_address

DEFAULT_PORTS: Final = {"tls": 853}  # RFC 7858 section 3.1; dns has the port that the caller gives
NOT_YET: Final = ("https", "https3", "grpc", "quic", "doq", "doh", "unix")


def parse_key(text: str, port: int = 53, location: Location | None = None) -> tuple[Key, ...]:
    """The keys that ``text`` stands for: one, or several for a network like ``10.0.0.0/17``.

    ``port`` is for ``dns`` keys that name none. Raises ``ConfigError``.
    """
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "dns", text
    if scheme in NOT_YET:
        raise ConfigError(f"{text!r}: {scheme}:// is not supported; use dns:// or tls://", location)
    if scheme not in {"dns", "tls"}:
        raise ConfigError(f"{text!r}: expected dns:// or tls://, found {scheme}://", location)
    zone, own_port = _split_port(rest, location)
    number = DEFAULT_PORTS.get(scheme, port) if own_port is None else own_port
    return tuple(Key(name, number, scheme) for name in expand_zone(zone, location))


def expand_zone(text: str, location: Location | None = None) -> tuple[Name, ...]:
    """The zones of a name (itself) or of a network (RFC 1035 section 3.5, RFC 3596 section 2.5).

    A network that does not end at an octet (IPv6: a nibble) is several zones: ``10.0.0.0/17`` is
    ``0.0.10.in-addr.arpa.`` to ``127.0.10.in-addr.arpa.``. Host bits are ignored.
    Raises ``ConfigError`` for what is neither.
    """
    network = _network(text, location)
    if network is not None:
        return tuple(_reverse_zones(network))
    if problem := _problem(text):
        raise ConfigError(f"{text!r} is not a zone: {problem}", location)
    try:
        return (names.from_text(text),)
    except names.BadNameError as error:
        raise ConfigError(f"not a zone: {error}", location) from error


def _problem(text: str) -> str:
    """What CoreDNS would take as a name that nobody can have meant."""
    if not text:
        return "it is empty"
    if "," in text:
        return "commas must be followed by white space"
    if text != "".join(text.split()):
        return "it has white space in it; the value of a variable is one word"
    if text.endswith("{"):
        return "white space is missing before '{'"
    if text == "@" or text[0] in "(}":
        return "expected a domain name or a network"
    return "expected a port number after ':'" if ":" in text else ""


def _split_port(text: str, location: Location | None) -> tuple[str, int | None]:
    zone, colon, digits = text.rpartition(":")
    if colon and not digits:
        raise ConfigError(f"{text!r}: expected a port number after ':'", location)
    if not re.fullmatch(r"[0-9]+", digits):
        return text, None
    if not colon:
        return text, None
    if len(digits) > 5 or int(digits) > 65535:
        raise ConfigError(f"{text!r}: expected a port of 0 to 65535", location)
    if not zone:
        raise ConfigError(f"{text!r}: expected a zone before the port; the root is '.'", location)
    return zone, int(digits)


def _network(text: str, location: Location | None) -> IPv4Network | IPv6Network | None:
    address, slash, bits = text.partition("/")
    if not slash or "%" in address or not is_address(address):
        return None
    if not re.fullmatch(r"[0-9]{1,3}", bits) or text[0] == ":" or text.startswith("0:"):
        raise ConfigError(f"{text!r} is not a network, expected one like 10.0.0.0/8", location)
    try:
        return ip_network(f"{address}/{int(bits)}", strict=False)
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a network: {error}", location) from error


def _reverse_zones(network: IPv4Network | IPv6Network) -> Iterator[Name]:
    step = 8 if network.version == 4 else 4
    labels = -(-network.prefixlen // step)
    for part in network.subnets(new_prefix=labels * step):
        whole = names.reverse(str(part.network_address))
        yield whole[len(whole) - 2 - labels :]


class _Claim(Struct, frozen=True):
    key: Key
    address: str
    """"" listens on every address."""

    def __str__(self) -> str:
        scheme = "" if self.key.scheme == "dns" else f"{self.key.scheme}://"
        where = f" on {self.address}" if self.address else ""
        return f"{scheme}{names.to_text(self.key.zone)}:{self.key.port}{where}"


def check_unique(blocks: Iterable[ServerBlock]) -> None:
    """Refuse zones that are served twice. Raises ``ConfigError`` naming both places.

    The same zone and port may stand in several blocks when each is bound to other addresses, and when
    all but one have a ``view``, which tells their questions apart.
    """
    claims: dict[Key, dict[str, Location]] = {}
    for block in blocks:
        for key in block.keys:
            for address in _addresses(block):
                taken = claims.setdefault(key, {})
                _claim(_Claim(key, address), taken, block)


def _claim(claim: _Claim, taken: dict[str, Location], block: ServerBlock) -> None:
    has_view = any(block.named("view"))
    first = taken.get(claim.address)
    if has_view and first is not None:
        return
    if first is None and taken and (not claim.address or "" in taken):
        first = taken.get("") or next(iter(taken.values()))
    if first is not None:
        raise ConfigError(f"{claim} is already served by the block at {first}", block.location)
    if not has_view:
        taken[claim.address] = block.location


def _addresses(block: ServerBlock) -> list[str]:
    """What the ``bind`` lines name, addresses and interfaces; or every address."""
    if not (lines := list(block.named("bind"))):
        return [""]
    return [
        address
        for line in lines
        for address in line.args
        if not any(address in option.args for option in line.options if option.name == "except")
    ]
