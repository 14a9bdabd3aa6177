"""Name servers as directives name them: ``IP`` or ``IP:PORT``."""

from __future__ import annotations

from kdns.config.addresses import Address, parse_address
from kdns.config.tree import Option
from kdns.upstream.resolv import is_address


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
