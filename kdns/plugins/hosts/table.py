"""What a hosts file says: names to addresses and back, ``*.example.org`` for all names one label below.

Reads text; knows nothing of files or questions. Whatever a line has that is no address or no name is
left out, as every reader of hosts files does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from msgspec import Struct, field

from kdns.wire.names import BadNameError, Name, from_text, is_below, plain_address, to_wire

Address: TypeAlias = IPv4Address | IPv6Address

MAX_WORD: Final = 1024  # characters, as with the peer: no address or name is longer


class Table(Struct, frozen=True):
    """Both directions; each address and name once, in the order written."""

    addresses: dict[Name, dict[Address, None]] = field(default_factory=dict)
    """By name; a wildcard's first label is ``*``."""
    names: dict[str, dict[bytes, None]] = field(default_factory=dict)
    """Wire forms by address text; empty with ``no_reverse``."""

    def __len__(self) -> int:
        """How many addresses and names there are, both directions."""
        forward = sum(len(addresses) for addresses in self.addresses.values())
        return forward + sum(len(names) for names in self.names.values())

    def find(self, name: Name, version: int) -> Iterable[Address]:
        """The addresses of a family, 4 or 6; of the wildcard where the name has none."""
        exact = _of(self.addresses.get(name, ()), version)
        if exact or len(name) < 2:
            return exact
        return _of(self.addresses.get(("*", *name[1:]), ()), version)


def _of(addresses: Iterable[Address], version: int) -> list[Address]:
    return [address for address in addresses if address.version == version]


def read(text: str, origins: tuple[Name, ...], reverse: bool) -> Table:
    """The table of a hosts file's text; only names below one of ``origins`` count."""
    table = Table()
    for address, words in _lines(text):
        for word in words:
            name = _name(word)
            if name is None or not any(is_below(name, origin) for origin in origins):
                continue
            table.addresses.setdefault(name, {})[address] = None
            if reverse and name[0] != "*":
                table.names.setdefault(str(address), {})[to_wire(name)] = None
    return table


def _lines(text: str) -> Iterator[tuple[Address, list[str]]]:
    for line in text.split("\n"):
        words = line.partition("#")[0].split()
        if words and (address := address_of(words[0])) is not None:
            yield address, words[1:]


def address_of(word: str) -> Address | None:
    """The address that a line begins with; None for anything else."""
    try:
        return plain_address(word)
    except ValueError:
        return None


def _name(word: str) -> Name | None:
    if len(word) > MAX_WORD:
        return None
    try:
        name = from_text(word)
    except BadNameError:
        return None
    return name or None
