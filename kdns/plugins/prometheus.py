"""``prometheus [ADDRESS] { runtime_metrics }``: where ``/metrics`` is served."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kdns.config.addresses import Address
from kdns.config.tree import Option
from kdns.plugins.health import address_of

DEFAULT: Final = Address("localhost", 9153)


class Settings(Struct, frozen=True):
    """What the directive says."""

    address: Address = DEFAULT
    runtime_metrics: bool = False
    """Whether the interpreter's own figures are exported in full."""


def parse(directive: Option) -> Settings:
    """Raises ``ConfigError``."""
    runtime_metrics = False
    for option in directive.options:
        match option.name:
            case "runtime_metrics":
                option.none()
                runtime_metrics = True
            case "tls":
                option.fail("not supported yet; put a TLS proxy in front of /metrics")
            case _:
                option.fail("not an option of prometheus; expected runtime_metrics")
    return Settings(address_of(directive, DEFAULT), runtime_metrics)
