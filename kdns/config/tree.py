"""The configuration tree: server blocks with keys and directives, each knowing where it was written.

``corefile`` makes it from text, ``flags`` from command-line options; everything after works on this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from msgspec import Struct

from kdns.wire.names import Name


class Location(Struct, frozen=True):
    """Where something was written: a file and its 1-based line, or the flag that it came from."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class ConfigError(ValueError):
    """A configuration that cannot be used; its text is ``FILE:LINE: what is wrong``."""

    def __init__(self, message: str, location: Location | None = None) -> None:
        super().__init__(f"{location}: {message}" if location else message)
        self.location = location


class Option(Struct, frozen=True):
    """A line: a word, what follows it, and the lines in braces after it."""

    name: str
    args: tuple[str, ...] = ()
    location: Location = Location("")
    options: tuple[Option, ...] = ()
    """The lines of its block; empty both without a block and with an empty one."""

    def fail(self, message: str) -> NoReturn:
        """Raise ``ConfigError`` at this line."""
        named = self.location.file == f"--{self.name}"
        raise ConfigError(message if named else f"{self.name}: {message}", self.location)

    def one(self) -> str:
        """The single argument. Raises ``ConfigError`` when there is none or more."""
        if len(self.args) != 1:
            self.fail(f"takes exactly one argument, got {len(self.args)}")
        return self.args[0]

    def none(self) -> None:
        """Raise ``ConfigError`` when there are arguments."""
        if self.args:
            self.fail(f"takes no argument, got {self.args[0]!r}")

    def no_options(self) -> None:
        """Raise ``ConfigError`` when there are lines in braces."""
        for option in self.options:
            option.fail(f"{self.name} has no options")


class Key(Struct, frozen=True):
    """What a server block answers for: ``[SCHEME://]ZONE[:PORT]``, CIDR keys already expanded."""

    zone: Name
    port: int = 53
    """0 to 65535."""
    scheme: str = "dns"
    """``dns`` or ``tls``."""


class ServerBlock(Struct, frozen=True):
    """Keys, and the directives that serve them."""

    keys: tuple[Key, ...]
    directives: tuple[Option, ...]
    location: Location = Location("")

    def named(self, name: str) -> Iterator[Option]:
        """The directives of this name, in the order written."""
        return (directive for directive in self.directives if directive.name == name)
