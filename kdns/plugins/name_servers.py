"""Name servers as directives name them, ``IP`` or ``IP:PORT``, and the address to ask them from."""

from __future__ import annotations

from kdns.config.addresses import Address, parse_address
from kdns.config.tree import Option
from kdns.wire.names import is_address


def read_address(option: Option, text: str) -> Address:
    """One of an option's arguments, with port 53 where it has none. Raises ``ConfigError``."""
    if is_address(text):
        return Address(text, 53)
    try:
        address = parse_address(text)
    except ValueError:
        address = None
    if address is None or not is_address(address.host):
        option.fail(f"expected IP or IP:PORT, got {text!r}")
    return address


def read_source(option: Option) -> str:
    """The option's only argument, an address of ours. Raises ``ConfigError``."""
    text = option.one()
    if not is_address(text):
        option.fail(f"expected an IP address, got {text!r}")
    return text
