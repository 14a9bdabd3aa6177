"""``resolv.conf``: reading it, and writing one that asks kdns first."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from kdns.config import resolv_conf
from kdns.config.addresses import Address
from kdns.config.resolv_conf import MAX_SERVERS, ResolvConf
from kdns.system.addresses import PORT, domain
from kdns.system.steps import WRITTEN

PATH: Final = "/etc/resolv.conf"

STUBS: Final = frozenset({Address("127.0.0.53", PORT), Address("127.0.0.54", PORT)})
"""Where systemd-resolved listens."""


def parse(text: str) -> ResolvConf:
    """What a file says: each server once, of the search list what are names in lower case."""
    conf = resolv_conf.parse(text, PORT)
    search = (name for each in conf.search if (name := domain(each)))
    return replace(
        conf,
        servers=tuple(dict.fromkeys(conf.servers)),
        search=tuple(dict.fromkeys(search)),
    )


def write(address: Address, search: tuple[str, ...], before: ResolvConf) -> str:
    """A file that asks ``address``, and the earlier servers when nobody answers there.

    Not in turn (``rotate``): those know nothing of the cluster.
    """
    old = [each.host for each in before.servers if each != address]
    lines = [
        f"{WRITTEN} 'kdns laptop --uninstall' puts back what was here.",
        *(f"nameserver {host}" for host in (address.host, *old[: MAX_SERVERS - 1])),
    ]
    if domains := tuple(dict.fromkeys((*search, *before.search))):
        lines.append("search " + " ".join(domains))
    if options := [option for option in before.options if option != "rotate"]:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"
