"""SvcParams of SVCB and HTTPS records from their text (RFC 9460 section 2.1, Appendix A)."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Final

_MANDATORY: Final = 0
_ALPN: Final = 1
_NO_DEFAULT_ALPN: Final = 2
_KEYS: Final = {
    "mandatory": _MANDATORY,
    "alpn": _ALPN,
    "no-default-alpn": _NO_DEFAULT_ALPN,
    "port": 3,
    "ipv4hint": 4,
    "ech": 5,
    "ipv6hint": 6,
    "dohpath": 7,
    "ohttp": 8,
}
_GENERIC_KEY: Final = re.compile(r"key(0|[1-9][0-9]{0,4})")
_INVALID_KEY: Final = 65535  # RFC 9460 section 14.3.2


def parameters(pairs: Iterable[tuple[str, bytes | None]], alias: bool) -> bytes:
    """The wire form of ``(key, value)`` pairs, sorted; a value is None where there was no ``=``.

    Values have their character-string escapes already resolved. ``alias`` tells SvcPriority 0,
    where parameters have no meaning (RFC 9460 section 2.4.2). Raises ``ValueError``.
    """
    values: dict[int, bytes] = {}
    for word, value in pairs:
        key = _key(word)
        if key in values:
            raise ValueError(f"{word} stands there twice")
        values[key] = _READERS.get(key, _opaque)(value)
    _check(values, alias)
    return b"".join(_pack(key, values[key]) for key in sorted(values))


def _pack(key: int, value: bytes) -> bytes:
    return key.to_bytes(2) + len(value).to_bytes(2) + value


def _check(values: dict[int, bytes], alias: bool) -> None:
    if alias and values:
        raise ValueError("no parameters expected with priority 0")
    if _NO_DEFAULT_ALPN in values and _ALPN not in values:
        raise ValueError("alpn expected beside no-default-alpn")
    listed = values.get(_MANDATORY, b"")
    for at in range(0, len(listed), 2):
        if (key := int.from_bytes(listed[at : at + 2])) not in values or key == _MANDATORY:
            raise ValueError(f"mandatory names key{key}, which must be another key of this record")


def _key(word: str) -> int:
    if (key := _KEYS.get(word)) is not None:
        return key
    if (match := _GENERIC_KEY.fullmatch(word)) and int(match[1]) < _INVALID_KEY:
        return int(match[1])
    raise ValueError(f"a SvcParamKey expected, such as alpn or key65000, not {word!r}")


def _items(value: bytes | None) -> list[bytes]:
    """A comma-separated list, in which a backslash takes the meaning from the next octet."""
    items, item, octets = [], bytearray(), iter(value or b"")
    for octet in octets:
        if octet == 0x5C:
            item.append(next(octets, 0x5C))
        elif octet == 0x2C:
            items.append(bytes(item))
            item = bytearray()
        else:
            item.append(octet)
    items.append(bytes(item))
    if not all(items):
        raise ValueError("a value list without empty items expected")
    return items


def _mandatory(value: bytes | None) -> bytes:
    keys = sorted(_key(item.decode("latin-1")) for item in _items(value))
    if len(set(keys)) != len(keys):
        raise ValueError("mandatory names a key twice")
    return b"".join(key.to_bytes(2) for key in keys)


def _alpn(value: bytes | None) -> bytes:
    items = _items(value)
    if max(map(len, items)) > 255:
        raise ValueError("an ALPN identifier of at most 255 octets expected")
    return b"".join(bytes((len(item),)) + item for item in items)


def _nothing(value: bytes | None) -> bytes:
    if value:
        raise ValueError("a key without a value expected")
    return b""


def _port(value: bytes | None) -> bytes:
    if value is None or not value.isdigit() or len(value) > 5 or int(value) > 65535:
        raise ValueError(f"a port from 0 to 65535 expected, not {_shown(value)}")
    return int(value).to_bytes(2)


def _ipv4(value: bytes | None) -> bytes:
    return b"".join(IPv4Address(item.decode("latin-1")).packed for item in _items(value))


def _ipv6(value: bytes | None) -> bytes:
    return b"".join(IPv6Address(item.decode("latin-1")).packed for item in _items(value))


def _base64(value: bytes | None) -> bytes:
    if not value:
        raise ValueError("base64 text expected after ech=")
    return b64decode(value, validate=True)


def _opaque(value: bytes | None) -> bytes:
    return value or b""


def _shown(value: bytes | None) -> str:
    return "nothing" if value is None else repr(value.decode("latin-1"))


_READERS: Final[dict[int, Callable[[bytes | None], bytes]]] = {
    _MANDATORY: _mandatory,
    _ALPN: _alpn,
    _NO_DEFAULT_ALPN: _nothing,
    3: _port,
    4: _ipv4,
    5: _base64,
    6: _ipv6,
    8: _nothing,
}
