"""The addresses of this machine, by interface."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address


def addresses_by_interface() -> Mapping[str, tuple[str, ...]]:
    """Every address of every interface, IPv6 ones without their scope."""
    import ifaddr  # noqa: PLC0415 - most start without being asked

    return {
        adapter.name: tuple(
            address.ip if isinstance(address.ip, str) else address.ip[0] for address in adapter.ips
        )
        for adapter in ifaddr.get_adapters()
    }


def local_addresses() -> tuple[str, ...]:
    """The addresses that others can reach this machine at: neither loopback nor link-local."""
    found = [ip_address(a) for group in addresses_by_interface().values() for a in group]
    return tuple(str(a) for a in found if not a.is_loopback and not a.is_link_local)
