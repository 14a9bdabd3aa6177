"""The addresses that questions arrive at."""

from __future__ import annotations

from typing import Final

from kdns.config.addresses import Address

ANY_HOSTS: Final = ("0.0.0.0", "::")
"""Without ``bind`` a server block is for everyone."""


class Site(Address, frozen=True):
    """An address and port that questions arrive at, and how."""

    scheme: str = "dns"
    """``dns`` or ``tls``."""

    def __str__(self) -> str:
        return super().__str__() if self.scheme == "dns" else f"{self.scheme}://{super().__str__()}"


def server_label(host: str, port: int, scheme: str) -> str:
    """What a server block there is called in the series."""
    return f"{scheme}://{'' if host in ANY_HOSTS else host}:{port}"
