"""``@SERVER`` on a command line, as ``dig`` takes it, with a port of its own where wished."""

from __future__ import annotations

import argparse

from kdns.config.addresses import Address, parse_address
from kdns.config.tree import ConfigError


def read(word: str, port: int) -> Address:
    """``@ADDRESS``, ``@HOST``, ``@HOST:PORT`` or ``@[ADDRESS]:PORT``; the ``@`` may be missing.

    Raises ``ConfigError``; a host name is resolved by the system.
    """
    from kdns.upstream.resolv import ResolvError, addresses
    from kdns.wire.names import is_address

    text = word.removeprefix("@")
    host = text
    if not is_address(text) and ":" in text:
        try:
            given = parse_address(text)
        except ValueError as error:
            raise ConfigError(f"@{text}: {error}") from None
        host, port = given.host, given.port
    if is_address(host):
        return Address(host, port)
    try:
        return Address(addresses(host)[0], port)
    except ResolvError as error:
        raise ConfigError(f"@{text}: {error}") from None


def add_port(parser: argparse.ArgumentParser, what: str) -> None:
    """The option that ``dig`` has."""
    parser.add_argument(
        "-p",
        "--port",
        type=_port,
        default=53,
        metavar="N",
        help=f"{what} (default: %(default)s)",
    )


def _port(text: str) -> int:
    """A port of 1 to 65535, for argparse."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port of 1 to 65535, found {text!r}")
    return int(text)
